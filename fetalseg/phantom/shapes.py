"""Curves and outlines in millimetres, and where they are put.

Points are float64 [N, 2] as (x, y), x to the right and y down. An outline is closed without repeating its first point.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = [
    "Points",
    "Pose",
    "arc",
    "blob",
    "capsule",
    "ellipse",
    "normals",
    "offset",
    "polygon_area",
    "resample",
    "ribbon",
    "shifted",
    "smooth",
]

Points = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Pose:
    """A similarity transform: mirror left-right, scale, turn, then shift.

    Attributes:
        x: shift to the right.
        y: shift down.
        turn: radians, from x towards y (clockwise on the screen).
        scale: factor on every length.
        mirror: whether x is negated first.
    """

    x: float = 0.0
    y: float = 0.0
    turn: float = 0.0
    scale: float = 1.0
    mirror: bool = False

    def apply(self, points: Points) -> Points:
        """The points [N, 2] in the outer frame of coordinates."""
        cos, sin = self.scale * math.cos(self.turn), self.scale * math.sin(self.turn)
        x = -points[:, 0] if self.mirror else points[:, 0]
        y = points[:, 1]
        return np.stack([cos * x - sin * y + self.x, sin * x + cos * y + self.y], axis=1)

    def inside(self, outer: Pose) -> Pose:
        """This pose given in the coordinates of `outer`, as one pose: `outer.apply(self.apply(p))`."""
        x, y = outer.apply(np.array([[self.x, self.y]]))[0]
        turn = outer.turn + (-self.turn if outer.mirror else self.turn)
        return Pose(float(x), float(y), turn, self.scale * outer.scale, self.mirror != outer.mirror)


def ellipse(x: float, y: float, a: float, b: float, turn: float = 0.0, count: int = 72) -> Points:
    """An ellipse with semi-axes a (along x) and b, turned by `turn` radians about its centre."""
    return Pose(x, y, turn).apply(arc(0.0, 0.0, a, b, 0.0, 2.0 * math.pi, count + 1)[:-1])


def arc(x: float, y: float, a: float, b: float, start: float, end: float, count: int = 40) -> Points:
    """An open piece of an ellipse between two parameter angles in radians (0 right, pi/2 down)."""
    t = np.linspace(start, end, count)
    return np.stack([x + a * np.cos(t), y + b * np.sin(t)], axis=1)


def blob(outline: Points, rng: np.random.Generator, roughness: float, waves: int = 5) -> Points:
    """The outline pushed in and out along its radii by a few random waves; `roughness` is relative to the radius."""
    centre: Points = outline.mean(axis=0)
    t = np.linspace(0.0, 2.0 * math.pi, len(outline), endpoint=False)
    factor = np.ones_like(t)
    for wave in range(2, 2 + waves):
        amplitude, phase = rng.normal(0.0, roughness / wave), rng.uniform(0.0, 2.0 * math.pi)
        factor += amplitude * np.cos(wave * t + phase)
    pushed: Points = centre + (outline - centre) * factor[:, None]
    return pushed


def smooth(knots: Points | list[tuple[float, float]], *, closed: bool = False, per_span: int = 8) -> Points:
    """A Catmull-Rom curve through the knots."""
    p = np.asarray(knots, np.float64)
    before, after = (p[-1:], p[:2]) if closed else (2 * p[:1] - p[1:2], 2 * p[-1:] - p[-2:-1])
    p = np.concatenate([before, p, after])
    t = np.linspace(0.0, 1.0, per_span, endpoint=False)[None, :, None]
    p0, p1, p2, p3 = (p[i : len(p) - 3 + i, None, :] for i in range(4))
    curve = 0.5 * (2 * p1 + (p2 - p0) * t + (2 * p0 - 5 * p1 + 4 * p2 - p3) * t**2 + (3 * p1 - p0 - 3 * p2 + p3) * t**3)
    points: Points = curve.reshape(-1, 2)
    return points if closed else np.concatenate([points, p[-2:-1]])


def resample(curve: Points, step: float) -> Points:
    """Points about every `step` along an open curve, both ends kept."""
    s = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(curve, axis=0).T))])
    at = np.linspace(0.0, s[-1], max(2, round(float(s[-1]) / step) + 1))
    return np.stack([np.interp(at, s, curve[:, 0]), np.interp(at, s, curve[:, 1])], axis=1)


def normals(curve: Points, *, closed: bool = False) -> Points:
    """Unit normals [N, 2] of a curve: to the right of its direction as seen on the screen (y down)."""
    around = np.concatenate([curve[-1:], curve, curve[:1]]) if closed else curve
    tangent = np.gradient(around, axis=0)[1:-1] if closed else np.gradient(around, axis=0)
    length = np.maximum(np.hypot(tangent[:, 0], tangent[:, 1]), 1e-9)
    unit: Points = np.stack([-tangent[:, 1] / length, tangent[:, 0] / length], axis=1)
    return unit


def offset(curve: Points, distance: float | npt.NDArray[np.float64], *, closed: bool = False) -> Points:
    """The curve shifted along its normals."""
    moved: Points = curve + normals(curve, closed=closed) * np.broadcast_to(distance, len(curve))[:, None]
    return moved


def shifted(points: Points, x: float, y: float) -> Points:
    """The points moved by (x, y)."""
    moved: Points = points + np.array([x, y])
    return moved


def ribbon(curve: Points, width: float | npt.NDArray[np.float64]) -> Points:
    """The outline of a strip of a width (one, or one per point) along an open curve, with square ends."""
    half = np.broadcast_to(np.asarray(width, np.float64) / 2.0, len(curve))
    return np.concatenate([offset(curve, half), offset(curve, -half)[::-1]])


def capsule(length: float, width_start: float, width_end: float, bulge: float = 0.0) -> Points:
    """A limb segment along x from 0 to `length`: round ends, widths at both ends, `bulge` added in the middle."""
    t = np.linspace(0.0, 1.0, 17)
    half = 0.5 * (width_start + (width_end - width_start) * t + bulge * np.sin(math.pi * t))
    upper = np.stack([t * length, -half], axis=1)
    lower = np.stack([t[::-1] * length, half[::-1]], axis=1)
    end = arc(length, 0.0, 0.35 * width_end, width_end / 2, -math.pi / 2, math.pi / 2, 9)
    start = arc(0.0, 0.0, 0.35 * width_start, width_start / 2, math.pi / 2, 1.5 * math.pi, 9)
    return np.concatenate([upper[1:-1], end, lower[1:-1], start])


def polygon_area(outline: Points) -> float:
    """Area enclosed by an outline (shoelace formula)."""
    x, y = outline[:, 0], outline[:, 1]
    return abs(float(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1)))) / 2.0
