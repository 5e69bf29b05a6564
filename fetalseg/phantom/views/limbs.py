"""Arms and legs: segments with skin, soft tissue and bone, as the enlarged limb view and other views show them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from fetalseg.phantom.examination import Examination, Sizes
from fetalseg.phantom.scene import MUSCLE, Painter
from fetalseg.phantom.shapes import Points, Pose, blob, smooth
from fetalseg.phantom.views.hands_and_feet import paint_foot, paint_hand

__all__ = ["ARM", "LEG", "Limb", "joints", "paint_limb"]

ARM = ("upper_arm", "forearm", "hand")
LEG = ("thigh", "calf", "foot")

# Half widths at the root, a quarter, 60 % and the end of a segment, in its largest width: (front, back). The thigh
# tapers to the knee, the calf's muscle lies behind its upper half, the forearm tapers to the wrist.
_PROFILES = {
    "thigh": ((0.52, 0.50, 0.42, 0.36), (0.52, 0.52, 0.44, 0.36)),
    "calf": ((0.36, 0.34, 0.30, 0.25), (0.36, 0.62, 0.44, 0.26)),
    "upper_arm": ((0.50, 0.50, 0.44, 0.40), (0.50, 0.46, 0.44, 0.40)),
    "forearm": ((0.42, 0.50, 0.40, 0.29), (0.42, 0.46, 0.36, 0.29)),
}
_PAIRED_BONES = {"calf": True, "forearm": True, "thigh": False, "upper_arm": False}


@dataclass(frozen=True)
class Limb:
    """Segments that lie in the plane, from the trunk outwards, with the turn at each joint.

    Attributes:
        segments: names, neighbours in `ARM` or `LEG`.
        turns: radians at the start of each segment against the one before.
        front: 1 or -1: the side (positive or negative y) to which the limb's front and the toes look.
    """

    segments: tuple[str, ...]
    turns: tuple[float, ...]
    front: int = 1


def joints(limb: Limb, sizes: Sizes) -> tuple[Pose, ...]:
    """Where each segment begins and how it is turned, and the end of the last one; in mm of the limb."""
    joint = Pose()
    poses: list[Pose] = []
    for name, turn in zip(limb.segments, limb.turns, strict=True):
        here = Pose(joint.x, joint.y, joint.turn + turn)
        poses.append(here)
        end = here.apply(np.array([[sizes[name] * 0.97, 0.0]]))[0]
        joint = Pose(float(end[0]), float(end[1]), here.turn)
    return (*poses, joint)


def paint_limb(
    painter: Painter,
    limb: Limb,
    examination: Examination,
    rng: np.random.Generator,
    *,
    labelled: bool = True,
    side: int = 0,
) -> None:
    """Draws a limb whose first joint is the origin and whose first segment points along x.

    Args:
        painter: draws in mm of the limb.
        limb: which segments and how they are bent.
        examination: sizes and levels.
        rng: source of the irregularities.
        labelled: whether the segments get masks; else they are only noted as seen.
        side: which limb of the pair, 0 the left and 1 the right.
    """
    level = float(rng.uniform(-7, -1)) + examination.tissue_db["organ"]
    poses = list(zip(limb.segments, joints(limb, examination.sizes), strict=False))
    # the outermost segment is drawn first, so that at a joint the thicker segment covers the thinner one
    for name, pose in reversed(poses):
        here = painter.at(pose)
        if name == "hand":
            outline = paint_hand(here, examination, rng, level)
        elif name == "foot":
            outline = paint_foot(here, examination, rng, level, limb.front)
        else:
            outline = _paint_segment(here, name, examination, rng, level, limb.front)
        if labelled:
            here.label(name, outline, hides=True, side=side)
        else:
            here.see(name)


def _paint_segment(
    painter: Painter, name: str, examination: Examination, rng: np.random.Generator, level: float, front: int
) -> Points:
    outline = blob(_segment(name, examination.sizes, front), rng, 0.03)
    painter.tissue(outline, level, loss=MUSCLE, texture=2.6, blur=0.12)
    painter.line(outline, 9.0 + examination.tissue_db["line"], 0.35, power=3, uneven=3.5, closed=True)
    _bones(painter, name, examination, rng)
    return outline


def _segment(name: str, sizes: Sizes, front: int) -> Points:
    """Outline of a long segment from joint to joint, with round ends; its front lies at y of the sign of `front`."""
    length, width = sizes[name], sizes[f"{name}_width"]
    at = (0.0, 0.25, 0.6, 1.0)
    ahead, behind = ([half * width for half in side] for side in _PROFILES[name])
    knots = [(-0.22 * width, 0.0), *((t * length, half) for t, half in zip(at, ahead, strict=True))]
    knots += [(length + 0.16 * width, 0.0)]
    knots += [(t * length, -half) for t, half in zip(at[::-1], behind[::-1], strict=True)]
    return smooth(knots, closed=True, per_span=5) * (1.0, front)


def _bones(painter: Painter, name: str, examination: Examination, rng: np.random.Generator) -> None:
    """The ossified shaft: one bright line, or two in calf and forearm, with dim cartilage at both ends."""
    length, width = examination.sizes[name], examination.sizes[f"{name}_width"]
    level = 18.0 + examination.tissue_db["bone"]
    rows = (-0.16 * width, 0.15 * width) if _PAIRED_BONES[name] else (float(rng.normal(0.0, 0.04)) * width,)
    thick, weaker = float(rng.uniform(0.5, 0.85)), float(rng.uniform(0, 6))
    for number, y in enumerate(rows):
        reach = float(rng.uniform(0.35, 0.41)) * length * (0.93 if number else 1.0)
        x = np.linspace(-reach, reach, 11)
        bow = y + float(rng.normal(0, 0.04)) * width * np.cos(math.pi / 2 * x / reach)
        shaft = np.stack([x + length / 2, bow], axis=1)
        painter.line(shaft, level - 12, thick, power=0, uneven=3)
        painter.line(shaft, level - number * weaker, thick, power=3, bone=0.7, uneven=3)
