"""Outer borders of masks, as straight runs along the edges of pixels.

A crack is the edge between a foreground and a background pixel. Along a border, clockwise as seen on a screen, upright
and level runs of cracks take turns. Holes count as filled.

OpenCV's border follower that links runs of foreground (`findContoursLinkRuns`) gives the ends of each row's runs in the
order of the border, and that is its upright cracks; the level ones lie between them. All borders of a frame are worked
on at once, as columns of a few arrays.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, TypeVar

import cv2
import numpy as np
import numpy.typing as npt

__all__ = ["Borders", "Flags", "Integers", "Masks", "Positions", "Rings", "Small", "borders_of", "interleaved"]

Masks = Sequence[npt.NDArray[np.bool_]]
Integers = npt.NDArray[np.int32]
Positions = npt.NDArray[np.int64]
Small = npt.NDArray[np.uint8]
Flags = npt.NDArray[np.bool_]
AnyArray = TypeVar("AnyArray", Integers, Positions, Small, Flags)


class Rings:
    """Closed rings, one after the other.

    Args:
        starts: [R + 1], where each ring starts, and the total.
    """

    def __init__(self, starts: Positions) -> None:
        self.starts = starts
        self.first, self.last = starts[:-1], starts[1:] - 1

    @classmethod
    def of(cls, lengths: Sequence[int]) -> Rings:
        """Rings of so many elements each."""
        return cls(np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]))

    @property
    def lengths(self) -> Positions:
        """Elements of each ring, [R]."""
        return self.last - self.first + 1

    def following(self, values: AnyArray) -> AnyArray:
        """For each element the value of the next one of its ring, along the last axis."""
        result = np.empty_like(values)
        elements, results = values.T, result.T
        results[:-1] = elements[1:]
        results[self.last] = elements[self.first]
        return result

    def preceding(self, values: AnyArray) -> AnyArray:
        """For each element the value of the one before in its ring, along the last axis."""
        result = np.empty_like(values)
        elements, results = values.T, result.T
        results[1:] = elements[:-1]
        results[self.first] = elements[self.last]
        return result

    def chosen(self, positions: Positions) -> Rings:
        """The rings of the chosen elements, given by ascending positions; every ring must keep one."""
        return Rings(np.searchsorted(positions, self.starts))


class Borders(NamedTuple):
    """Straight runs of cracks, by turns upright and level: run q goes from corner q to the next corner of its ring.

    Attributes:
        corners: [2, Q], x and y in px of the mask's array.
        extents: [Q], how far the run goes, px: down or right if positive, up or left if negative.
        rings: which runs make a ring, the first of each an upright one; one ring for each 8-connected part of a mask.
        owners: [R], the mask of each ring.
    """

    corners: Integers
    extents: Integers
    rings: Rings
    owners: Positions


def borders_of(masks: Masks) -> Borders:
    """The outer borders of N masks, bool [H, W] each; everything outside of an array is background."""
    x, y, rings, owners = _row_ends(masks)
    # The first of a ring is a western end, and the border changes sides where it stays in a row.
    stays = rings.following(y) == y
    is_east = np.bitwise_xor.accumulate(stays) ^ stays
    x += is_east
    if len(owners):
        areas = np.add.reduceat(np.where(is_east, x, -x), rings.first)
        holed = set(owners[areas < 0].tolist())  # the border of a hole goes round the other way
        if holed:
            return borders_of([_filled(mask) if owner in holed else mask for owner, mask in enumerate(masks)])

    line = 2 * x + is_east
    at_start = np.flatnonzero(line != rings.preceding(line))
    rings = rings.chosen(at_start)
    start = np.array([x.take(at_start), (y + 1 - is_east).take(at_start)])
    end = rings.following(start)
    # Where an upright run ends, a level one goes on to the column of the next.
    corners = interleaved(start, np.array([start[0], end[1]]))
    across, down = end - start
    return Borders(corners, interleaved(down, across), Rings(2 * rings.starts), owners)


def interleaved(even: AnyArray, odd: AnyArray) -> AnyArray:
    """One element of each by turns, along the last axis."""
    result = np.empty((*even.shape[:-1], 2 * even.shape[-1]), even.dtype)
    result[..., 0::2] = even
    result[..., 1::2] = odd
    return result


def _row_ends(masks: Masks) -> tuple[Integers, Integers, Rings, Positions]:
    """Pixels at the ends of each row's runs, x and y [P], as clockwise rings; borders of holes are among them.

    A run of one pixel is there twice. With them come the rings and each ring's mask.
    """
    found: list[Integers] = []
    owners: list[int] = []
    for owner, mask in enumerate(masks):
        if mask.size:
            traced, _ = cv2.findContoursLinkRuns(np.ascontiguousarray(mask).view(np.uint8))
            found.extend(np.asarray(border, np.int32) for border in traced)
            owners.extend([owner] * len(traced))
    x, y = np.concatenate(found or [np.empty((0, 1, 2), np.int32)])[:, 0].T.copy()
    return x, y, Rings.of([len(border) for border in found]), np.array(owners, np.int64)


def _filled(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """The mask with its holes, and what lies in them, as foreground."""
    outlines, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    filled = np.zeros(mask.shape, np.uint8)
    cv2.drawContours(filled, outlines, -1, 1, cv2.FILLED)
    return filled.view(np.bool_)
