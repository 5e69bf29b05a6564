"""Head, axial: skull, falx, the two choroid plexuses in black ventricles; lower cuts show thalami and cerebellum."""

from __future__ import annotations

import math

import numpy as np

from fetalseg.phantom.examination import Examination
from fetalseg.phantom.motion import Motion
from fetalseg.phantom.scene import FLUID, Painter, Scene
from fetalseg.phantom.shapes import Points, Pose, blob, ellipse, ribbon, smooth
from fetalseg.phantom.surroundings import surround
from fetalseg.phantom.views.limbs import ARM, Limb, paint_limb

__all__ = ["field_mm", "paint"]

_SCALP_MM = 0.7


def field_mm(examination: Examination, rng: np.random.Generator) -> float:
    """The head takes 28 to 58 % of the frame's width."""
    return examination.sizes["ofd"] / float(rng.uniform(0.28, 0.58))


def paint(scene: Scene, examination: Examination, rng: np.random.Generator, motion: Motion) -> None:
    """Draws the head near the middle of the frame at any angle."""
    sizes = examination.sizes
    x, y = scene.sector.wander(rng)
    turn = float(rng.uniform(-math.pi, math.pi)) if rng.random() < 0.5 else float(rng.normal(0.0, 0.35))
    pose = Pose(x + motion.x_mm, y + motion.y_mm, turn + motion.turn, mirror=bool(rng.random() < 0.5))
    a, b = sizes["ofd"] / 2, sizes["bpd"] / 2
    outer = _skull(a, b)
    surround(scene.at(Pose()), pose.apply(outer), rng, roomy=float(rng.uniform(1.0, 1.35)))
    painter = scene.at(pose)
    if rng.random() < 0.3:
        _neighbour(painter, a, b, rng)
    if rng.random() < 0.22:
        _hand_near(painter, examination, rng, motion, a)
    scalp = outer * (1 + _SCALP_MM / a, 1 + _SCALP_MM / b)
    painter.hide(scalp)
    painter.tissue(scalp, -3.0, blur=0.2)
    painter.line(scalp, 4.0, 0.4, power=6, closed=True)
    brain = -9.0 + examination.tissue_db["brain"]
    painter.tissue(outer, brain, texture=3.0)
    low = bool(rng.random() < 0.2)
    if low:
        _lower_cut(painter, a, b, brain, rng)
    else:
        _ventricles(painter, examination, a, b, rng)
    _falx(painter, examination, a, rng)
    skull = sizes["skull"]
    ring = outer * (1 - skull / 2 / a, 1 - skull / 2 / b)
    painter.line(ring, 22.0 + examination.tissue_db["bone"], skull, power=4, bone=0.45, uneven=4.0, closed=True)
    painter.label("cranium", outer)


def _skull(a: float, b: float) -> Points:
    """Outer edge of the skull; the back of the head (positive x) is a little broader than the forehead."""
    outline = ellipse(0.0, 0.0, a, b)
    return outline * np.stack([np.ones(len(outline)), 1 + 0.05 * outline[:, 0] / a], axis=1)


def _falx(painter: Painter, examination: Examination, a: float, rng: np.random.Generator) -> None:
    half = 0.86 * a * float(rng.uniform(0.95, 1.05))
    thick = float(np.interp(examination.crl_mm, (45, 84), (1.0, 1.3)))
    tilt = float(rng.normal(0.0, 0.012))
    x = np.linspace(-half, half, 25)
    line = np.stack([x, tilt * x], axis=1)
    level = 13.0 + examination.tissue_db["line"]
    # a falx along the beam keeps what it scatters
    painter.tissue(ribbon(line, 0.9 * thick), level - 9, texture=3.0, blur=0.15)
    if rng.random() < 0.45:
        painter.line(line[:9], level, 0.8 * thick, power=4, uneven=3.5)
        painter.line(line[8:17], level - 8, 0.6 * thick, power=4, uneven=3.5)
        painter.line(line[16:], level, 0.8 * thick, power=4, uneven=3.5)
    else:
        painter.line(line, level, 0.8 * thick, power=4, uneven=3.5)
    painter.label("midline_falx", ribbon(line, thick + 0.4))


def _ventricles(painter: Painter, examination: Examination, a: float, b: float, rng: np.random.Generator) -> None:
    rim = float(rng.uniform(1.6, 3.0))
    gap = float(rng.uniform(0.8, 1.8))
    dark = float(rng.uniform(-38, -22))
    lost = rng.choice([-1, 0, 1], p=[0.08, 0.84, 0.08])  # the half next to the probe may drown in haze
    for side in (-1, 1):
        t = np.linspace(math.pi, 0.0, 28)
        outer = np.stack([0.9 * (a - rim) * np.cos(t), side * np.maximum((b - rim) * np.sin(t), gap)], axis=1)
        inner = np.array([[0.8 * (a - rim), side * gap], [-0.8 * (a - rim), side * gap]])
        cavity = blob(np.concatenate([outer, inner]), rng, 0.05)
        painter.tissue(cavity, dark, loss=FLUID, texture=2.0, blur=0.3)
        if side == lost:
            painter.tissue(np.concatenate([outer, inner]) * 1.02, -9.0, texture=3.0, blur=0.6)
            continue
        _plexus(painter, examination, a, b, side, rng)


def _plexus(
    painter: Painter, examination: Examination, a: float, b: float, side: int, rng: np.random.Generator
) -> None:
    """A teardrop, wide end behind."""
    length = examination.sizes["plexus"] * float(rng.uniform(0.9, 1.1))
    width = min(examination.sizes["plexus_width"] * float(rng.uniform(0.85, 1.1)), 0.62 * b)
    half = length / 2
    knots = [(-half, 0.0), (-0.55 * half, -0.26 * width), (0.1 * half, -0.45 * width), (0.65 * half, -0.46 * width)]
    knots += [(half, 0.0), (0.65 * half, 0.46 * width), (0.1 * half, 0.42 * width), (-0.55 * half, 0.2 * width)]
    shape = blob(smooth(knots, closed=True, per_span=6), rng, 0.06)
    turn = side * math.radians(float(rng.uniform(6, 18)))
    pose = Pose(float(rng.uniform(-0.04, 0.14)) * a, side * float(rng.uniform(0.38, 0.46)) * b, turn)
    here = painter.at(pose)
    here.tissue(shape, 5.0 + examination.tissue_db["plexus"], texture=2.6, blur=0.2)
    here.line(shape, 8.0 + examination.tissue_db["plexus"], 0.4, power=3, closed=True)
    here.label("choroid_plexus", shape)


def _lower_cut(painter: Painter, a: float, b: float, brain: float, rng: np.random.Generator) -> None:
    """Thalami beside the midline; the cerebellum's two lobes and the black of the cisterna behind."""
    for side in (-1, 1):
        thalamus = ellipse(-0.05 * a, side * 0.22 * b, 0.27 * a, 0.19 * b, side * 0.3)
        painter.tissue(thalamus, brain - float(rng.uniform(4, 10)), texture=2.0, blur=0.3)
        front = ellipse(-0.5 * a, side * 0.32 * b, 0.26 * a, 0.14 * b, side * -0.2)
        painter.tissue(front, -34.0, loss=FLUID, blur=0.3)
    painter.tissue(ellipse(0.66 * a, 0.0, 0.22 * a, 0.5 * b), -36.0, loss=FLUID, blur=0.4)
    for side in (-1, 1):
        painter.tissue(ellipse(0.5 * a, side * 0.22 * b, 0.17 * a, 0.22 * b), brain + 8.0, blur=0.25)


def _neighbour(painter: Painter, a: float, b: float, rng: np.random.Generator) -> None:
    """The shoulder or the face cut beside the head."""
    outline = blob(ellipse(a * float(rng.choice([-1.0, 1.0])) * 1.1, b * 0.5, 0.6 * a, 0.7 * b), rng, 0.15)
    painter.tissue(outline, float(rng.uniform(-6, 1)), blur=0.25)
    painter.line(outline, 8.0, 0.5, closed=True)


def _hand_near(painter: Painter, examination: Examination, rng: np.random.Generator, motion: Motion, a: float) -> None:
    start = int(rng.integers(1, 3))
    limb = Limb(ARM[start:], tuple(float(rng.normal(0, 0.3)) + motion.swing for _ in ARM[start:]))
    angle = float(rng.uniform(-math.pi, math.pi))
    away = a + float(rng.uniform(1.0, 3.0))
    pose = Pose(away * math.cos(angle), away * 0.9 * math.sin(angle), angle + float(rng.uniform(0.9, 1.5)))
    paint_limb(painter.at(pose), limb, examination, rng)
