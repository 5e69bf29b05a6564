"""Parts that the axial cuts of chest and belly share: body wall, ribs, the three bright points of a vertebra."""

from __future__ import annotations

import math

import numpy as np

from fetalseg.phantom.examination import Examination
from fetalseg.phantom.motion import Motion
from fetalseg.phantom.scene import SOFT, Painter, Scene
from fetalseg.phantom.shapes import Points, Pose, arc, blob, ellipse, smooth
from fetalseg.phantom.surroundings import surround
from fetalseg.phantom.views.limbs import ARM, LEG, Limb, paint_limb

__all__ = ["body_wall", "limb_beside", "place_trunk", "ribs", "vertebra"]


def place_trunk(
    scene: Scene, examination: Examination, size: str, rng: np.random.Generator, motion: Motion, *, widest: float
) -> tuple[Painter, Points, tuple[float, float]]:
    """Lays an axial cut near the middle of the frame as the fetus lies, with its surroundings and sometimes a limb.

    Args:
        scene: to draw in.
        examination: of the fetus.
        size: name of the circumference in `examination.sizes`.
        rng: all chance comes from it.
        motion: of the moment.
        widest: largest ratio of the half-axis from side to side to that of the circle.

    Returns:
        A painter in the cut's own frame, its skin [P, 2] in mm, and its half-axes (side to side, front to back) in mm.
    """
    diameter = examination.sizes[size] / math.pi
    wide = float(rng.uniform(0.96, widest))
    a, b = diameter / 2 * wide, diameter / 2 / wide
    x, y = scene.sector.wander(rng)
    turn, mirror = examination.lie.trunk(rng)
    shown = motion.shown(1.5)
    pose = Pose(x + motion.x_mm, y + motion.y_mm, turn + motion.turn, shown, mirror)
    skin = blob(body_wall(a, b), rng, 0.012)
    surround(scene.at(Pose()), Pose(x, y, turn, 1.0, mirror).apply(skin), rng, roomy=0.95)
    painter = scene.at(pose)
    if rng.random() < 0.35:
        limb_beside(painter, a, b, examination, rng, motion)
    return painter, skin, (a, b)


def body_wall(a: float, b: float) -> Points:
    """Outer skin of an axial cut with half-axes a (side to side) and b; the back (positive y) is a little flatter."""
    outline = ellipse(0.0, 0.0, a, b)
    y = outline[:, 1]
    return np.stack([outline[:, 0] * (1 + 0.03 * y / b), np.where(y > 0, 0.97 * y, y)], axis=1)


def ribs(painter: Painter, a: float, b: float, examination: Examination, rng: np.random.Generator, count: int) -> None:
    """Bright arcs inside the wall, on both sides from the spine forwards, each casting a streak of shadow.

    Args:
        painter: draws in mm of the cut.
        a: half-axis of the skin from side to side, mm.
        b: half-axis from front to back, mm.
        examination: levels.
        rng: source of the draw.
        count: how many arcs on each side; each is a rib that the plane cuts along a piece of its way.
    """
    depth = float(rng.uniform(1.4, 2.1))
    for side in (-1, 1):
        angle = 0.42
        for _ in range(count):
            length = float(rng.uniform(0.25, 0.65))
            begin = angle + float(rng.uniform(0.0, 0.25))
            # angles run from the spine (y down) round to the front
            turn = np.linspace(begin, begin + length, 14)
            piece = np.stack([side * (a - depth) * np.sin(turn), (b - depth) * np.cos(turn)], axis=1)
            level = 15.0 + examination.tissue_db["bone"] + float(rng.normal(0, 2))
            painter.line(piece, level - 7, 0.6, power=0, uneven=3)
            painter.line(piece, level, 0.6, power=3, bone=0.6, uneven=3)
            angle = begin + length + 0.12


def vertebra(painter: Painter, y: float, size: float, examination: Examination, *, labelled: bool = True) -> None:
    """Three bright points in a triangle around the cord, its body in front; the mask is their triangle."""
    level = 17.0 + examination.tissue_db["bone"]
    corners = np.array([[0.0, y - 0.42 * size], [0.46 * size, y + 0.40 * size], [-0.46 * size, y + 0.40 * size]])
    painter.tissue(ellipse(0.0, y, 0.62 * size, 0.62 * size), -5.0, loss=SOFT, blur=0.3)
    painter.tissue(ellipse(0.0, y + 0.12 * size, 0.2 * size, 0.2 * size), -25.0, blur=0.15)
    for x, place in corners.tolist():
        dot = arc(x, place, 0.12 * size, 0.09 * size, 0.0, 2 * math.pi, 8)
        painter.tissue(ellipse(x, place, 0.16 * size, 0.13 * size), 9.0, blur=0.1)
        painter.line(dot, level, 0.4, power=0, bone=0.5)
    outline = smooth([(0.0, y - 0.68 * size), (0.7 * size, y + 0.5 * size), (-0.7 * size, y + 0.5 * size)], closed=True)
    if labelled:
        painter.label("spine", outline)
    else:
        painter.see("spine")


def limb_beside(
    painter: Painter, a: float, b: float, examination: Examination, rng: np.random.Generator, motion: Motion
) -> None:
    """A piece of an arm or a leg in the fluid beside the trunk, left (negative x) or right."""
    chain = ARM if rng.random() < 0.55 else LEG
    start = int(rng.integers(0, 3))
    names = chain[start : start + int(rng.integers(1, 3))]
    angle = float(rng.uniform(-math.pi, 0.0))
    pose = Pose((a + 4.0) * math.cos(angle), (b + 4.0) * math.sin(angle), angle + float(rng.uniform(0.8, 2.2)))
    turns = tuple(float(rng.normal(0.0, 0.6)) + motion.swing for _ in names)
    paint_limb(painter.at(pose), Limb(names, turns), examination, rng, side=int(pose.x > 0))
