"""Hand, with fingers or as a fist, and foot, as a boot from the side or as a sole with toes from below."""

from __future__ import annotations

import math

import numpy as np

from fetalseg.phantom.examination import Examination
from fetalseg.phantom.scene import MUSCLE, Painter
from fetalseg.phantom.shapes import Points, Pose, blob, capsule, ellipse, smooth

__all__ = ["paint_foot", "paint_hand"]

# boot from the side in foot lengths: x along the sole, heel at negative x, ankle above (negative y)
_BOOT = [(-0.16, -0.36), (0.12, -0.36), (0.22, -0.20), (0.45, -0.06), (0.68, 0.06), (0.76, 0.15), (0.72, 0.22)]
_BOOT += [(0.45, 0.22), (0.15, 0.20), (-0.08, 0.25), (-0.22, 0.20), (-0.25, 0.05), (-0.20, -0.15)]
_SOLE = [(-0.02, -0.27), (0.25, -0.30), (0.55, -0.42), (0.80, -0.52), (0.92, -0.40), (0.90, 0.30), (0.78, 0.46)]
_SOLE += [(0.50, 0.34), (0.25, 0.27), (-0.02, 0.26), (-0.10, 0.0)]


def paint_hand(painter: Painter, examination: Examination, rng: np.random.Generator, level: float) -> Points:
    """Draws a hand that points along x and begins at the wrist.

    Args:
        painter: draws in mm of the hand.
        examination: sizes and levels.
        rng: source of the draw.
        level: of the flesh, dB.

    Returns:
        The outline from wrist to fingertips.
    """
    length, width = examination.sizes["hand"], examination.sizes["hand_width"]
    if rng.random() < 0.25:
        return _fist(painter, examination, rng, level)
    fingers = int(rng.choice([3, 4, 5], p=[0.15, 0.35, 0.5]))
    spread = float(rng.uniform(0.45, 1.15))
    bent = float(rng.normal(0.0, 0.12))
    parts: list[tuple[Pose, float]] = []
    for index in range(fingers):
        place = index / (fingers - 1) - 0.5
        reach = length * (0.52 - 0.13 * abs(place) * 2) * float(rng.uniform(0.85, 1.08))
        start, turn = 0.47 * length, place * spread + bent + float(rng.normal(0, 0.06))
        if fingers == 5 and index == 0:  # the thumb leaves the palm nearer to the wrist
            start, turn, reach = 0.25 * length, turn - 0.45, 0.8 * reach
        parts.append((Pose(start, place * width * 0.80, turn), reach))
    knots = [(0.0, -0.26), (0.25, -0.44), (0.53, -0.47), (0.55, 0.0), (0.53, 0.47), (0.25, 0.44), (0.0, 0.26)]
    palm = smooth(knots, closed=True, per_span=5) * (length, width)
    thick = float(rng.uniform(0.8, 1.1))
    for pose, reach in parts:
        finger = painter.at(pose)
        _flesh(finger, capsule(reach, thick, 0.75 * thick), examination, level)
        for first, last in ((-0.05, 0.30), (0.42, 0.66), (0.76, 0.92)):
            _bone(finger, np.array([[first * reach, 0.0], [last * reach, 0.0]]), examination, rng)
    _flesh(painter, palm, examination, level)
    for pose, _ in parts:
        root = np.array([[0.16 * length, 0.5 * pose.y], [pose.x - 0.06 * length, 0.95 * pose.y]])
        _bone(painter, root, examination, rng)
    return _hand_outline(parts, width, thick)


def _fist(painter: Painter, examination: Examination, rng: np.random.Generator, level: float) -> Points:
    length, width = examination.sizes["hand"], examination.sizes["hand_width"]
    outline = blob(ellipse(0.34 * length, 0.0, 0.37 * length, 0.50 * width), rng, 0.06)
    _flesh(painter, outline, examination, level)
    for y in np.linspace(-0.32, 0.32, 4) * width:
        _bone(painter, np.array([[0.12 * length, 0.6 * y], [0.36 * length, y]]), examination, rng)
        _bone(painter, np.array([[0.50 * length, y], [0.60 * length, y]]), examination, rng)
    return outline


def _hand_outline(parts: list[tuple[Pose, float]], width: float, thick: float) -> Points:
    """The palm's edge and round the fingertips, down between the fingers for two thirds of their length."""
    half = 0.5 * thick
    knots: list[Points] = [np.array([[0.0, -0.26 * width]])]
    for index, (pose, reach) in enumerate(parts):
        tip = [[0.15 * reach, -half], [0.95 * reach, -0.8 * half], [reach + 0.3 * thick, 0.0], [0.95 * reach, half]]
        knots.append(pose.apply(np.array(tip)))
        if index + 1 < len(parts):
            following, far = parts[index + 1]
            web = pose.apply(np.array([[0.35 * reach, half]])) + following.apply(np.array([[0.35 * far, -half]]))
            knots.append(web / 2)
        else:
            knots.append(pose.apply(np.array([[0.15 * reach, half]])))
    knots.append(np.array([[0.0, 0.26 * width]]))
    return np.concatenate(knots)


def paint_foot(
    painter: Painter, examination: Examination, rng: np.random.Generator, level: float, front: int
) -> Points:
    """Draws a foot at the end of a calf that points along x.

    Args:
        painter: draws in mm of the foot, the ankle at the origin.
        examination: sizes and levels.
        rng: source of the draw.
        level: of the flesh, dB.
        front: sign of y to which the toes of a boot look.

    Returns:
        Its outline.
    """
    length, width = examination.sizes["foot"], examination.sizes["foot_width"]
    if rng.random() < 0.6:
        # the sole lies across the calf; its local y (down) then points along x, its x to the front
        turn = math.pi / 2 * float(rng.uniform(0.72, 1.0))
        thick = width / (0.40 * length)
        boot = smooth(_BOOT, closed=True, per_span=4) * (length, length * min(max(thick, 0.8), 1.2))
        pose = Pose(0.25 * width, 0.0, front * turn)
        boot = pose.apply(boot * (1.0, -float(front)))
        boot = blob(boot, rng, 0.02)
        _flesh(painter, boot, examination, level)
        heel, toes = (pose.apply(np.array([p]) * length * (1.0, -float(front)))[0] for p in ((-0.1, 0.1), (0.6, 0.13)))
        for share in (0.0, 0.35, 0.65, 0.9):
            x, y = (heel + share * (toes - heel)).tolist()
            painter.tissue(ellipse(x, y, 0.07 * length, 0.06 * length, pose.turn), level + 9.0, blur=0.2)
        return boot
    sole = smooth(_SOLE, closed=True, per_span=5) * (length, width * float(rng.uniform(0.95, 1.15)))
    for number, y in enumerate((np.linspace(-0.42, 0.40, 5) * width).tolist()):
        size = (0.075 - 0.007 * number) * length
        toe = ellipse((0.93 - 0.028 * number) * length, front * y, size, 0.10 * width, count=20)
        _flesh(painter, toe, examination, level)
        painter.tissue(ellipse((0.92 - 0.028 * number) * length, front * y, 0.4 * size, 0.4), level + 12, blur=0.1)
    sole = sole * (1.0, front)
    _flesh(painter, sole, examination, level)
    for y in (np.linspace(-0.32, 0.30, 5) * width * front).tolist():
        _bone(painter, np.array([[0.40 * length, 0.6 * y], [0.72 * length, y]]), examination, rng)
    painter.tissue(ellipse(0.1 * length, 0.0, 0.09 * length, 0.18 * width), level + 7.0, blur=0.2)
    return sole


def _flesh(painter: Painter, outline: Points, examination: Examination, level: float) -> None:
    painter.tissue(outline, level, loss=MUSCLE, texture=2.4, blur=0.1)
    painter.line(outline, 8.0 + examination.tissue_db["line"], 0.3, power=3, uneven=3, closed=True)


def _bone(painter: Painter, line: Points, examination: Examination, rng: np.random.Generator) -> None:
    level = 12.0 + examination.tissue_db["bone"] + float(rng.normal(0, 1.5))
    painter.line(line, level - 7, 0.45, power=0, uneven=1)
    painter.line(line, level, 0.45, power=2, bone=0.25, uneven=1)
