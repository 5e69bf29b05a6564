"""Head, axial: skull, falx, the two choroid plexuses in black ventricles; lower cuts show thalami and cerebellum."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from fetalseg.phantom.examination import Examination
from fetalseg.phantom.motion import GONE, Motion
from fetalseg.phantom.scene import FLUID, Painter, Scene
from fetalseg.phantom.shapes import Points, Pose, blob, ellipse, ribbon, smooth
from fetalseg.phantom.surroundings import surround
from fetalseg.phantom.views.limbs import ARM, Limb, paint_limb

__all__ = ["field_mm", "paint"]

Cut = Literal["butterfly", "even", "lower"]

_SCALP_MM = 0.7


def field_mm(examination: Examination, rng: np.random.Generator) -> float:
    """The head takes 26 to 62 % of the frame's width, 41 % in the middle of them."""
    return examination.sizes["ofd"] / float(np.clip(rng.lognormal(math.log(0.41), 0.25), 0.26, 0.62))


@dataclass(frozen=True)
class _Brain:
    """How this cut of the brain looks.

    Attributes:
        cut: with plexuses in black ventricles, with everything about equally bright, or below the plexuses.
        level: of brain tissue, dB.
        texture: its unevenness, dB.
        fluid: level of the ventricles, dB.
        lost: side whose half drowns in the echoes of the near skull, 0 for none.
    """

    cut: Cut
    level: float
    texture: float
    fluid: float
    lost: int


def _draw_brain(examination: Examination, rng: np.random.Generator) -> _Brain:
    cuts: tuple[Cut, ...] = ("butterfly", "even", "lower")
    cut = cuts[int(rng.choice(3, p=[0.46, 0.38, 0.16]))]
    level = (-9.0 if cut != "even" else -6.0) + examination.tissue_db["brain"] + float(rng.normal(0.0, 1.5))
    fluid = float(rng.uniform(-44, -24) if cut == "butterfly" else rng.uniform(-28, -13))
    lost = int(rng.choice([-1, 0, 1], p=[0.05, 0.90, 0.05]))
    return _Brain(cut, level, float(rng.uniform(2.5, 5.5)), fluid, lost)


def paint(scene: Scene, examination: Examination, rng: np.random.Generator, motion: Motion) -> None:
    """Draws the head near the middle of the frame as the fetus lies."""
    sizes = examination.sizes
    x, y = scene.sector.wander(rng)
    turn, mirror = examination.lie.head(rng)
    shown = motion.shown(1.5)
    pose = Pose(x + motion.x_mm, y + motion.y_mm, turn + motion.turn, shown, mirror)
    a, b = sizes["ofd"] / 2, sizes["bpd"] / 2
    outer = _skull(a, b, rng)
    surround(scene.at(Pose()), Pose(x, y, turn, 1.0, mirror).apply(outer), rng, roomy=1.1)
    painter = scene.at(pose)
    beside, hand = rng.random() < 0.35, rng.random() < 0.25
    if beside:
        _neighbour(painter, a, b, rng)
    if hand:
        _hand_near(painter, examination, rng, motion, a)
    brain = _draw_brain(examination, rng)
    scalp = outer * (1 + _SCALP_MM / a, 1 + _SCALP_MM / b)
    painter.hide(scalp)
    painter.tissue(scalp, float(rng.uniform(-22, -4)), blur=0.25)
    painter.line(scalp, float(rng.uniform(-8, 4)), 0.3, power=6, uneven=4, closed=True)
    painter.tissue(outer, brain.level, texture=brain.texture)
    _patches(painter, a, b, brain, rng)
    if brain.cut == "lower":
        _lower_cut(painter, a, b, brain, rng)
    else:
        _ventricles(painter, examination, a, b, brain, rng, motion)
    if rng.random() < 0.985:
        _falx(painter, examination, a, brain, rng, motion)
    _ring(painter, examination, outer, rng)
    painter.label("cranium", outer)


def _skull(a: float, b: float, rng: np.random.Generator) -> Points:
    """Outer edge of the skull; the back of the head (positive x) is a little broader than the forehead."""
    outline = ellipse(0.0, 0.0, a, b)
    broader = float(rng.uniform(0.0, 0.08))
    outline = outline * np.stack([np.ones(len(outline)), 1 + broader * outline[:, 0] / a], axis=1)
    return blob(outline, rng, 0.012)


def _ring(painter: Painter, examination: Examination, outer: Points, rng: np.random.Generator) -> None:
    """The bright line of the skull, its outer edge on the outline, with gaps at the sutures."""
    thick = examination.sizes["skull"] * float(rng.uniform(0.45, 0.8))
    centre = outer.mean(axis=0)
    radius = np.hypot(*(outer - centre).T)[:, None]
    ring = centre + (outer - centre) * (1 - thick / 2 / radius)
    level = float(rng.uniform(10, 24)) + examination.tissue_db["bone"]
    uneven = float(rng.uniform(3, 8))
    # bone that the beam meets at a flat angle still scatters a little
    painter.line(ring, level - float(rng.uniform(15, 30)), thick, power=0, uneven=5, closed=True)
    painter.line(ring, level, thick, power=float(rng.uniform(2.5, 7)), bone=0.34, uneven=uneven, closed=True)
    for _ in range(int(rng.integers(0, 4))):
        at = int(rng.integers(len(ring)))
        x, y = ring[at].tolist()
        size = float(rng.uniform(0.8, 2.2)) * thick
        painter.tissue(ellipse(x, y, size, 0.8 * size), -8.0, blur=0.35)


def _patches(painter: Painter, a: float, b: float, brain: _Brain, rng: np.random.Generator) -> None:
    """Cortex, sulci and vessels that a thick image plane smears into bright and dark patches and short bright lines."""
    busy = float(rng.uniform(0.3, 1.0))
    for _ in range(int(16 * busy)):
        x, y = (rng.uniform(-0.8, 0.8, size=2) * (a, b)).tolist()
        size = rng.uniform(0.06, 0.22, size=2) * b
        patch = blob(ellipse(x, y, float(size[0]) * 1.4, float(size[1]), float(rng.uniform(0, 3.1))), rng, 0.2)
        painter.tissue(patch, brain.level + float(rng.normal(-2, 9 * busy)), texture=brain.texture, blur=0.4)
    for _ in range(int(rng.integers(0, int(12 * busy)))):
        x, y = (rng.uniform(-0.75, 0.75, size=2) * (a, b)).tolist()
        reach = float(rng.uniform(0.1, 0.3)) * b
        line = Pose(x, y, float(rng.normal(0, 0.5))).apply(np.array([[-reach, 0.0], [0.0, 0.1 * reach], [reach, 0.0]]))
        painter.line(line, float(rng.uniform(-2, 8)), 0.35, power=2)


def _falx(
    painter: Painter, examination: Examination, a: float, brain: _Brain, rng: np.random.Generator, motion: Motion
) -> None:
    half = 0.86 * a * float(rng.uniform(0.94, 1.06))
    thick = float(np.interp(examination.crl_mm, (45, 84), (1.0, 1.3)))
    tilt, bow = float(rng.normal(0.0, 0.02)), float(rng.normal(0.0, 0.25))
    x = np.linspace(-half, half, 25)
    line = np.stack([x, tilt * x + bow * (1 - (x / half) ** 2)], axis=1)
    level = float(rng.uniform(3, 12)) + examination.tissue_db["line"] - (2.5 if brain.cut == "even" else 0.0)
    broken, dim = rng.random() < 0.6, float(rng.uniform(4, 14))
    clear = float(rng.uniform(9, 18))
    ends = float(rng.uniform(0.0, 5.0))
    shown = motion.shown(0.8)
    level += 20 * math.log10(shown)
    # a falx along the beam keeps what it scatters
    painter.tissue(ribbon(line, 0.5 * thick), max(level - clear, brain.level + 2), texture=5.0, blur=0.2)
    painter.line(line[:9], level, 0.4 * thick, power=4, uneven=6)
    painter.line(line[8:17], level - (dim if broken else 0.0), 0.4 * thick, power=4, uneven=6)
    painter.line(line[16:], level - ends, 0.4 * thick, power=4, uneven=6)
    if shown > GONE:
        painter.label("midline_falx", ribbon(line, thick + 0.4))


def _ventricles(
    painter: Painter,
    examination: Examination,
    a: float,
    b: float,
    brain: _Brain,
    rng: np.random.Generator,
    motion: Motion,
) -> None:
    rim, gap = float(rng.uniform(1.4, 2.8)), float(rng.uniform(0.7, 1.6))
    reach = rng.uniform(0.72, 0.92, size=2)
    for number, side in enumerate((-1, 1)):
        t = np.linspace(math.pi, 0.0, 28)
        half = np.where(np.cos(t) < 0, reach[0], reach[1]) * (a - rim)
        outer = np.stack([half * np.cos(t), side * np.maximum((b - rim) * np.sin(t), gap)], axis=1)
        inner = np.array([[0.9 * half[-1], side * gap], [-0.9 * half[0], side * gap]])
        cavity = blob(np.concatenate([outer, inner]), rng, 0.09)
        painter.tissue(cavity, brain.fluid, loss=FLUID, texture=3.0, blur=0.35)
        here = np.random.default_rng(rng.integers(2**31))
        if side == brain.lost:
            painter.tissue(np.concatenate([outer, inner]) * 1.02, brain.level, texture=brain.texture, blur=0.6)
        else:
            _plexus(painter, examination, b, number, here, motion)


def _plexus(
    painter: Painter, examination: Examination, b: float, number: int, rng: np.random.Generator, motion: Motion
) -> None:
    """A teardrop, wide end behind, lobed and grainy; it fills most of the ventricle. Number 0 is the left one."""
    side = 2 * number - 1
    length = examination.sizes["plexus"] * float(rng.uniform(0.88, 1.25))
    width = min(examination.sizes["plexus_width"] * float(rng.uniform(0.9, 1.5)), 0.78 * b)
    half = length / 2
    knots = [(-half, 0.0), (-0.55 * half, -0.30 * width), (0.1 * half, -0.46 * width), (0.65 * half, -0.48 * width)]
    knots += [(half, 0.0), (0.65 * half, 0.48 * width), (0.1 * half, 0.44 * width), (-0.55 * half, 0.26 * width)]
    shape = blob(smooth(knots, closed=True, per_span=6), rng, 0.18, waves=7)
    turn = side * math.radians(float(rng.uniform(4, 18)))
    place = Pose(float(rng.uniform(-0.08, 0.18)) * length, side * float(rng.uniform(0.40, 0.50)) * b, turn)
    level = float(rng.normal(2.5, 2.5)) + examination.tissue_db["plexus"]
    edge, texture = float(rng.uniform(-4, 7)), float(rng.uniform(2.5, 4.5))
    shown = motion.shown(0.9)
    here = painter.at(place)
    shape = shape * shown
    here.tissue(shape, level - 6 * (1 - shown), texture=texture, blur=0.3)
    here.line(shape, level + edge - 3, 0.3, power=3, uneven=4, closed=True)
    if shown > GONE:
        here.label("choroid_plexus", shape, side=number)


def _lower_cut(painter: Painter, a: float, b: float, brain: _Brain, rng: np.random.Generator) -> None:
    """Thalami beside the midline; the cerebellum's two lobes and the black of the cisterna behind."""
    shift = float(rng.uniform(-0.1, 0.1)) * a
    for side in (-1, 1):
        thalamus = ellipse(shift - 0.05 * a, side * 0.22 * b, 0.27 * a, 0.19 * b, side * 0.3)
        painter.tissue(blob(thalamus, rng, 0.08), brain.level - float(rng.uniform(4, 10)), texture=2.0, blur=0.3)
        front = ellipse(shift - 0.5 * a, side * 0.32 * b, 0.26 * a, 0.14 * b, side * -0.2)
        painter.tissue(blob(front, rng, 0.1), -30.0, loss=FLUID, blur=0.3)
    if rng.random() < 0.7:
        painter.tissue(ellipse(0.66 * a, 0.0, 0.22 * a, 0.5 * b), -32.0, loss=FLUID, blur=0.4)
        for side in (-1, 1):
            lobe = blob(ellipse(0.5 * a, side * 0.22 * b, 0.17 * a, 0.22 * b), rng, 0.08)
            painter.tissue(lobe, brain.level + 6.0, texture=brain.texture, blur=0.25)


def _neighbour(painter: Painter, a: float, b: float, rng: np.random.Generator) -> None:
    """Shoulder, face or neck cut beside the head."""
    angle = float(rng.uniform(-math.pi, math.pi))
    x, y = 1.15 * a * math.cos(angle), 1.15 * b * math.sin(angle)
    outline = blob(ellipse(x, y, float(rng.uniform(0.3, 0.7)) * a, float(rng.uniform(0.3, 0.7)) * b), rng, 0.15)
    painter.tissue(outline, float(rng.uniform(-8, 1)), texture=3.0, blur=0.25)
    painter.line(outline, float(rng.uniform(2, 9)), 0.4, uneven=4, closed=True)


def _hand_near(painter: Painter, examination: Examination, rng: np.random.Generator, motion: Motion, a: float) -> None:
    start = int(rng.integers(1, 3))
    limb = Limb(ARM[start:], tuple(float(rng.normal(0, 0.3)) + motion.swing for _ in ARM[start:]))
    angle = float(rng.uniform(-math.pi, math.pi))
    away = a + float(rng.uniform(1.0, 3.0))
    pose = Pose(away * math.cos(angle), away * 0.9 * math.sin(angle), angle + float(rng.uniform(0.9, 1.5)))
    paint_limb(painter.at(pose), limb, examination, rng, side=int(pose.y > 0))
