"""Parts that the axial cuts of chest and belly share: body wall, ribs, the three bright points of a vertebra."""

from __future__ import annotations

import math

import numpy as np

from fetalseg.phantom.examination import Examination
from fetalseg.phantom.motion import Motion
from fetalseg.phantom.scene import SOFT, Painter, Scene
from fetalseg.phantom.shapes import Points, Pose, arc, ellipse, smooth
from fetalseg.phantom.surroundings import surround
from fetalseg.phantom.views.limbs import ARM, LEG, Limb, paint_limb

__all__ = ["body_wall", "limb_beside", "place_trunk", "ribs", "vertebra"]


def place_trunk(
    scene: Scene, examination: Examination, size: str, rng: np.random.Generator, motion: Motion, *, widest: float
) -> tuple[Painter, Points, tuple[float, float]]:
    """Lays an axial cut near the middle of the frame at any angle, with its surroundings and sometimes a limb.

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
    wide = float(rng.uniform(0.97, widest))
    a, b = diameter / 2 * wide, diameter / 2 / wide
    x, y = scene.sector.wander(rng)
    pose = Pose(
        x + motion.x_mm,
        y + motion.y_mm,
        float(rng.uniform(-math.pi, math.pi)) + motion.turn,
        mirror=bool(rng.random() < 0.5),
    )
    skin = body_wall(a, b)
    surround(scene.at(Pose()), pose.apply(skin), rng)
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
    """Bright arcs inside the wall, each casting a streak of shadow."""
    for _ in range(count):
        start = float(rng.uniform(0, 2 * math.pi))
        length = float(rng.uniform(0.3, 0.9))
        depth = float(rng.uniform(1.3, 2.3))
        piece = arc(0.0, 0.0, a - depth, b - depth, start, start + length, 14)
        painter.line(piece, 17.0 + examination.tissue_db["bone"], 0.8, power=4, bone=0.7)


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
    """A piece of an arm or a leg in the fluid beside the trunk."""
    chain = ARM if rng.random() < 0.55 else LEG
    start = int(rng.integers(0, 3))
    names = chain[start : start + int(rng.integers(1, 3))]
    angle = float(rng.uniform(-math.pi, 0.0))
    pose = Pose((a + 4.0) * math.cos(angle), (b + 4.0) * math.sin(angle), angle + float(rng.uniform(0.8, 2.2)))
    turns = tuple(float(rng.normal(0.0, 0.6)) + motion.swing for _ in names)
    paint_limb(painter.at(pose), Limb(names, turns), examination, rng)
