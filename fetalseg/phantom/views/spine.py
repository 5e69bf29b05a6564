"""Spine: the whole fetus from the side, a dotted line along its back, or from behind, two dotted rows."""

from __future__ import annotations

import math
from dataclasses import dataclass

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
    turn, mirror = examination.lie.back(rng, from_behind=not sagittal)
    scale = examination.crl_mm
    shown = 0.5 + 0.5 * motion.shown(1.2)
    curl = float(rng.uniform(0.0, 0.9)) if sagittal else float(rng.normal(0.0, 0.25))
    head, trunk = _profile(scale, rng) if sagittal else _from_behind(scale, rng)
    body = _Body(_curled(head, curl, scale), _curled(trunk, curl, scale), curl, scale)
    still = Pose(x, y, turn, 1.0, mirror)
    around = still.apply(np.concatenate([body.head, body.trunk]))
    surround(scene.at(Pose()), around, rng, roomy=float(rng.uniform(0.75, 1.05)), tight=0.1)
    painter = scene.at(Pose(x + motion.x_mm, y + motion.y_mm, turn + motion.turn, shown, mirror))
    if rng.random() < 0.6:
        _limbs(painter, examination, rng, motion, body, sagittal)
    _masses(painter, examination, rng, body)
    if sagittal:
        _organs(painter, examination, rng, body)
        _row_from_the_side(painter, examination, rng, body)
    else:
        _rows_from_behind(painter, examination, rng, body)


@dataclass(frozen=True, eq=False)
class _Body:
    """Outlines of a whole fetus in mm, and how it is curled.

    Attributes:
        head: [N, 2].
        trunk: [N, 2].
        curl: radians between the directions of neck and rump, positive towards the belly.
        scale: crown-rump length, mm.
    """

    head: Points
    trunk: Points
    curl: float
    scale: float

    def place(self, points: Points) -> Points:
        """Points of a straight fetus, in crown-rump lengths, in mm of this one."""
        return _curled(points * self.scale, self.curl, self.scale)


def _curled(points: Points, curl: float, scale: float) -> Points:
    """Bends x (from crown to rump) into an arc that turns by `curl` over one crown-rump length."""
    if abs(curl) < 1e-3:
        return points
    radius = scale / curl
    angle = points[:, 0] / radius
    # the belly lies at negative y, on the inner side of the arc
    away = radius + points[:, 1]
    return np.stack([away * np.sin(angle), away * np.cos(angle) - radius], axis=1)


def _profile(scale: float, rng: np.random.Generator) -> tuple[Points, Points]:
    """Head and trunk from the side; x from crown to rump around the middle, the back at positive y."""
    head = [(-0.50, 0.02), (-0.48, -0.10), (-0.40, -0.18), (-0.31, -0.195), (-0.275, -0.17), (-0.245, -0.185)]
    head += [(-0.225, -0.165), (-0.20, -0.15), (-0.175, -0.12), (-0.17, -0.06), (-0.19, 0.05), (-0.24, 0.13)]
    head += [(-0.34, 0.17), (-0.44, 0.13)]
    belly = float(rng.uniform(0.11, 0.17))
    trunk = [(-0.26, 0.02), (-0.16, 0.0), (-0.10, -0.06), (0.05, -0.93 * belly), (0.2, -belly), (0.34, -0.65 * belly)]
    trunk += [(0.45, 0.0), (0.49, 0.08), (0.44, 0.115), (0.3, 0.15), (0.1, 0.16), (-0.08, 0.15), (-0.2, 0.15)]
    trunk += [(-0.3, 0.155)]
    shapes = (np.array(part) + rng.normal(0.0, 0.005, size=(len(part), 2)) for part in (head, trunk))
    first, second = (smooth(shape, closed=True) * scale for shape in shapes)
    return first, second


def _from_behind(scale: float, rng: np.random.Generator) -> tuple[Points, Points]:
    head = blob(ellipse(-0.35, 0.0, 0.16, 0.15), rng, 0.03) * scale
    wide = float(rng.uniform(0.85, 1.1))
    half = [(-0.25, 0.05), (-0.19, 0.11), (-0.08, 0.155), (0.1, 0.145), (0.25, 0.13), (0.38, 0.115), (0.47, 0.0)]
    mirrored = [(x, -y) for x, y in half[-2::-1]]
    return head, smooth([*half, *mirrored], closed=True) * (scale, scale * wide)


def _masses(painter: Painter, examination: Examination, rng: np.random.Generator, body: _Body) -> None:
    wall = -4.0 + examination.tissue_db["wall"]
    line = 8.0 + examination.tissue_db["line"]
    head, trunk = body.head, body.trunk
    painter.tissue(head, wall, texture=3.0, blur=0.2)
    painter.tissue(trunk, wall, loss=MUSCLE, texture=4.0, blur=0.2)
    painter.line(trunk, line, 0.4, power=5, uneven=4, closed=True)
    centre = body.place(np.array([[-0.36, -0.01]]))[0]
    level = -9.0 + examination.tissue_db["brain"]
    brain = blob(ellipse(float(centre[0]), float(centre[1]), 0.125 * body.scale, 0.14 * body.scale), rng, 0.04)
    painter.tissue(brain, level, texture=4.0, blur=0.3)
    for _ in range(int(rng.integers(2, 7))):
        x, y = (centre + rng.normal(0.0, 0.05, size=2) * body.scale).tolist()
        size = float(rng.uniform(0.012, 0.05)) * body.scale
        patch = blob(ellipse(x, y, size, 0.7 * size), rng, 0.2)
        painter.tissue(patch, level + float(rng.normal(-4, 8)), texture=3.0, blur=0.4)
    skull = centre + (brain - centre) * 1.06
    bone = float(rng.uniform(12, 20)) + examination.tissue_db["bone"]
    painter.line(skull, bone - 16, 0.6, power=0, uneven=4, closed=True)
    painter.line(skull, bone, 0.8, power=5, bone=0.6, uneven=4, closed=True)


def _organs(painter: Painter, examination: Examination, rng: np.random.Generator, body: _Body) -> None:
    scale = body.scale
    (x, y), (u, v), (s, t), (bx, by) = body.place(
        np.array([[-0.02, 0.0], [0.14, -0.05], [0.15, 0.0], [0.36, 0.0]])
    ).tolist()
    lung = blob(ellipse(x, y + 0.04 * scale, 0.10 * scale, 0.08 * scale), rng, 0.1)
    painter.tissue(lung, float(rng.uniform(-3, 2)), texture=2.0, blur=0.5)
    if rng.random() < 0.6:
        painter.tissue(blob(ellipse(x, y, 0.055 * scale, 0.045 * scale), rng, 0.1), -18.0, loss=BLOOD, blur=0.4)
        painter.see("heart")
    painter.tissue(blob(ellipse(u, v, 0.09 * scale, 0.06 * scale), rng, 0.1), float(rng.uniform(-4, 0)), blur=0.5)
    in_plane = rng.random() < 0.88
    if examination.stomach and in_plane:
        painter.tissue(ellipse(s, t, 2.2, 1.5), -45.0, loss=FLUID, blur=0.15)
        painter.see("stomach")
    if rng.random() < 0.3:
        painter.tissue(ellipse(bx, by, 1.8, 1.3), -45.0, loss=FLUID, blur=0.15)


def _row_from_the_side(painter: Painter, examination: Examination, rng: np.random.Generator, body: _Body) -> None:
    """Bodies in front, arches behind, along a gentle C from the skull to the sacrum."""
    bend = float(rng.uniform(-0.01, 0.02))
    knots = [(-0.22, 0.095), (-0.1, 0.105 + bend), (0.1, 0.12 + bend), (0.3, 0.115), (0.40, 0.085), (0.455, 0.045)]
    curve = body.place(smooth(knots))
    curve = _of_length(curve, examination.sizes["spine"])
    apart = float(rng.uniform(1.5, 2.2))
    narrow = np.linspace(1.0, 0.6, len(curve))
    for side in (-0.5, 0.5):
        _dots(painter, offset(curve, side * apart * narrow), examination, rng)
    painter.label("spine", ribbon(curve, (apart + 1.3) * narrow + 0.2))


def _rows_from_behind(painter: Painter, examination: Examination, rng: np.random.Generator, body: _Body) -> None:
    """Two rows 2 to 3 mm apart that meet at the sacrum; ribs leave them in the chest."""
    bow = float(rng.normal(0.0, 0.015))
    curve = body.place(smooth([(-0.2, 0.0), (-0.05, bow), (0.15, 1.3 * bow), (0.3, bow), (0.44, 0.0)]))
    curve = _of_length(curve, examination.sizes["spine"])
    apart = float(rng.uniform(2.0, 3.0))
    along = np.linspace(0.0, 1.0, len(curve))
    narrow = np.where(along > 0.75, 1.0 - 2.4 * (along - 0.75), 1.0)
    level = 12.0 + examination.tissue_db["bone"]
    for share in np.linspace(0.12, 0.5, 9).tolist():
        x, y = curve[int(share * (len(curve) - 1))].tolist()
        reach = body.scale * 0.105 * math.sin(math.pi * (0.25 + share))
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
    body: _Body,
    sagittal: bool,
) -> None:
    """Arms and legs before the trunk or at its sides; seen, and not labelled in this view."""
    front = -0.12 if sagittal else float(rng.choice([-0.14, 0.14]))
    for chain, x in ((ARM, -0.12), (LEG, 0.32)):
        if rng.random() < 0.7:
            count = int(rng.integers(1, 4))
            turns = tuple(float(rng.normal(0.0, 0.7)) + motion.swing for _ in range(count))
            at = body.place(np.array([[x, front]]))[0]
            pose = Pose(float(at[0]), float(at[1]), math.copysign(1.2, front) + float(rng.normal(0, 0.6)))
            paint_limb(painter.at(pose), Limb(chain[:count], turns), examination, rng, labelled=False)
