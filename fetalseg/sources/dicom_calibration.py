"""What a DICOM file says about the size of its pixels and the pace of its frames."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from fetalseg.sources.dicom_values import numbers, positive

__all__ = ["CALIBRATION_TAGS", "Timing", "spacing_mm", "timing"]

CALIBRATION_TAGS = (
    "SequenceOfUltrasoundRegions",
    "PixelSpacing",
    "FrameTime",
    "FrameTimeVector",
    "CineRate",
    "RecommendedDisplayFrameRate",
)

_CENTIMETRES = 3  # PS3.3 C.8.5.5.1.15
_TWO_DIMENSIONAL = 1  # region spatial format: an image, not a trace
_AGREEMENT = 0.01


class Timing(NamedTuple):
    """Pace of a cine.

    Attributes:
        fps: frames per second, or None where the file doesn't say.
        interval_ms: from frame to frame where it is constant, else None.
        moments_ms: of each frame where the file gives every one, else empty.
    """

    fps: float | None = None
    interval_ms: float | None = None
    moments_ms: tuple[float, ...] = ()

    def timestamp_ms(self, index: int) -> float | None:
        """Time of frame `index` since the first, or None where the file doesn't say."""
        if self.moments_ms:
            return self.moments_ms[index]
        return None if self.interval_ms is None else index * self.interval_ms


def spacing_mm(header: Mapping[str, Any]) -> tuple[float, float] | None:
    """Size of a pixel (y, x) in mm, or None where it isn't known for the whole frame.

    The calibration of ultrasound regions comes first, then Pixel Spacing. A region that doesn't lie inside the frame
    was written for the image before it was scaled or cut, so it says nothing; where regions disagree by more than 1 %
    (two scans side by side at different depths) no single number is right.
    """
    regions = [r for r in header.get("SequenceOfUltrasoundRegions") or [] if _is_image(r)]
    if regions:
        if not all(_is_inside(region, header) for region in regions):
            return None
        sizes = [_size(region) for region in regions]
        first = sizes[0]
        if first is None or any(size is None or not _agree(size, first) for size in sizes):
            return None
        return first
    return _pair(header.get("PixelSpacing"))


def timing(header: Mapping[str, Any], frames: int) -> Timing:
    """Pace of a file of `frames` frames; a still has none.

    Frame Time and Frame Time Vector (what was acquired) come before Cine Rate and Recommended Display Frame Rate.
    """
    if frames < 2:
        return Timing()
    if interval := positive(header.get("FrameTime")):
        return Timing(1000 / interval, interval)
    steps = numbers(header.get("FrameTimeVector"))
    if len(steps) == frames and min(steps[1:]) > 0:
        # The first number is the time before the first frame, which the standard sets to 0.
        moments = tuple(itertools.accumulate(steps[1:], initial=0.0))
        return Timing(1000 * (frames - 1) / moments[-1], None, moments)
    rate = positive(header.get("CineRate")) or positive(header.get("RecommendedDisplayFrameRate"))
    return Timing(rate, 1000 / rate) if rate else Timing()


def _is_image(region: Mapping[str, Any]) -> bool:
    return (
        region.get("RegionSpatialFormat") == _TWO_DIMENSIONAL
        and region.get("PhysicalUnitsXDirection") == _CENTIMETRES
        and region.get("PhysicalUnitsYDirection") == _CENTIMETRES
    )


def _is_inside(region: Mapping[str, Any], header: Mapping[str, Any]) -> bool:
    corners = numbers([region.get(f"RegionLocation{end}") for end in ("MinX0", "MinY0", "MaxX1", "MaxY1")])
    if len(corners) != 4:
        return False
    x0, y0, x1, y1 = corners
    # Some consoles write the last pixel and some the one after it.
    return bool(0 <= x0 < x1 <= header["Columns"] and 0 <= y0 < y1 <= header["Rows"])


def _size(region: Mapping[str, Any]) -> tuple[float, float] | None:
    # A negative step only says that the axis points the other way.
    steps = numbers([region.get("PhysicalDeltaY"), region.get("PhysicalDeltaX")])
    return _pair([abs(step) * 10 for step in steps])


def _pair(values: Any) -> tuple[float, float] | None:
    found = numbers(values)
    if len(found) != 2 or min(found) <= 0:
        return None
    return found[0], found[1]


def _agree(one: tuple[float, float], other: tuple[float, float]) -> bool:
    return all(math.isclose(a, b, rel_tol=_AGREEMENT) for a, b in zip(one, other, strict=True))
