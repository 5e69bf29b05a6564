"""A mask over time: a running average of each pixel, moved along with its box.

Averaging in place would smear what moves. So the average is kept relative to the steadied box: before a new mask is
mixed in, the old average is shifted as far as the box has moved, and the new mask to where the steadied box is.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
import numpy.typing as npt

__all__ = ["SteadyMask"]

_FULL = 255
_HALF = 127
# Overlaps (IoU) of the newest mask with the average from which on it gets its least weight, and up to which it is all
# that counts. Thin structures are in the lower half: averaging them blurs the outline more than it steadies it.
_ALIKE = 0.9
_DIFFERENT = 0.5
# Of a region of more pixels, every fourth line is enough to see how it has moved, and half a pixel is nothing.
_LARGE = 40_000
_EVERY = 4

Mask = npt.NDArray[np.bool_]
PixelBox = tuple[int, int, int, int]


class SteadyMask:
    """One mask.

    Args:
        weight: of the newest mask, see `TrackerOptions.mask_weight`.
    """

    def __init__(self, weight: float) -> None:
        self._weight = weight
        self.clear()

    def clear(self) -> None:
        """There is none."""
        self.start(np.zeros((0, 0), np.bool_), (0, 0, 0, 0))

    def start(self, crop: Mask, region: PixelBox) -> None:
        """Forgets what was before.

        Args:
            crop: the mask inside its region.
            region: xyxy, whole px, in the frame.
        """
        self._average = crop.view(np.uint8) * np.uint8(_FULL)
        self._region = region
        self._behind = (0.0, 0.0)
        self._centre: tuple[float, float] | None = None  # not known yet

    def mix(self, crop: Mask, region: PixelBox, box: list[float], frame: tuple[int, int]) -> None:
        """Takes the mask of a new frame.

        Args:
            crop: the mask inside its region.
            region: xyxy, whole px, in the frame.
            box: the steadied box, xyxy, px; the average is kept inside it.
            frame: (H, W).
        """
        new = crop.view(np.uint8)
        before, centre = self._centre or _centre(self._average, self._region), _centre(new, region)
        if before is None or centre is None:
            self.start(crop, region)
            return
        x, y = centre[0] - before[0], centre[1] - before[1]
        wanted = _clip(_union(region, _whole(box)), frame)
        old = _shifted(self._average, self._region, (x, y), wanted)
        new = _placed(new, region, wanted)
        weight = self._weight_of(_overlap(old, new))
        self._average = np.asarray(cv2.addWeighted(old, 1 - weight, new, weight * _FULL, 0, dst=old), np.uint8)
        self._region, self._centre = wanted, centre

    def _weight_of(self, overlap: float) -> float:
        """Of the newest mask: the less it is like the average, the less the difference can be noise."""
        alike = min(max((overlap - _DIFFERENT) / (_ALIKE - _DIFFERENT), 0.0), 1.0)
        return 1 - (1 - self._weight) * alike

    def move(self, x: float, y: float) -> None:
        """Moves with a box that wasn't found, by whole pixels; what is less than one is made up for later."""
        self._behind = self._behind[0] + x, self._behind[1] + y
        dx, dy = round(self._behind[0]), round(self._behind[1])
        self._behind = self._behind[0] - dx, self._behind[1] - dy
        self._region = _moved(self._region, dx, dy)
        if self._centre is not None:
            self._centre = self._centre[0] + dx, self._centre[1] + dy

    def shown(self, frame: tuple[int, int]) -> tuple[Mask, PixelBox]:
        """The mask inside its region, which lies in the frame of (H, W); empty where there never was a mask."""
        region = _clip(self._region, frame)
        return _cut(self._average, self._region, region) > _HALF, region

    def share_inside(self, other: SteadyMask) -> float | None:
        """Of the smaller one of two masks, the share that lies in the larger one; None where one is empty."""
        smaller = min(int(np.count_nonzero(mask._average > _HALF)) for mask in (self, other))
        if smaller == 0:
            return None
        (x1, y1, x2, y2), (left, top, right, bottom) = self._region, other._region
        both = max(x1, left), max(y1, top), min(x2, right), min(y2, bottom)
        if both[0] >= both[2] or both[1] >= both[3]:
            return 0.0
        one, theirs = (_cut(mask._average, mask._region, both) > _HALF for mask in (self, other))
        return int(np.count_nonzero(one & theirs)) / smaller


def _centre(mask: npt.NDArray[np.uint8], region: PixelBox) -> tuple[float, float] | None:
    """Of a mask, or of an average, in the frame; None of an empty one."""
    lines = _sample(mask)
    if lines.size == 0:
        return None
    columns = cv2.reduce(lines, 0, cv2.REDUCE_SUM, dtype=cv2.CV_32S)[0]
    rows = cv2.reduce(lines, 1, cv2.REDUCE_SUM, dtype=cv2.CV_32S)[:, 0]
    if (area := float(rows.sum())) == 0:
        return None
    step = 1 if lines is mask else _EVERY
    x, y = columns @ np.arange(len(columns)) / area, step * (rows @ np.arange(len(rows))) / area
    return region[0] + float(x), region[1] + float(y)


def _shifted(
    values: npt.NDArray[np.uint8], region: PixelBox, by: tuple[float, float], wanted: PixelBox
) -> npt.NDArray[np.uint8]:
    """The values of another region after a move; to parts of a pixel, by linear interpolation, where that matters."""
    if values.size > _LARGE:
        return _placed(values, _moved(region, round(by[0]), round(by[1])), wanted)
    whole_x, whole_y = math.floor(by[0]), math.floor(by[1])
    x, y = by[0] - whole_x, by[1] - whole_y
    kernel = np.array([[y * x, y * (1 - x)], [(1 - y) * x, (1 - y) * (1 - x)]], np.float32)
    placed = _placed(values, _moved(region, whole_x, whole_y), wanted)
    moved = cv2.filter2D(placed, -1, kernel, anchor=(1, 1), borderType=cv2.BORDER_CONSTANT)
    return np.asarray(moved, np.uint8)


def _overlap(average: npt.NDArray[np.uint8], mask: npt.NDArray[np.uint8]) -> float:
    """Intersection over union of what an average shows and a mask of 0 and 1."""
    one, other = _sample(average) > _HALF, _sample(mask).view(np.bool_)
    both = int(np.count_nonzero(one & other))
    either = int(np.count_nonzero(one)) + int(np.count_nonzero(other)) - both
    return both / max(1, either)


def _sample(values: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """All lines of a small region, some of a large one: enough to compare and to find the centre."""
    return values if values.size <= _LARGE else values[::_EVERY]


def _moved(region: PixelBox, dx: int, dy: int) -> PixelBox:
    return region[0] + dx, region[1] + dy, region[2] + dx, region[3] + dy


def _whole(box: list[float]) -> PixelBox:
    return round(box[0]), round(box[1]), round(box[2]), round(box[3])


def _union(one: PixelBox, other: PixelBox) -> PixelBox:
    return min(one[0], other[0]), min(one[1], other[1]), max(one[2], other[2]), max(one[3], other[3])


def _clip(region: PixelBox, frame: tuple[int, int]) -> PixelBox:
    height, width = frame
    x1, y1 = min(max(region[0], 0), width), min(max(region[1], 0), height)
    return x1, y1, max(min(region[2], width), x1), max(min(region[3], height), y1)


def _cut(values: npt.NDArray[np.uint8], region: PixelBox, part: PixelBox) -> npt.NDArray[np.uint8]:
    """What lies in a part of the region; a view."""
    x, y = region[:2]
    return values[part[1] - y : part[3] - y, part[0] - x : part[2] - x]


def _placed(values: npt.NDArray[np.uint8], region: PixelBox, wanted: PixelBox) -> npt.NDArray[np.uint8]:
    """The values of another region, 0 where they aren't known."""
    if region == wanted:
        return values
    x1, y1 = max(region[0], wanted[0]), max(region[1], wanted[1])
    both = x1, y1, max(min(region[2], wanted[2]), x1), max(min(region[3], wanted[3]), y1)
    result = np.zeros((wanted[3] - wanted[1], wanted[2] - wanted[0]), np.uint8)
    if both[2] > both[0] and both[3] > both[1]:
        _cut(result, wanted, both)[:] = _cut(values, region, both)
    return result
