"""Belly, axial: liver right, stomach bubble left, a short umbilical vein, the cord's insertion, spine behind."""

from __future__ import annotations

import math

import numpy as np

from fetalseg.phantom.examination import Examination
from fetalseg.phantom.motion import Motion
from fetalseg.phantom.scene import FLUID, MUSCLE, Painter, Scene
from fetalseg.phantom.shapes import Pose, blob, ellipse, ribbon, smooth
from fetalseg.phantom.views.trunk import place_trunk, ribs, vertebra

__all__ = ["field_mm", "paint"]


def field_mm(examination: Examination, rng: np.random.Generator) -> float:
    """The belly takes 30 to 65 % of the frame's width."""
    return examination.sizes["abdominal_circumference"] / math.pi / float(rng.uniform(0.30, 0.65))


def paint(scene: Scene, examination: Examination, rng: np.random.Generator, motion: Motion) -> None:
    """Draws the belly near the middle of the frame at any angle."""
    painter, skin, (a, b) = place_trunk(scene, examination, "abdominal_circumference", rng, motion, widest=1.08)
    insertion = bool(rng.random() < 0.5)
    if insertion:
        _cord(painter, b, examination, rng)
    painter.hide(skin)
    painter.tissue(skin, -1.0 + examination.tissue_db["wall"], loss=MUSCLE, blur=0.12)
    painter.line(skin * (1 - 0.25 / a), 10.0, 0.5, power=5, closed=True)
    painter.tissue(skin * ((a - 1.6) / a), -5.0 + examination.tissue_db["organ"], texture=3.0, blur=0.3)
    liver = blob(ellipse(0.30 * a, -0.12 * b, 0.52 * a, 0.62 * b), rng, 0.06)
    painter.tissue(liver, -1.0 + examination.tissue_db["organ"], texture=1.6, blur=0.4)
    for _ in range(int(rng.integers(2, 6))):
        x, y = float(rng.uniform(-0.5, 0.1)) * a, float(rng.uniform(-0.3, 0.45)) * b
        painter.tissue(blob(ellipse(x, y, 2.0, 1.4), rng, 0.15), float(rng.uniform(2, 7)), blur=0.4)
    ribs(painter, a, b, examination, rng, int(rng.integers(0, 4)))
    vertebra(painter, 0.62 * b, float(rng.uniform(3.0, 4.0)), examination)
    for side in (-1, 1):
        painter.tissue(ellipse(side * 0.36 * a, 0.50 * b, 1.9, 1.4), -7.0, blur=0.3)
    if rng.random() < 0.6:
        _vein(painter, a, b, rng)
    if rng.random() < 0.66:
        _stomach(painter, examination, a, b, rng)
    painter.label("abdominal_circumference", skin)


def _stomach(painter: Painter, examination: Examination, a: float, b: float, rng: np.random.Generator) -> None:
    length, width = examination.sizes["stomach_length"], examination.sizes["stomach_width"]
    shape = ellipse(0.0, 0.0, length / 2, width / 2)
    shape[:, 1] += 0.16 * width * (shape[:, 0] / (length / 2)) ** 2
    place = Pose(-float(rng.uniform(0.34, 0.46)) * a, float(rng.uniform(-0.22, 0.12)) * b, float(rng.uniform(0.4, 1.9)))
    stomach = painter.at(place)
    shape = blob(shape, rng, 0.05)
    stomach.tissue(shape, -48.0, loss=FLUID, texture=0.5, blur=0.1)
    stomach.line(shape, 9.0 + examination.tissue_db["line"], 0.45, power=4, closed=True)
    stomach.label("stomach", shape)


def _vein(painter: Painter, a: float, b: float, rng: np.random.Generator) -> None:
    """The umbilical vein's part inside the liver: a dark tube with bright walls, bent to the right."""
    curve = smooth([(0.0, -0.75 * b), (0.03 * a, -0.45 * b), (0.16 * a, -0.18 * b)])
    curve = curve[int(rng.integers(0, len(curve) // 2)) :]
    tube = ribbon(curve, 1.3)
    painter.tissue(tube, -34.0, loss=FLUID, blur=0.1)
    painter.line(tube, 7.0, 0.35, power=4, closed=True)


def _cord(painter: Painter, b: float, examination: Examination, rng: np.random.Generator) -> None:
    """The cord leaves the front midline; until a CRL of about 55 mm loops of gut lie in its base."""
    curve = smooth([(0.0, -0.9 * b), (0.4, -1.15 * b), (1.5, -1.4 * b), (3.0, -1.75 * b)])
    broad = float(rng.uniform(2.2, 3.2))
    painter.tissue(ribbon(curve, broad), 0.0, blur=0.2)
    painter.line(ribbon(curve, broad), 8.0, 0.4, power=4, closed=True)
    painter.tissue(ribbon(curve, broad * 0.35), -28.0, loss=FLUID, blur=0.15)
    if examination.crl_mm < 57:
        painter.tissue(blob(ellipse(0.3, -1.12 * b, 2.2, 2.0), rng, 0.1), 6.0, blur=0.3)
