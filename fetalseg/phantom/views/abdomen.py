"""Belly, axial: liver right, stomach bubble left, a short umbilical vein, the cord's insertion, spine behind."""

from __future__ import annotations

import math

import numpy as np

from fetalseg.phantom.examination import Examination
from fetalseg.phantom.motion import GONE, Motion
from fetalseg.phantom.scene import FLUID, MUSCLE, Painter, Scene
from fetalseg.phantom.shapes import Points, Pose, blob, ellipse, ribbon, shifted, smooth
from fetalseg.phantom.views.trunk import place_trunk, ribs, vertebra

__all__ = ["field_mm", "paint"]


def field_mm(examination: Examination, rng: np.random.Generator) -> float:
    """The belly takes 28 to 62 % of the frame's width."""
    return examination.sizes["abdominal_circumference"] / math.pi / float(rng.uniform(0.28, 0.62))


def paint(scene: Scene, examination: Examination, rng: np.random.Generator, motion: Motion) -> None:
    """Draws the belly near the middle of the frame as the fetus lies."""
    painter, skin, (a, b) = place_trunk(scene, examination, "abdominal_circumference", rng, motion, widest=1.10)
    if rng.random() < 0.5:
        _cord(painter, b, examination, rng)
    painter.hide(skin)
    wall = -3.0 + examination.tissue_db["wall"]
    painter.tissue(skin, wall, loss=MUSCLE, texture=3.0, blur=0.12)
    painter.line(skin * (1 - 0.25 / a), 8.0, 0.35, power=5, uneven=4, closed=True)
    gut = float(rng.uniform(-4, 1)) + examination.tissue_db["organ"]
    painter.tissue(skin * ((a - 1.5) / a), gut, texture=3.5, blur=0.3)
    liver = blob(ellipse(0.24 * a, -0.16 * b, 0.60 * a, 0.64 * b), rng, 0.07)
    painter.tissue(liver, float(rng.uniform(-6, -1)) + examination.tissue_db["organ"], texture=1.4, blur=0.35)
    for _ in range(int(rng.integers(2, 7))):
        x, y = float(rng.uniform(-0.6, 0.15)) * a, float(rng.uniform(-0.1, 0.5)) * b
        size = float(rng.uniform(0.8, 2.2))
        painter.tissue(blob(ellipse(x, y, size, 0.7 * size), rng, 0.15), float(rng.uniform(2, 8)), blur=0.3)
    ribs(painter, a, b, examination, rng, int(rng.choice([0, 1], p=[0.6, 0.4])))
    vertebra(painter, 0.64 * b, float(rng.uniform(3.0, 4.0)), examination)
    for side in (-1, 1):
        painter.tissue(ellipse(side * 0.34 * a, 0.52 * b, 1.9, 1.4), gut - 5.0, blur=0.3)
        painter.tissue(ellipse(side * 0.34 * a, 0.52 * b, 0.5, 0.3), -25.0, blur=0.2)
    if rng.random() < 0.85:
        _vein(painter, a, b, rng)
    if examination.stomach:
        _stomach(painter, examination, a, b, rng, motion)
    painter.label("abdominal_circumference", skin)


def _stomach(
    painter: Painter, examination: Examination, a: float, b: float, rng: np.random.Generator, motion: Motion
) -> None:
    length = examination.sizes["stomach_length"]
    width = examination.sizes["stomach_width"]
    place = Pose(-float(rng.uniform(0.34, 0.48)) * a, float(rng.uniform(-0.28, 0.14)) * b, float(rng.uniform(0.3, 2.0)))
    bend, level = float(rng.uniform(0.0, 0.28)), float(rng.uniform(-50, -38))
    shape: Points = ellipse(0.0, 0.0, length / 2, width / 2)
    shape[:, 1] += bend * width * (shape[:, 0] / (length / 2)) ** 2
    shape[:, 1] *= 1 + 0.18 * shape[:, 0] / (length / 2)
    shape = blob(shape, rng, 0.06)
    shown = motion.shown(0.75)
    stomach = painter.at(Pose(place.x, place.y, place.turn, shown))
    stomach.tissue(shape, level, loss=FLUID, texture=0.5, blur=0.12)
    stomach.line(shape, float(rng.uniform(3, 9)) + examination.tissue_db["line"], 0.3, power=4, uneven=4, closed=True)
    if shown > GONE:
        stomach.label("stomach", shape)


def _vein(painter: Painter, a: float, b: float, rng: np.random.Generator) -> None:
    """The umbilical vein's part inside the liver: a dark tube with bright walls, bent to the right."""
    bend = float(rng.uniform(0.08, 0.26))
    curve = smooth([(0.0, -0.80 * b), (0.03 * a, -0.48 * b), (bend * a, -0.18 * b), (1.6 * bend * a, 0.0)])
    first, last = int(rng.integers(0, len(curve) // 2)), int(rng.integers(len(curve) * 2 // 3, len(curve) + 1))
    tube = ribbon(curve[first:last], float(rng.uniform(1.0, 1.7)))
    painter.tissue(tube, float(rng.uniform(-40, -28)), loss=FLUID, blur=0.12)
    painter.line(tube, float(rng.uniform(3, 9)), 0.3, power=4, uneven=3, closed=True)


def _cord(painter: Painter, b: float, examination: Examination, rng: np.random.Generator) -> None:
    """The cord leaves the front midline; until a CRL of about 55 mm loops of gut lie in its base."""
    sway = rng.normal(0.0, 1.0, size=3).tolist()
    curve = smooth(
        [(0.0, -0.9 * b), (0.2 * sway[0], -1.15 * b), (1.0 * sway[1], -1.45 * b), (2.4 * sway[2], -1.85 * b)]
    )
    broad = float(rng.uniform(2.0, 3.2))
    painter.tissue(ribbon(curve, broad), float(rng.uniform(-5, 1)), blur=0.2)
    painter.line(ribbon(curve, broad), 7.0, 0.3, power=4, uneven=4, closed=True)
    for shift in (-0.26, 0.24):
        vessel = shifted(curve, shift * broad, 0.0)
        painter.tissue(ribbon(vessel, broad * 0.24), -30.0, loss=FLUID, blur=0.12)
    if examination.crl_mm < 57:
        herniated = blob(ellipse(0.1, -1.12 * b, float(rng.uniform(1.6, 2.8)), 1.9), rng, 0.12)
        painter.tissue(herniated, float(rng.uniform(2, 7)), texture=3.0, blur=0.3)
