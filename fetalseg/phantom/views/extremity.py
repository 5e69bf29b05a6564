"""Extremity: an enlarged limb of one to three segments, or both limbs of a pair, in black fluid.

A limb always hangs together, so that what it is joined to tells its segments apart: a thigh leaves the hip, an upper
arm the shoulder beside the ribs, and a limb whose upper part lies outside of the plane fades out there.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from fetalseg.phantom.examination import Examination, Sizes
from fetalseg.phantom.motion import Motion
from fetalseg.phantom.scene import MUSCLE, Painter, Scene
from fetalseg.phantom.shapes import Points, Pose, arc, blob, ellipse, ribbon
from fetalseg.phantom.surroundings import surround
from fetalseg.phantom.views.limbs import ARM, LEG, Limb, joints, paint_limb

__all__ = ["LimbPlan", "draw_plan", "field_mm", "paint"]

# First and last segment in the plane and how often. Solved so that the shares of frames that show each segment are
# those of Hong et al., Table 3: thigh 0.52, hand 0.46, calf 0.39, forearm 0.35, foot 0.33, upper arm 0.29.
_LEG_PARTS = {(0, 0): 0.28, (0, 1): 0.13, (0, 2): 0.47, (1, 2): 0.08, (2, 2): 0.04}
_ARM_PARTS = {(0, 0): 0.05, (0, 1): 0.05, (0, 2): 0.48, (1, 2): 0.17, (2, 2): 0.25}
_KINDS = {"leg": 0.49, "arm": 0.42, "both": 0.09}
_PAIR = 0.4


@dataclass(frozen=True)
class LimbPlan:
    """What an enlarged limb picture shows.

    Attributes:
        limbs: in the order of importance; the second one may belong to the other side or to the other pair.
        pair: whether the second limb is the first one's partner.
    """

    limbs: tuple[Limb, ...]
    pair: bool


def draw_plan(rng: np.random.Generator) -> LimbPlan:
    """Which limbs and segments lie in the plane and how they are bent."""
    kind = str(rng.choice(list(_KINDS), p=list(_KINDS.values())))
    chains = {"leg": (LEG,), "arm": (ARM,), "both": (LEG, ARM)}[kind]
    limbs = [_draw_limb(chain, _draw_part(chain, rng), rng, int(rng.choice([-1, 1]))) for chain in chains]
    pair = kind != "both" and bool(rng.random() < _PAIR)
    if pair:
        first = limbs[0]
        part = chains[0].index(first.segments[0]), chains[0].index(first.segments[-1])
        limbs.append(_draw_limb(chains[0], part, rng, first.front))
    return LimbPlan(tuple(limbs), pair)


def _draw_part(chain: tuple[str, ...], rng: np.random.Generator) -> tuple[int, int]:
    parts = _LEG_PARTS if chain is LEG else _ARM_PARTS
    return list(parts)[int(rng.choice(len(parts), p=list(parts.values())))]


def _draw_limb(chain: tuple[str, ...], part: tuple[int, int], rng: np.random.Generator, front: int) -> Limb:
    """Knees bend backwards, elbows forwards, feet are turned up a little or stretched."""
    middle = float(rng.uniform(0.1, 1.9)) * (-front if chain is LEG else front)
    end = float(rng.normal(0.0, 0.25))
    turns = (0.0, middle, end)
    first, last = part
    return Limb(chain[first : last + 1], (0.0, *turns[first + 1 : last + 1]), front)


def field_mm(examination: Examination, rng: np.random.Generator) -> float:
    """An enlarged picture: 2.0 to 3.8 upper legs wide."""
    return examination.sizes["thigh"] * float(rng.uniform(2.0, 3.8))


def paint(scene: Scene, examination: Examination, rng: np.random.Generator, motion: Motion) -> None:
    """Draws one or two limbs, with a piece of the trunk where a limb begins at its root.

    The limb in the middle is the near one of its pair, the same in the whole examination. Limbs move freely, so their
    direction and posture belong to the frame.
    """
    width, height = scene.sector.size_mm
    plan, near = draw_plan(rng), examination.lie.near
    first = _moved(plan.limbs[0], motion)
    pose = _placed(scene, plan.limbs[0], examination.sizes, rng)
    around = np.array([[0.0, 0.0], [width, height]]) * float(rng.uniform(0.75, 1.1))
    around = np.concatenate([pose.apply(_reach(plan.limbs[0], examination.sizes)), around])
    surround(scene.at(Pose()), around, rng, roomy=float(rng.uniform(0.7, 1.1)), tight=0.1)
    shown = 0.5 + 0.5 * motion.shown(1.2)
    painter = scene.at(Pose(pose.x + motion.x_mm, pose.y + motion.y_mm, pose.turn + motion.turn, shown))
    if first.segments[0] in ("thigh", "upper_arm"):
        _root(painter, first.segments[0], examination, rng)
    else:
        _faded_stump(painter, first, examination, rng)
    if len(plan.limbs) > 1:
        other = _moved(plan.limbs[1], motion)
        beside = _beside(plan, examination.sizes, rng, (width, height))
        paint_limb(painter.at(beside), other, examination, rng, side=1 - near if plan.pair else near)
    paint_limb(painter, first, examination, rng, side=near)


def _moved(limb: Limb, motion: Motion) -> Limb:
    """The limb with its joints bent further by the fetus's movement."""
    bent = [turn + motion.swing * (0.8 if index else 0.3) for index, turn in enumerate(limb.turns)]
    return Limb(limb.segments, tuple(bent), limb.front)


def _reach(limb: Limb, sizes: Sizes) -> Points:
    """Joints and tip of a limb in its own mm."""
    return np.array([[pose.x, pose.y] for pose in joints(limb, sizes)])


def _placed(scene: Scene, limb: Limb, sizes: Sizes, rng: np.random.Generator) -> Pose:
    """The limb's middle near the frame's; of three directions the one that shows most of it."""
    width, height = scene.sector.size_mm
    reach = _reach(limb, sizes)
    x, y = scene.sector.wander(rng)
    best, lost = Pose(), math.inf
    for direction in rng.uniform(-math.pi, math.pi, size=3).tolist():
        middle = Pose(turn=direction).apply(reach.mean(axis=0, keepdims=True))[0]
        pose = Pose(x - float(middle[0]), y - float(middle[1]), direction)
        points = pose.apply(reach)
        outside = float(np.maximum(points - (width, height), 0).sum() - np.minimum(points, 0).sum())
        if outside < lost:
            best, lost = pose, outside
    return best


def _beside(plan: LimbPlan, sizes: Sizes, rng: np.random.Generator, frame: tuple[float, float]) -> Pose:
    """Where the second limb begins: beside the first one or across it, or elsewhere in the frame."""
    if plan.pair:
        side = float(rng.choice([-1.0, 1.0]))
        shift = side * sizes["thigh_width"] * float(rng.uniform(0.6, 1.5))
        return Pose(float(rng.normal(0, 1.5)), shift, float(rng.normal(-0.15 * side, 0.4)))
    x, y = (rng.uniform(-0.35, 0.35, size=2) * frame).tolist()
    return Pose(x, y, float(rng.uniform(-math.pi, math.pi)))


def _root(painter: Painter, name: str, examination: Examination, rng: np.random.Generator) -> None:
    """The trunk at the limb's root: buttock and iliac bone at the hip, ribs and shoulder blade at the shoulder."""
    size = examination.sizes["abdominal_circumference"] / math.pi / 2
    y = float(rng.normal(0, 0.35)) * size
    outline = blob(ellipse(-0.82 * size, y, 0.95 * size, 1.2 * size), rng, 0.07)
    painter.tissue(outline, -3.0 + examination.tissue_db["wall"], loss=MUSCLE, texture=3.0, blur=0.2)
    painter.line(outline, 8.0, 0.4, power=5, uneven=4, closed=True)
    inside = np.array([-0.82 * size, y]) + (outline - outline.mean(axis=0)) * 0.78
    painter.tissue(inside, -2.0 + examination.tissue_db["organ"], texture=3.0, blur=0.4)
    bone = 14.0 + examination.tissue_db["bone"]
    if name == "thigh":
        wing = arc(-0.45 * size, 0.1 * size, 0.35 * size, 0.5 * size, 2.2, 4.4, 12)
        painter.line(wing, bone, 0.6, power=2, bone=0.5)
        painter.tissue(ellipse(-0.75 * size, y, 1.4, 1.0), -40.0, blur=0.2)
        return
    for share in np.linspace(-0.75, 0.75, 6).tolist():
        x = -0.82 * size + 0.80 * size * math.sqrt(1 - share**2)
        painter.tissue(ellipse(x, y + share * 1.1 * size, 0.5, 0.4, count=12), bone - 4, loss=2.0, blur=0.1)
    blade = np.array([[-0.15 * size, 0.12 * size], [-0.45 * size, 0.35 * size]])
    painter.line(blade, bone, 0.7, power=2, bone=0.5)


def _faded_stump(painter: Painter, limb: Limb, examination: Examination, rng: np.random.Generator) -> None:
    """The part of the limb above its first segment here, half out of the plane: soft and dim."""
    above = {"calf": "thigh", "foot": "calf", "forearm": "upper_arm", "hand": "forearm"}[limb.segments[0]]
    width = 0.7 * examination.sizes[f"{above}_width"]
    reach = float(rng.uniform(0.25, 0.5)) * examination.sizes[above]
    turn = float(rng.normal(0.0, 0.5))
    x = np.linspace(0.3, -reach, 9)
    stump = ribbon(np.stack([x, x * math.tan(max(-0.9, min(0.9, turn)))], axis=1), np.linspace(width, 0.6 * width, 9))
    painter.tissue(stump, -18.0, loss=MUSCLE, texture=3.0, blur=0.9)
