"""Where the beams run through a frame: the sector, its crop, and the way between pixels and beams."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
import numpy.typing as npt

from fetalseg.phantom.examination import Examination
from fetalseg.phantom.shapes import Points

__all__ = ["Sector", "draw_sector"]

Map = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Sector:
    """The part of a fan-shaped scan that a frame shows.

    Coordinates are mm in the frame: (0, 0) is its upper left corner, y points down, away from the probe.

    Attributes:
        height: pixels.
        width: pixels.
        mm_per_px: size of a pixel, the same both ways.
        apex: (x, y) where all beams would meet, in mm; above the frame unless the frame shows the whole fan.
        radius_mm: (from, to) distance from the apex that is scanned.
        angle: (from, to) in radians from straight down, positive to the right.
        aim: where the operator keeps the structure of interest, from the middle of what is scanned, as shares of the
            frame's (width, height).
    """

    height: int
    width: int
    mm_per_px: float
    apex: tuple[float, float]
    radius_mm: tuple[float, float]
    angle: tuple[float, float]
    aim: tuple[float, float] = (0.0, 0.0)

    @property
    def size_mm(self) -> tuple[float, float]:
        """(width, height) in mm."""
        return self.width * self.mm_per_px, self.height * self.mm_per_px

    @property
    def middle(self) -> tuple[float, float]:
        """(x, y) in mm of the middle of what is scanned: halfway down, and there between the outermost beams."""
        width, height = self.size_mm
        x, y = self.apex
        middle = (max(0.0, y + self.radius_mm[0]) + min(height, y + self.radius_mm[1])) / 2
        left, right = (min(max(x + (middle - y) * math.tan(angle), 0.0), width) for angle in self.angle)
        return (left + right) / 2, middle

    def wander(self, rng: np.random.Generator) -> tuple[float, float]:
        """A place near the middle and the operator's aim, where the structure of interest may lie in one frame."""
        x, y = self.middle
        width, height = self.size_mm
        dx, dy = (float(rng.normal(aim, 0.02)) for aim in self.aim)
        return x + width * dx, y + height * dy

    @cached_property
    def _polar(self) -> tuple[Map, Map]:
        """Distance from the apex in mm and angle in radians of every pixel's centre, each [H, W]."""
        x = (np.arange(self.width, dtype=np.float32) + 0.5) * np.float32(self.mm_per_px) - np.float32(self.apex[0])
        y = (np.arange(self.height, dtype=np.float32) + 0.5) * np.float32(self.mm_per_px) - np.float32(self.apex[1])
        xx, yy = np.meshgrid(x, y)
        # cartToPolar measures from its first argument, so that straight down is angle 0; it answers 0..2 pi
        radius, angle = cv2.cartToPolar(yy, xx)
        angle = np.where(angle > np.float32(math.pi), angle - np.float32(2 * math.pi), angle)
        return np.asarray(radius, np.float32), np.asarray(angle, np.float32)

    @cached_property
    def inside(self) -> npt.NDArray[np.bool_]:
        """Bool [H, W]: pixels that the scan reaches."""
        radius, angle = self._polar
        near, far = self.radius_mm
        within: npt.NDArray[np.bool_] = (radius >= near) & (radius <= far)
        within &= (angle >= self.angle[0]) & (angle <= self.angle[1])
        return within

    @cached_property
    def beam_grid(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Distances from the apex [R] in mm and angles [T] in radians at which beams are sampled."""
        step = min(max(0.11, self.mm_per_px), 0.2)
        span = self.radius_mm[1] - self.radius_mm[0]
        middle = sum(self.radius_mm) / 2
        beams = round((self.angle[1] - self.angle[0]) * middle / 0.19)
        return (
            np.linspace(*self.radius_mm, int(np.clip(span / step, 64, 640))),
            np.linspace(*self.angle, int(np.clip(beams, 96, 420))),
        )

    def to_beams(self, image: Map) -> Map:
        """Samples a map [H, W] along the beams: [R, T]; outside of the frame its edge goes on."""
        radius, angle = self.beam_grid
        x = (self.apex[0] + np.outer(radius, np.sin(angle))) / self.mm_per_px - 0.5
        y = (self.apex[1] + np.outer(radius, np.cos(angle))) / self.mm_per_px - 0.5
        maps = x.astype(np.float32), y.astype(np.float32)
        sampled = cv2.remap(image, *maps, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        return np.asarray(sampled, np.float32)

    def to_pixels(self, beams: Map) -> Map:
        """Scan conversion: [R, T] to [H, W]; outside of the sector the value means nothing."""
        radius, angle = self._polar
        near, far = self.radius_mm
        rows, columns = beams.shape
        y = (radius - np.float32(near)) * np.float32((rows - 1) / (far - near))
        x = (angle - np.float32(self.angle[0])) * np.float32((columns - 1) / (self.angle[1] - self.angle[0]))
        pixels = cv2.remap(beams, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        return np.asarray(pixels, np.float32)

    def beam_directions(self, points: Points) -> Points:
        """Unit vectors [N, 2] of the beams through points in frame mm."""
        away: Points = points - np.asarray(self.apex)
        return away / np.maximum(np.hypot(away[:, 0], away[:, 1]), 1e-9)[:, None]


def draw_sector(rng: np.random.Generator, examination: Examination, height: int, width: int, width_mm: float) -> Sector:
    """How an operator may have zoomed: mostly a trapezoid or the full frame, at times the curved top or the whole fan.

    Args:
        rng: source of the draw.
        examination: gives the probe.
        height: of the frame, px.
        width: of the frame, px.
        width_mm: what the frame's width should be in mm.
    """
    console = examination.console
    face, aim = console.radius_mm, examination.lie.aim
    half = math.radians(console.half_angle_deg)
    kind = rng.choice(["zoomed", "top", "whole"], p=[0.7, 0.2, 0.1])
    if kind == "whole":
        width_mm *= float(rng.uniform(1.2, 1.6))
    centre = width_mm * float(rng.uniform(0.42, 0.58))
    mm = width_mm / width
    height_mm = height * mm
    if kind == "whole":
        # the whole fan fits: from the probe's face at the top to the far arc at the bottom
        above = face * math.cos(half) - height_mm * float(rng.uniform(0.01, 0.06))
        return Sector(height, width, mm, (centre, -above), (face, above + height_mm * 0.985), (-half, half), aim)
    if kind == "top":
        above = face - height_mm * float(rng.uniform(0.02, 0.16))
        far = above + height_mm * float(rng.uniform(0.98, 1.2))
        return Sector(height, width, mm, (centre, -above), (face, far), (-half, half), aim)
    return _zoomed(rng, height, width, mm, face + console.depth_mm * float(rng.uniform(0.9, 1.1)), half, aim)


def _zoomed(
    rng: np.random.Generator,
    height: int,
    width: int,
    mm: float,
    above: float,
    half: float,
    aim: tuple[float, float],
) -> Sector:
    """A part of the fan whose upper edge lies `above` mm below the apex, often well to one side of the fan's axis."""
    width_mm, height_mm = width * mm, height * mm
    # the middle of the upper edge may lie anywhere in the inner two thirds of a fan of this half angle
    aside = float(np.clip(rng.normal(0.0, 0.3), -0.67, 0.67)) * max(above * math.sin(half) - width_mm / 2, 0.0)
    centre = width_mm / 2 - aside
    upper = -math.atan2(centre, above), math.atan2(width_mm - centre, above)
    lower = -math.atan2(centre, above + height_mm), math.atan2(width_mm - centre, above + height_mm)
    if rng.random() < 0.35:
        angle = min(upper[0], lower[0]), max(upper[1], lower[1])
    else:
        # the zoom box ends on two beams, so that its sides slant; one of them may lie outside of the frame
        left, right = width_mm * rng.uniform(0.02, 0.16, size=2)
        angle = -math.atan2(centre - float(left), above), math.atan2(width_mm - float(right) - centre, above)
        angle = max(angle[0], min(upper[0], lower[0])), min(angle[1], max(upper[1], lower[1]))
    nearest = math.hypot(max(-centre, centre - width_mm, 0.0), above)
    reach = math.hypot(max(centre, width_mm - centre), above + height_mm)
    far = reach if rng.random() < 0.7 else 0.985 * math.hypot(centre - width_mm / 2, above + height_mm)
    return Sector(height, width, mm, (centre, -above), (nearest * 0.999, far), angle, aim)
