"""Extremity: an enlarged limb of one to three segments, or both limbs of a pair, in black fluid."""

from __future__ import annotations

import math

import numpy as np

from fetalseg.phantom.examination import Examination
from fetalseg.phantom.motion import Motion
from fetalseg.phantom.scene import Scene
from fetalseg.phantom.shapes import Points, Pose, blob, ellipse
from fetalseg.phantom.surroundings import surround
from fetalseg.phantom.views.limbs import ARM, LEG, Limb, paint_limb

__all__ = ["field_mm", "paint"]


def field_mm(examination: Examination, rng: np.random.Generator) -> float:
    """An enlarged picture: 2.2 to 4 upper legs wide."""
    return examination.sizes["thigh"] * float(rng.uniform(2.2, 4.2))


def paint(scene: Scene, examination: Examination, rng: np.random.Generator, motion: Motion) -> None:
    """Draws one or two limbs, with a piece of the trunk where a limb begins at its root."""
    width, height = scene.sector.size_mm
    chain = LEG if rng.random() < 0.52 else ARM
    limb = _draw_limb(chain, rng, motion)
    both = bool(rng.random() < 0.4)
    direction = float(rng.uniform(-math.pi, math.pi))
    reach = _reach(limb, examination)
    middle = Pose(0, 0, direction).apply(reach.mean(axis=0, keepdims=True))[0]
    x, y = scene.sector.wander(rng)
    x, y = x - float(middle[0]) + motion.x_mm, y - float(middle[1]) + motion.y_mm
    pose = Pose(x, y, direction + motion.turn)
    frame = np.array([[0.0, 0.0], [width, height]])
    around = np.concatenate([pose.apply(reach), frame * float(rng.uniform(0.6, 1.0))])
    surround(scene.at(Pose()), around, rng, roomy=float(rng.uniform(0.9, 1.2)))
    painter = scene.at(pose)
    if limb.segments[0] in ("thigh", "upper_arm") and rng.random() < 0.75:
        _trunk(scene, pose, examination, rng)
    if both:
        shift = float(rng.choice([-1.0, 1.0])) * examination.sizes["thigh_width"] * float(rng.uniform(0.7, 1.5))
        other = _draw_limb(chain, rng, motion, count=len(limb.segments))
        beside = Pose(float(rng.normal(0, 2)), shift, -math.copysign(abs(float(rng.normal(0, 0.4))), shift))
        paint_limb(painter.at(beside), other, examination, rng)
    paint_limb(painter, limb, examination, rng)


def _draw_limb(chain: tuple[str, ...], rng: np.random.Generator, motion: Motion, count: int | None = None) -> Limb:
    if count is None:
        count = int(rng.choice([1, 2, 3], p=[0.2, 0.4, 0.4]))
    start = int(rng.integers(0, len(chain) - count + 1))
    bend = float(rng.choice([-1.0, 1.0]))
    turns = [0.0] + [bend * float(rng.uniform(0.0, 1.7)) for _ in range(2)]
    turns[2] = float(rng.normal(0.0, 0.35))
    names = chain[start : start + count]
    swung = [turn + motion.swing * (1.0 if index else 0.5) for index, turn in enumerate(turns[:count])]
    return Limb(names, tuple(swung))


def _reach(limb: Limb, examination: Examination) -> Points:
    """Joints and tip of a limb in its own mm."""
    points = [np.zeros(2)]
    turn = 0.0
    for name, bend in zip(limb.segments, limb.turns, strict=True):
        turn += bend
        points.append(points[-1] + examination.sizes[name] * np.array([math.cos(turn), math.sin(turn)]))
    return np.array(points)


def _trunk(scene: Scene, pose: Pose, examination: Examination, rng: np.random.Generator) -> None:
    """The edge of the trunk at the limb's root."""
    size = examination.sizes["abdominal_circumference"] / math.pi / 2
    outline = blob(ellipse(-0.8 * size, float(rng.normal(0, 2)), size, size * 1.2), rng, 0.08)
    trunk = scene.at(pose)
    trunk.tissue(outline, -2.0 + examination.tissue_db["wall"], texture=3.0, blur=0.2)
    trunk.line(outline, 9.0, 0.5, power=5, closed=True)
