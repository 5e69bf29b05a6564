"""Chest, axial: the four-chamber heart two thirds left of the midline between grey lungs, ribs, spine behind."""

from __future__ import annotations

import math

import numpy as np

from fetalseg.phantom.examination import Examination
from fetalseg.phantom.motion import Motion
from fetalseg.phantom.scene import BLOOD, MUSCLE, Painter, Scene
from fetalseg.phantom.shapes import Pose, ellipse
from fetalseg.phantom.views.trunk import place_trunk, ribs, vertebra

__all__ = ["field_mm", "paint"]


def field_mm(examination: Examination, rng: np.random.Generator) -> float:
    """The chest takes 30 to 65 % of the frame's width."""
    return examination.sizes["thoracic_circumference"] / math.pi / float(rng.uniform(0.30, 0.65))


def paint(scene: Scene, examination: Examination, rng: np.random.Generator, motion: Motion) -> None:
    """Draws the chest near the middle of the frame at any angle."""
    painter, skin, (a, b) = place_trunk(scene, examination, "thoracic_circumference", rng, motion, widest=1.06)
    painter.hide(skin)
    painter.tissue(skin, -3.0 + examination.tissue_db["wall"], loss=MUSCLE, blur=0.12)
    painter.line(skin * (1 - 0.25 / a), 9.0, 0.5, power=5, closed=True)
    lung = 1.0 + examination.tissue_db["organ"]
    painter.tissue(skin * ((a - 1.9) / a), lung, texture=1.8, blur=0.3)
    ribs(painter, a, b, examination, rng, int(rng.integers(5, 11)))
    vertebra(painter, 0.60 * b, float(rng.uniform(3.0, 4.0)), examination)
    painter.tissue(ellipse(-1.6, 0.36 * b, 0.8, 0.8), -30.0, loss=BLOOD, blur=0.1)
    _heart(painter, examination, a, b, rng, motion)
    painter.label("thoracic_circumference", skin)


def _heart(
    painter: Painter, examination: Examination, a: float, b: float, rng: np.random.Generator, motion: Motion
) -> None:
    """Axis 45 +- 15 degrees to the left (negative x); apex to the front (negative y)."""
    length, width = examination.sizes["heart_length"], examination.sizes["heart_width"]
    axis = math.radians(float(rng.normal(45, 8)))
    pose = Pose(-0.14 * a, -0.14 * b, -math.pi / 2 - axis)
    heart = painter.at(pose)
    outer = ellipse(0.0, 0.0, length / 2, width / 2)
    outer[:, 1] *= 1 - 0.22 * outer[:, 0] / (length / 2)
    beat = 0.5 + 0.5 * motion.squeeze
    outer = outer * beat
    heart.tissue(outer * 1.1, -3.0, blur=0.2)
    heart.tissue(outer, -5.0 + examination.tissue_db["organ"], loss=MUSCLE, texture=2.0, blur=0.12)
    heart.line(outer, 8.0, 0.5, power=3, closed=True)
    squeeze = motion.squeeze
    blood = float(rng.uniform(-38, -28))
    # apex along +x: ventricles in front of the valves, atria behind them
    for side in (-1, 1):
        ventricle = ellipse(
            0.19 * length, side * 0.20 * width, 0.20 * length * squeeze, 0.135 * width * squeeze, side * -0.2
        )
        atrium = ellipse(-0.23 * length, side * 0.22 * width, 0.15 * length / squeeze, 0.165 * width / squeeze)
        heart.tissue(ventricle, blood, loss=BLOOD, texture=1.0, blur=0.12)
        heart.tissue(atrium, blood, loss=BLOOD, texture=1.0, blur=0.12)
    heart.line(np.array([[-0.36, 0.0], [0.42, 0.0]]) * length, 11.0, 0.6, power=2)
    valve = np.array([[-0.06 * length, -0.38 * width], [-0.01 * length, 0.0], [-0.06 * length, 0.38 * width]])
    heart.line(valve, 10.0, 0.5, power=2)
    heart.label("heart", outer)
