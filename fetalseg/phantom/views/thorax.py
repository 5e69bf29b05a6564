"""Chest, axial: the four-chamber heart two thirds left of the midline between grey lungs, ribs, spine behind."""

from __future__ import annotations

import math

import numpy as np

from fetalseg.phantom.examination import Examination
from fetalseg.phantom.motion import GONE, Motion
from fetalseg.phantom.scene import BLOOD, MUSCLE, Painter, Scene
from fetalseg.phantom.shapes import Points, Pose, blob, ellipse
from fetalseg.phantom.views.trunk import place_trunk, ribs, vertebra

__all__ = ["chambers", "field_mm", "paint"]


def field_mm(examination: Examination, rng: np.random.Generator) -> float:
    """The chest takes 28 to 62 % of the frame's width."""
    return examination.sizes["thoracic_circumference"] / math.pi / float(rng.uniform(0.28, 0.62))


def paint(scene: Scene, examination: Examination, rng: np.random.Generator, motion: Motion) -> None:
    """Draws the chest near the middle of the frame as the fetus lies."""
    painter, skin, (a, b) = place_trunk(scene, examination, "thoracic_circumference", rng, motion, widest=1.08)
    painter.hide(skin)
    painter.tissue(skin, -4.0 + examination.tissue_db["wall"], loss=MUSCLE, texture=3.0, blur=0.12)
    painter.line(skin * (1 - 0.25 / a), 7.0, 0.35, power=5, uneven=4, closed=True)
    lung = float(rng.uniform(-1, 3)) + examination.tissue_db["organ"]
    for side in (-1, 1):
        # the lungs lie beside heart and spine, brighter than the wall
        field = blob(ellipse(side * 0.42 * a, 0.08 * b, 0.44 * a, 0.70 * b), rng, 0.06)
        painter.tissue(field, lung, texture=1.8, blur=0.3)
    ribs(painter, a, b, examination, rng, int(rng.integers(2, 5)))
    vertebra(painter, 0.62 * b, float(rng.uniform(3.0, 4.0)), examination)
    painter.tissue(ellipse(-1.7, 0.36 * b, 0.8, 0.8), -32.0, loss=BLOOD, blur=0.1)
    _heart(painter, examination, a, b, rng, motion)
    painter.label("thoracic_circumference", skin)


def _heart(
    painter: Painter, examination: Examination, a: float, b: float, rng: np.random.Generator, motion: Motion
) -> None:
    """Axis 45 +- 15 degrees to the left (negative x); apex to the front (negative y)."""
    length, width = examination.sizes["heart_length"], examination.sizes["heart_width"]
    axis = math.radians(float(rng.normal(45, 8)))
    x, y = -float(rng.uniform(0.08, 0.2)) * a, -float(rng.uniform(0.10, 0.2)) * b
    inner = np.random.default_rng(rng.integers(2**31))
    shown = motion.shown(0.9)
    heart = painter.at(Pose(x, y, -math.pi / 2 - axis, shown))
    outer = chambers(heart, length, width, examination, inner, motion)
    if shown > GONE:
        heart.label("heart", outer)


def chambers(
    painter: Painter, length: float, width: float, examination: Examination, rng: np.random.Generator, motion: Motion
) -> Points:
    """Draws a heart with its apex along x: ventricles in front of the valves, atria behind them.

    Args:
        painter: draws in mm of the heart, its middle at the origin.
        length: from base to apex, mm.
        width: across, mm.
        examination: levels.
        rng: source of the irregularities.
        motion: of the moment; gives the phase of the beat.

    Returns:
        The outer wall.
    """
    outer = ellipse(0.0, 0.0, length / 2, width / 2)
    outer[:, 1] *= 1 - 0.22 * outer[:, 0] / (length / 2)
    squeeze = motion.squeeze
    outer = blob(outer, rng, 0.02) * (0.5 + 0.5 * squeeze)
    muscle = float(rng.uniform(-7, -2)) + examination.tissue_db["organ"]
    painter.tissue(outer * 1.1, muscle - 3, blur=0.25)
    painter.tissue(outer, muscle, loss=MUSCLE, texture=2.5, blur=0.12)
    painter.line(outer, float(rng.uniform(3, 9)), 0.35, power=3, uneven=4, closed=True)
    blood = float(rng.uniform(-40, -26))
    for side in (-1, 1):
        ventricle = ellipse(
            0.19 * length, side * 0.20 * width, 0.21 * length * squeeze, 0.14 * width * squeeze, side * -0.2
        )
        atrium = ellipse(-0.23 * length, side * 0.22 * width, 0.15 * length / squeeze, 0.165 * width / squeeze)
        painter.tissue(blob(ventricle, rng, 0.08), blood, loss=BLOOD, texture=1.0, blur=0.12)
        painter.tissue(blob(atrium, rng, 0.08), blood, loss=BLOOD, texture=1.0, blur=0.12)
    cross = float(rng.uniform(5, 12))
    painter.line(np.array([[-0.36, 0.0], [0.0, 0.01], [0.42, 0.0]]) * length, cross, 0.45, power=2, uneven=4)
    valve = np.array([[-0.06 * length, -0.38 * width], [-0.01 * length, 0.0], [-0.06 * length, 0.38 * width]])
    painter.line(valve, cross - 1, 0.4, power=2, uneven=4)
    return outer
