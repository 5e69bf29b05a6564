"""Spine: the whole fetus from the side, a dotted line along its back, or from behind, two dotted rows."""

from __future__ import annotations

import math

import numpy as np

from fetalseg.phantom.examination import Examination
from fetalseg.phantom.motion import Motion
from fetalseg.phantom.scene import BLOOD, FLUID, MUSCLE, Painter, Scene
from fetalseg.phantom.shapes import Points, Pose, arc, blob, ellipse, offset, ribbon, smooth
from fetalseg.phantom.surroundings import surround
from fetalseg.phantom.views.limbs import ARM, LEG, Limb, paint_limb

__all__ = ["field_mm", "paint"]

_VERTEBRAE = 30


def field_mm(examination: Examination, rng: np.random.Generator) -> float:
    """The whole fetus, or a closer look at its back."""
    share = float(rng.uniform(0.95, 1.5)) if rng.random() < 0.6 else float(rng.uniform(0.7, 0.95))
    return examination.crl_mm * share


def paint(scene: Scene, examination: Examination, rng: np.random.Generator, motion: Motion) -> None:
    """Draws the fetus along the frame, head left or right, back up or down (sagittal) or seen from behind."""
    x, y = scene.sector.wander(rng)
    sagittal = bool(rng.random() < 0.72)
    turn = float(rng.normal(0.0, 0.22)) + motion.turn
    if sagittal and rng.random() < 0.4:
        turn += math.pi
    scale = examination.crl_mm
    pose = Pose(
        x + motion.x_mm,
        y + motion.y_mm,
        turn,
        mirror=bool(rng.random() < 0.5),
    )
    if sagittal:
        head, trunk = _profile(scale, rng)
    else:
        head, trunk = _from_behind(scale, rng)
    surround(scene.at(Pose()), pose.apply(np.concatenate([head, trunk])), rng, roomy=float(rng.uniform(0.9, 1.2)))
    painter = scene.at(pose)
    if rng.random() < 0.6:
        _limbs(painter, examination, rng, motion, scale, sagittal)
    _masses(painter, examination, rng, head, trunk)
    if sagittal:
        _organs(painter, rng, scale)
        _row_from_the_side(painter, examination, rng, scale)
    else:
        _rows_from_behind(painter, examination, rng, scale)


def _profile(scale: float, rng: np.random.Generator) -> tuple[Points, Points]:
    """Head and trunk from the side; x from crown to rump around the middle, the back at positive y."""
    bend = float(rng.uniform(0.02, 0.06))
    head = [(-0.50, 0.0), (-0.47, -0.11), (-0.38, -0.185), (-0.28, -0.18), (-0.22, -0.15), (-0.2, -0.10)]
    head += [(-0.17, -0.05), (-0.2, 0.05), (-0.24, 0.13), (-0.33, 0.175), (-0.43, 0.13)]
    trunk = [(-0.26, 0.02), (-0.16, 0.0), (-0.10, -0.06), (0.05, -0.13), (0.2, -0.14), (0.36, -0.09), (0.46, 0.0)]
    trunk += [(0.49, 0.08), (0.44, 0.13 - bend), (0.3, 0.165), (0.1, 0.165), (-0.08, 0.15), (-0.2, 0.155), (-0.3, 0.16)]
    return smooth(head, closed=True) * scale, smooth(trunk, closed=True) * scale


def _from_behind(scale: float, rng: np.random.Generator) -> tuple[Points, Points]:
    head = ellipse(-0.35, 0.0, 0.16, 0.15) * scale
    wide = float(rng.uniform(0.9, 1.1))
    half = [(-0.24, 0.05), (-0.17, 0.10), (-0.05, 0.15), (0.1, 0.145), (0.25, 0.13), (0.38, 0.10), (0.47, 0.0)]
    mirrored = [(x, -y) for x, y in half[-2::-1]]
    return head, smooth([*half, *mirrored], closed=True) * (scale, scale * wide)


def _masses(painter: Painter, examination: Examination, rng: np.random.Generator, head: Points, trunk: Points) -> None:
    wall = -3.0 + examination.tissue_db["wall"]
    line = 10.0 + examination.tissue_db["line"]
    painter.tissue(head, -4.0, blur=0.2)
    painter.tissue(trunk, wall, loss=MUSCLE, texture=3.0, blur=0.2)
    painter.line(trunk, line, 0.6, power=5, closed=True)
    brain = head.mean(axis=0) + (head - head.mean(axis=0)) * 0.86
    painter.tissue(brain, -12.0 + examination.tissue_db["brain"], texture=3.5, blur=0.3)
    centre = head.mean(axis=0)
    dark = blob(ellipse(float(centre[0]), float(centre[1]), 4.0, 2.2), rng, 0.15)
    painter.tissue(dark, -30.0, loss=FLUID, blur=0.5)
    painter.line(
        centre + (head - centre) * 0.94, 18.0 + examination.tissue_db["bone"], 1.0, power=5, bone=0.6, closed=True
    )


def _organs(painter: Painter, rng: np.random.Generator, scale: float) -> None:
    if rng.random() < 0.6:
        painter.tissue(ellipse(-0.02 * scale, 0.0, 0.055 * scale, 0.045 * scale), -20.0, loss=BLOOD, blur=0.4)
        painter.see("heart")
    if rng.random() < 0.5:
        painter.tissue(ellipse(0.14 * scale, -0.01 * scale, 2.2, 1.5), -45.0, loss=FLUID, blur=0.15)
        painter.see("stomach")
    painter.tissue(ellipse(0.13 * scale, -0.06 * scale, 0.08 * scale, 0.05 * scale), 0.0, blur=0.5)
    if rng.random() < 0.3:
        painter.tissue(ellipse(0.36 * scale, -0.01 * scale, 1.8, 1.3), -45.0, loss=FLUID, blur=0.15)


def _row_from_the_side(painter: Painter, examination: Examination, rng: np.random.Generator, scale: float) -> None:
    """Bodies in front, arches behind, along a gentle C from the skull to the sacrum."""
    bend = float(rng.uniform(-0.01, 0.02))
    knots = [(-0.22, 0.095), (-0.1, 0.105 + bend), (0.1, 0.12 + bend), (0.3, 0.115), (0.40, 0.085), (0.455, 0.045)]
    curve = smooth(knots) * scale
    curve = _of_length(curve, examination.sizes["spine"])
    apart = float(rng.uniform(1.5, 2.2))
    narrow = np.linspace(1.0, 0.6, len(curve))
    for side in (-0.5, 0.5):
        _dots(painter, offset(curve, side * apart * narrow), examination, rng)
    painter.label("spine", ribbon(curve, (apart + 1.3) * narrow + 0.2))


def _rows_from_behind(painter: Painter, examination: Examination, rng: np.random.Generator, scale: float) -> None:
    """Two rows 2 to 3 mm apart that meet at the sacrum; ribs leave them in the chest."""
    bow = float(rng.normal(0.0, 0.015))
    curve = smooth([(-0.2, 0.0), (-0.05, bow), (0.15, 1.3 * bow), (0.3, bow), (0.44, 0.0)]) * scale
    curve = _of_length(curve, examination.sizes["spine"])
    apart = float(rng.uniform(2.0, 3.0))
    along = np.linspace(0.0, 1.0, len(curve))
    narrow = np.where(along > 0.75, 1.0 - 2.4 * (along - 0.75), 1.0)
    level = 12.0 + examination.tissue_db["bone"]
    for share in np.linspace(0.12, 0.5, 9).tolist():
        x, y = curve[int(share * (len(curve) - 1))].tolist()
        reach = scale * 0.105 * math.sin(math.pi * (0.25 + share))
        for side in (-1, 1):
            rib = arc(x - 0.5, y, 2.5, side * reach, 0.25, 1.3, 9)
            painter.line(rib, level + float(rng.normal(0, 3)), 0.6, power=1.5, bone=0.4)
    for half in (-0.5, 0.5):
        _dots(painter, offset(curve, half * apart * narrow), examination, rng)
    painter.label("spine", ribbon(curve, (apart + 1.0) * narrow + 0.3))


def _of_length(curve: Points, length: float) -> Points:
    """The curve cut or shortened to a length from its first point, sampled once per vertebra and between."""
    steps = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(curve, axis=0).T))])
    kept = min(length, float(steps[-1]))
    at = np.linspace(0.0, kept, 2 * _VERTEBRAE + 1)
    return np.stack([np.interp(at, steps, curve[:, 0]), np.interp(at, steps, curve[:, 1])], axis=1)


def _dots(painter: Painter, curve: Points, examination: Examination, rng: np.random.Generator) -> None:
    level = 17.0 + examination.tissue_db["bone"]
    pitch = float(np.hypot(*(curve[2] - curve[0])))
    for x, y in curve[1::2].tolist():
        dot = ellipse(x, y, 0.30 * pitch, 0.42, count=12)
        painter.tissue(dot, level + float(rng.normal(0, 2.0)), loss=2.5, texture=1.5, blur=0.1)


def _limbs(
    painter: Painter,
    examination: Examination,
    rng: np.random.Generator,
    motion: Motion,
    scale: float,
    sagittal: bool,
) -> None:
    """Arms and legs before the trunk or at its sides; seen, and not labelled in this view."""
    front = -0.12 if sagittal else float(rng.choice([-0.14, 0.14]))
    for chain, x in ((ARM, -0.12), (LEG, 0.32)):
        if rng.random() < 0.7:
            count = int(rng.integers(1, 4))
            turns = tuple(float(rng.normal(0.0, 0.7)) + motion.swing for _ in range(count))
            pose = Pose(x * scale, front * scale, math.copysign(1.2, front) + float(rng.normal(0, 0.6)))
            paint_limb(painter.at(pose), Limb(chain[:count], turns), examination, rng, labelled=False)
