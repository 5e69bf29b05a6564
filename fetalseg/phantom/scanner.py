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
    """

    height: int
    width: int
    mm_per_px: float
    apex: tuple[float, float]
    radius_mm: tuple[float, float]
    angle: tuple[float, float]

    @property
    def size_mm(self) -> tuple[float, float]:
        """(width, height) in mm."""
        return self.width * self.mm_per_px, self.height * self.mm_per_px

    @property
    def middle(self) -> tuple[float, float]:
        """(x, y) in mm of the middle of what is scanned: on the axis, halfway down from the probe or the upper edge."""
        top = max(0.0, self.apex[1] + self.radius_mm[0])
        bottom = min(self.size_mm[1], self.apex[1] + self.radius_mm[1])
        return (self.apex[0] + self.size_mm[0] / 2) / 2, (top + bottom) / 2

    def wander(self, rng: np.random.Generator) -> tuple[float, float]:
        """A place near the middle, where an operator may have put the structure of interest."""
        x, y = self.middle
        width, height = self.size_mm
        return x + width * float(rng.uniform(-0.1, 0.1)), y + height * float(rng.uniform(-0.06, 0.08))

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
    fine = examination.probe == "transvaginal"
    face = examination.console.radius_mm
    half = math.radians(float(rng.uniform(55, 75) if fine else rng.uniform(30, 37)))
    kind = rng.choice(["zoomed", "top", "whole"], p=[0.7, 0.2, 0.1])
    if kind == "whole":
        width_mm *= float(rng.uniform(1.2, 1.6))
    centre = width_mm * float(rng.uniform(0.42, 0.58))
    mm = width_mm / width
    height_mm = height * mm
    if kind == "whole":
        # the whole fan fits: from the probe's face at the top to the far arc at the bottom
        above = face * math.cos(half) - height_mm * float(rng.uniform(0.01, 0.06))
        return Sector(height, width, mm, (centre, -above), (face, above + height_mm * 0.985), (-half, half))
    if kind == "top":
        above = face - height_mm * float(rng.uniform(0.02, 0.16))
        far = above + height_mm * float(rng.uniform(0.98, 1.2))
        return Sector(height, width, mm, (centre, -above), (face, far), (-half, half))
    depth = float(rng.uniform(6, 25) if fine else rng.uniform(20, 60))
    above = face + depth
    if rng.random() < 0.35:
        left, right = -1.5, 1.5
    else:
        # the zoom box ends on two beams, so that its sides slant; one of them may lie outside of the frame
        top = width_mm * rng.uniform(0.02, 0.16, size=2)
        left = -math.atan2(centre - float(top[0]), above)
        right = math.atan2(width_mm - float(top[1]) - centre, above)
    corner = math.atan2(max(centre, width_mm - centre), above)
    far = (above + height_mm) / (1.0 if rng.random() < 0.7 else 1.02)
    reach = math.hypot(max(centre, width_mm - centre), above + height_mm)
    return Sector(
        height,
        width,
        mm,
        (centre, -above),
        (above * 0.999, reach if far >= above + height_mm else far),
        (max(left, -corner), min(right, corner)),
    )
