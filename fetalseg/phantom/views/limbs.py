"""Arms and legs: segments with skin, soft tissue and bone, as the enlarged limb view and other views show them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from fetalseg.phantom.examination import Examination, Sizes
from fetalseg.phantom.scene import MUSCLE, Painter
from fetalseg.phantom.shapes import Points, Pose, blob, capsule, ellipse, smooth

__all__ = ["ARM", "LEG", "Limb", "paint_limb"]

ARM = ("upper_arm", "forearm", "hand")
LEG = ("thigh", "calf", "foot")

_BONES = {"upper_arm": 1, "forearm": 2, "thigh": 1, "calf": 2}


@dataclass(frozen=True)
class Limb:
    """Segments that lie in the plane, from the trunk outwards, with the turn at each joint.

    Attributes:
        segments: names, neighbours in `ARM` or `LEG`.
        turns: radians at the start of each segment against the one before.
    """

    segments: tuple[str, ...]
    turns: tuple[float, ...]


def paint_limb(
    painter: Painter, limb: Limb, examination: Examination, rng: np.random.Generator, *, labelled: bool = True
) -> None:
    """Draws a limb whose first joint is the origin and whose first segment points along x.

    Args:
        painter: draws in mm of the limb.
        limb: which segments and how they are bent.
        examination: sizes and levels.
        rng: source of the irregularities.
        labelled: whether the segments get masks; else they are only noted as seen.
    """
    joint = Pose()
    poses: list[tuple[str, Pose]] = []
    for name, turn in zip(limb.segments, limb.turns, strict=True):
        here = Pose(joint.x, joint.y, joint.turn + turn)
        poses.append((name, here))
        end = here.apply(np.array([[examination.sizes[name] * 0.97, 0.0]]))[0]
        joint = Pose(float(end[0]), float(end[1]), here.turn)
    # the outermost segment is drawn first, so that at a joint the thicker segment covers the thinner one
    for name, pose in reversed(poses):
        _paint_segment(painter.at(pose), name, examination, rng, labelled)


def _paint_segment(
    painter: Painter, name: str, examination: Examination, rng: np.random.Generator, labelled: bool
) -> None:
    sizes = examination.sizes
    if name == "hand":
        outline = _hand(painter, examination, rng)
    elif name == "foot":
        outline = _foot(painter, examination, rng)
    else:
        length, width = sizes[name], sizes[f"{name}_width"]
        taper = 0.78 if name in ("calf", "forearm") else 0.9
        outline = blob(capsule(length, width, width * taper, 0.12 * width), rng, 0.05)
        _flesh(painter, outline, examination, rng)
        _bones(painter, name, sizes, rng, examination)
    if labelled:
        painter.label(name, outline, hides=True)
    else:
        painter.see(name)


def _flesh(painter: Painter, outline: Points, examination: Examination, rng: np.random.Generator) -> None:
    level = float(rng.uniform(-6, -1)) + examination.tissue_db["organ"]
    painter.tissue(outline, level, loss=MUSCLE, texture=2.4, blur=0.12)
    painter.line(outline, 11.0 + examination.tissue_db["line"], 0.5, power=3, closed=True)


def _bones(painter: Painter, name: str, sizes: Sizes, rng: np.random.Generator, examination: Examination) -> None:
    length, width = sizes[name], sizes[f"{name}_width"]
    level = 19.0 + examination.tissue_db["bone"]
    rows = (0.0,) if _BONES[name] == 1 else (-0.17 * width, 0.17 * width)
    for y in rows:
        reach = float(rng.uniform(0.36, 0.42)) * length
        x = np.linspace(-reach, reach, 9) + length / 2
        bow = y + float(rng.normal(0, 0.03)) * width * np.cos(np.linspace(-1.5, 1.5, 9))
        painter.line(np.stack([x, bow], axis=1), level, float(rng.uniform(0.7, 1.1)), power=4, bone=0.8)


def _hand(painter: Painter, examination: Examination, rng: np.random.Generator) -> Points:
    """A palm with fingers, or a fist; its outline from wrist to fingertips."""
    length, width = examination.sizes["hand"], examination.sizes["hand_width"]
    if rng.random() < 0.3:
        outline = ellipse(0.38 * length, 0.0, 0.40 * length, 0.48 * width)
        _flesh(painter, outline, examination, rng)
        for y in np.linspace(-0.28, 0.28, 3) * width:
            painter.line(np.array([[0.3 * length, y], [0.55 * length, y]]), 14.0, 0.6, power=2, bone=0.3)
        return outline
    fingers = int(rng.integers(3, 6))
    spread = float(rng.uniform(0.5, 1.0))
    parts: list[tuple[Points, Pose, float]] = []
    for index in range(fingers):
        place = (index / (fingers - 1)) - 0.5
        reach = length * (0.5 - 0.16 * abs(place) * 2) * float(rng.uniform(0.9, 1.05))
        pose = Pose(0.48 * length, place * width * 0.8, place * spread)
        parts.append((capsule(reach, 1.1, 0.85), pose, reach))
    knots = [(0.0, -0.26), (0.3, -0.46), (0.55, -0.46), (0.55, 0.46), (0.3, 0.46), (0.0, 0.26)]
    palm = smooth(knots, closed=True, per_span=5) * (length, width)
    for outline, pose, reach in parts:
        finger = painter.at(pose)
        _flesh(finger, outline, examination, rng)
        finger.line(np.array([[0.0, 0.0], [0.75 * reach, 0.0]]), 13.0, 0.5, power=2, bone=0.2)
    _flesh(painter, palm, examination, rng)
    for index in range(fingers):
        y = ((index / (fingers - 1)) - 0.5) * width * 0.7
        painter.line(np.array([[0.15 * length, y * 0.6], [0.48 * length, y]]), 13.0, 0.5, power=2, bone=0.3)
    return _hand_outline(parts, width)


def _hand_outline(parts: list[tuple[Points, Pose, float]], width: float) -> Points:
    """The palm's edge and round the fingertips, down between the fingers for a third of their length."""
    knots: list[Points] = [np.array([[0.0, -0.26 * width]])]
    for index, (_, pose, reach) in enumerate(parts):
        side = np.array([[0.1 * reach, -0.55], [0.95 * reach, -0.45], [reach + 0.3, 0.0], [0.95 * reach, 0.45]])
        knots.append(pose.apply(side))
        if index + 1 < len(parts):
            following = parts[index + 1]
            web = (
                pose.apply(np.array([[0.3 * reach, 0.5]])) + following[1].apply(np.array([[0.3 * following[2], -0.5]]))
            ) / 2
            knots.append(web)
        else:
            knots.append(pose.apply(np.array([[0.1 * reach, 0.55]])))
    knots.append(np.array([[0.0, 0.26 * width]]))
    return np.concatenate(knots)


def _foot(painter: Painter, examination: Examination, rng: np.random.Generator) -> Points:
    """Seen from the side a boot, from below an oval with toes; the heel lies near the origin."""
    length, width = examination.sizes["foot"], examination.sizes["foot_width"]
    if rng.random() < 0.55:
        side = 1.0 if rng.random() < 0.5 else -1.0
        knots = [(-0.4, -0.42), (0.45, -0.42), (0.62, 0.0), (0.95, 0.52), (1.25, 0.78), (1.32, 1.0), (1.05, 1.08)]
        knots += [(0.5, 1.0), (0.0, 1.02), (-0.42, 0.98), (-0.58, 0.65), (-0.5, 0.2)]
        shape = smooth(knots, closed=True, per_span=5)
        span = shape[:, 0].max() - shape[:, 0].min()
        boot = shape * (length / span, 0.72 * width)
        # the sole lies across the calf: turned so that x of the boot runs along the sole
        boot = Pose(0.35 * width, 0.0, side * -math.pi / 2 * float(rng.uniform(0.75, 1.0))).apply(boot * (1.0, side))
        _flesh(painter, boot, examination, rng)
        centre = boot.mean(axis=0)
        painter.line(centre + (boot[::3] - centre) * 0.35, 14.0, 0.7, power=2, bone=0.4)
        return boot
    knots = [(-0.1, -0.3), (0.2, -0.36), (0.6, -0.46), (0.95, -0.52), (1.13, -0.35), (1.13, 0.3), (0.95, 0.48)]
    knots += [(0.55, 0.36), (0.2, 0.3), (-0.1, 0.3), (-0.2, 0.0)]
    sole = smooth(knots, closed=True, per_span=5) * (length / 1.35, width)
    for y in np.linspace(-0.38, 0.38, 5) * width:
        toe = ellipse(0.76 * length, float(y), 0.09 * length, 0.11 * width)
        _flesh(painter, toe, examination, rng)
    _flesh(painter, sole, examination, rng)
    for y in np.linspace(-0.3, 0.3, 5) * width:
        painter.line(np.array([[0.3 * length, 0.5 * y], [0.68 * length, y]]), 13.0, 0.5, power=2, bone=0.3)
    return sole
