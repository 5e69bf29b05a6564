"""Outlines of masks as polygons that follow the edges of pixels.

A ring runs along the cracks between foreground and background pixels, so a line one pixel wide keeps its area (a ring
through pixel centres would have none). Where a structure is wider than 6 px the ring is thinned out. Two conditions
hold for every straight piece that replaces a stretch of cracks:

- each corner of the stretch lies within 0.5 px of the piece, and
- the cracks of the stretch go in no more than two directions, one across the other, as those of a stair do.

Together they make it lossless, because such a piece passes between the centres of the two pixels at each crack: filling
the ring, a pixel being inside if its centre is, gives the mask back exactly, its holes filled.

All rings of a frame are worked on at once, as columns of a few arrays. Places are kept in half pixels, as int32 [2, n]
(x and y), so that the conditions are exact: in the largest frame products stay below 2^30.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple, TypeVar

import cv2
import numpy as np
import numpy.typing as npt

__all__ = ["polygons", "polygons_json"]

Integers = npt.NDArray[np.int32]
Positions = npt.NDArray[np.int64]
Small = npt.NDArray[np.uint8]
Flags = npt.NDArray[np.bool_]
AnyArray = TypeVar("AnyArray", Integers, Positions, Small, Flags)

# Up to this width in px a ring is left alone. Widths are measured along rows and columns, where a band of 6 px at 45
# degrees is up to 9 px wide.
_NARROW = 9

# Rounds of merging pairs of pieces. Of a large ellipse's 1916 corners 3 rounds leave 578, 4 leave 529, any number 476.
_ROUNDS = 3

# Sides of a pixel, counter-clockwise as seen on a screen: east, north, west, south. With the inside on the left, the
# crack on a side starts at this corner of the pixel and goes in this direction (x; y).
_CRACK_START = np.array([(1, 1, 0, 0), (1, 0, 0, 1)], np.int32)
_CRACK_STEP = np.array([(0, -1, 0, 1), (-1, 0, 1, 0)], np.int32)
# East and south cracks end a row's or a column's stretch of foreground, one further than the pixel's own place.
_IS_END = np.array([1, 0, 0, 1], np.int32)

# Freeman's chain code of a move 3 * (dy + 1) + dx + 1 to a neighbour; even codes are sides times two. 8: no move.
_CHAIN_CODE = np.array([3, 2, 1, 4, 8, 0, 5, 6, 7], np.uint8)


def _visit_tables() -> tuple[Small, Small]:
    """First side, and number of sides, that face the background when a border pixel is entered and left.

    A border follower that comes in by chain code i looks back at i + 4, turns counter-clockwise over background and
    leaves by the first neighbour that is foreground, o; the sides swept over are cracks. Both tables are [9 * i + o].
    """
    first, count = np.full((9, 9), 2, np.uint8), np.full((9, 9), 4, np.uint8)
    for code_in in range(8):
        for code_out in range(8):
            back = code_in + 4
            turn = (code_out - back - 1) % 8 + 1
            swept = [code for code in range(back + 1, back + turn) if code % 2 == 0]
            first[code_in, code_out] = swept[0] // 2 % 4 if swept else 0
            count[code_in, code_out] = len(swept)
    return first.ravel(), count.ravel()


_FIRST_SIDE, _SIDES = _visit_tables()

# Sets of directions, one bit a side, and one more for a piece along a narrow part. A stair has no opposite directions.
_DIRECTION = np.array([1, 2, 4, 8], np.uint8)
_NARROW_PIECE = np.uint8(16)
_IS_STAIR = np.array([bits < 16 and not (bits & bits >> 2 & 3) for bits in range(32)])


class _Rings(NamedTuple):
    """Closed rings, one after the other.

    Attributes:
        starts: [R + 1], where each ring starts, and the total.
    """

    starts: Positions

    @classmethod
    def of(cls, lengths: Positions) -> _Rings:
        return cls(np.concatenate([[0], np.cumsum(lengths)]))

    @property
    def lengths(self) -> Positions:
        return np.diff(self.starts)

    def following(self, values: AnyArray) -> AnyArray:
        """For each element the value of the next one of its ring, along the last axis."""
        result = np.empty_like(values)
        result[..., :-1] = values[..., 1:]
        result[..., self.starts[1:] - 1] = values[..., self.starts[:-1]]
        return result

    def preceding(self, values: AnyArray) -> AnyArray:
        """For each element the value of the one before in its ring, along the last axis."""
        result = np.empty_like(values)
        result[..., 1:] = values[..., :-1]
        result[..., self.starts[:-1]] = values[..., self.starts[1:] - 1]
        return result

    def chosen(self, positions: Positions) -> _Rings:
        """The rings of the chosen elements, given by ascending positions; every ring must keep one."""
        return _Rings(np.searchsorted(positions, self.starts))

    def last_chosen(self, positions: Positions) -> Positions:
        """For each element, which of the chosen ones comes last up to it, going round its ring."""
        steps = np.zeros(self.starts[-1], np.int64)
        steps[positions] = 1
        last = np.cumsum(steps) - 1
        first = positions.take(self.chosen(positions).starts[:-1])
        for start, stop, end in zip(self.starts[:-1].tolist(), first.tolist(), self.starts[1:].tolist(), strict=True):
            last[start:stop] = last[end - 1]
        return last


class _Runs(NamedTuple):
    """Straight runs of cracks: run q goes from corner q to the next corner of its ring.

    Attributes:
        corners: [2, Q] in half pixels.
        sides: [Q], the side of the pixels that the cracks of the run are on.
        single: [Q], the run is one crack; not known of a ring's last run, which may go on at the ring's start.
        wide: [Q], the structure is wide at each crack of the run.
        rings: which runs make a ring.
    """

    corners: Integers
    sides: Small
    single: Flags
    wide: Flags
    rings: _Rings


def polygons(crops: Sequence[npt.NDArray[np.bool_]], corners: npt.NDArray[np.int64]) -> list[list[list[float]]]:
    """The outer rings of each mask, one per 8-connected part, largest first; holes are filled.

    Args:
        crops: N bool arrays; everything outside of a crop is background.
        corners: [N, 2] (x, y) of each crop in the frame.

    Returns:
        For each mask its rings, for each ring x, y, x, y, ... in frame pixels (pixel (i, j) covers [i, i+1) x
        [j, j+1)), not closed, at least three points. A mask without foreground has no ring.
    """
    halves, outlines = _outlines(crops, corners)
    values = (halves / 2).tolist()
    return [[values[ring] for ring in rings] for rings in outlines]


def polygons_json(crops: Sequence[npt.NDArray[np.bool_]], corners: npt.NDArray[np.int64]) -> list[str]:
    """The rings of each mask as JSON, as `polygons` has them, whole numbers without a point: "[[1,2,3.5,2,3,4]]".

    Most numbers are whole. A rich frame has thousands: written here, a quarter of the time of the general way.
    """
    edges = [(x + crop.shape[1], y + crop.shape[0]) for crop, (x, y) in zip(crops, corners.tolist(), strict=True)]
    furthest = 2 * max((max(edge) for edge in edges), default=0)
    halves, outlines = _outlines(crops, corners)
    values = list(map(_numbers(furthest.bit_length()).__getitem__, halves.tolist()))
    return ["[" + ",".join(f"[{','.join(values[ring])}]" for ring in rings) + "]" for rings in outlines]


@lru_cache(maxsize=16)
def _numbers(bits: int) -> list[str]:
    """0 to 2^bits - 1 half pixels, in pixels, as JSON."""
    return [f"{half // 2}.5" if half % 2 else str(half // 2) for half in range(1 << bits)]


def _outlines(
    crops: Sequence[npt.NDArray[np.bool_]], corners: npt.NDArray[np.int64]
) -> tuple[Integers, list[list[slice]]]:
    """All points x, y, x, y, ... in half pixels, and for each mask where its rings lie among them."""
    borders: list[Integers] = []
    owners: list[int] = []
    for owner, (crop, corner) in enumerate(zip(crops, corners.tolist(), strict=True)):
        if crop.size:
            image = np.ascontiguousarray(crop).view(np.uint8)
            found, _ = cv2.findContours(image, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE, offset=corner)
            borders.extend(np.asarray(border, np.int32) for border in found)
            owners.extend([owner] * len(found))
    result: list[list[slice]] = [[] for _ in crops]
    if not borders:
        return np.empty(0, np.int32), result
    rings = _Rings.of(np.array([len(border) for border in borders]))
    pixels = np.ascontiguousarray(np.concatenate(borders).reshape(-1, 2).T)
    points, rings = _thinned(_crack_runs(pixels, np.array(owners), rings))
    starts = (2 * rings.starts).tolist()
    for ring in np.argsort(-_areas(points, rings), kind="stable").tolist():
        result[owners[ring]].append(slice(starts[ring], starts[ring + 1]))
    return points.T.ravel(), result


def _crack_runs(pixels: Integers, owners: Positions, rings: _Rings) -> _Runs:
    """From the pixels [2, P] on the inside of borders, in px, to the cracks along them."""
    move_x, move_y = rings.following(pixels) - pixels
    code_out = _CHAIN_CODE.take(3 * move_y + move_x + 4)
    visit_kind = 9 * rings.preceding(code_out) + code_out
    counts = _SIDES.take(visit_kind)
    # The sides of a visit follow each other: its first side plus the number of the crack within the visit. Only the
    # two lowest bits matter, so bytes may overflow.
    visit_start = np.cumsum(counts, dtype=np.uint8) - counts
    crack_pixels = np.repeat(pixels, counts, axis=1)
    number = np.arange(crack_pixels.shape[1])
    side = (number.astype(np.uint8) + np.repeat(_FIRST_SIDE.take(visit_kind) - visit_start, counts)) & 3

    cracks = _Rings.of(np.add.reduceat(counts, rings.starts[:-1], dtype=np.int64))
    at_corner = np.flatnonzero(side != cracks.preceding(side))
    runs = cracks.chosen(at_corner)
    sides = side.take(at_corner)
    wide = np.ones(len(sides), np.bool_)
    narrow = _narrow(crack_pixels, side, owners, cracks)
    if len(narrow):
        wide[cracks.last_chosen(at_corner).take(narrow)] = False
    return _Runs(
        corners=2 * (crack_pixels.take(at_corner, axis=1) + _CRACK_START.take(sides, axis=1)),
        sides=sides,
        single=runs.following(at_corner) - at_corner == 1,
        wide=wide,
        rings=runs,
    )


def _narrow(pixels: Integers, side: Small, owners: Positions, cracks: _Rings) -> Positions:
    """Which cracks have the opposite one, in the same row or column of the same mask, near.

    Along a row the cracks of a mask's outer borders are by turns the west and the east end of a stretch of it.
    """
    x, y = pixels
    # Sorted by mask, upright or level, row or column, place in it; 14 bits hold a frame's longest side.
    place = np.where(side & 1, (1 << 28) + (x << 14) + y, (y << 14) + x) + _IS_END.take(side)
    key = np.repeat(owners << 29, cracks.lengths) + place
    # Cracks come in long ascending and descending stretches, which the stable sort makes use of: it takes a quarter of
    # the default's time.
    order = np.argsort(key, kind="stable")
    ends = key.take(order)
    near = np.flatnonzero(ends[1::2] - ends[0::2] <= _NARROW)
    return np.concatenate([order[0::2].take(near), order[1::2].take(near)])


def _thinned(runs: _Runs) -> tuple[Integers, _Rings]:
    """The points that stay of each ring, in half pixels."""
    rings, wide = runs.rings, runs.wide
    sides_before, sides_after = rings.preceding(runs.sides), rings.following(runs.sides)
    # A stair's step of one pixel between two runs in the same direction is replaced by its middle: the corners at its
    # ends are exactly half a pixel away from there.
    is_step = runs.single & (sides_before == sides_after)
    replaced = is_step & wide & rings.preceding(wide) & rings.following(wide)
    # Up one step and down the next is no stair: a line between the two middles would meet pixel centres.
    is_bump = (sides_before != sides_after) & rings.preceding(replaced) & rings.following(replaced)
    replaced &= ~(rings.preceding(is_bump) | rings.following(is_bump))
    # Each ring keeps its first corner, so that no piece reaches over the ring's end in these arrays.
    replaced[rings.starts[:-1]] = replaced[rings.starts[1:] - 1] = False

    # Every corner is followed by the middle of its run; either, both or none become a point.
    is_point = np.stack([~(replaced | rings.preceding(replaced)), replaced], axis=1).ravel()
    at_point = np.flatnonzero(is_point)
    run_of_point = at_point // 2
    halfway = (at_point & 1) * _CRACK_STEP.take(runs.sides.take(run_of_point), axis=1)
    directions = np.where(wide, _DIRECTION.take(runs.sides), _NARROW_PIECE)
    return _merged(
        corners=runs.corners,
        piece=(np.cumsum(is_point) - 1)[::2],
        directions=np.bitwise_or.reduceat(directions, run_of_point),
        points=(runs.corners.take(run_of_point, axis=1) + halfway).astype(np.int32),
        rings=_Rings(2 * rings.starts).chosen(at_point),
    )


def _merged(
    corners: Integers, piece: Positions, directions: Small, points: Integers, rings: _Rings
) -> tuple[Integers, _Rings]:
    """Replaces pairs of pieces by one, round after round, where both conditions hold.

    Args:
        corners: [2, Q] of the cracks, in half pixels.
        piece: [Q], the piece that each corner belongs to.
        directions: [n], one bit for each direction that cracks of a piece have.
        points: [2, n] in half pixels, piece i goes from point i to the next of its ring.
        rings: which points make a ring.
    """
    x, y = corners
    for turn in range(_ROUNDS):
        is_start = np.zeros(points.shape[1], np.bool_)
        is_start[turn % 2 :: 2] = True
        is_start[rings.starts[:-1]] = True
        at_start = np.flatnonzero(is_start)
        origin = points.take(at_start, axis=1)
        chord = rings.chosen(at_start).following(origin) - origin
        moment = chord[0] * origin[1] - chord[1] * origin[0]
        length = np.sqrt(np.square(chord).sum(axis=0))

        pair = np.cumsum(is_start) - 1
        at = pair.take(piece)
        distance = np.abs(chord[0].take(at) * y - chord[1].take(at) * x - moment.take(at))  # times the chord's length
        # Half a pixel is one unit here.
        too_far = np.flatnonzero(distance > length.take(at))
        fits = _IS_STAIR.take(np.bitwise_or.reduceat(directions, at_start))
        fits[at.take(too_far)] = False

        stays = is_start | ~fits.take(pair)
        at_stay = np.flatnonzero(stays)
        piece = (np.cumsum(stays) - 1).take(piece)
        directions = np.bitwise_or.reduceat(directions, at_stay)
        points, rings = points.take(at_stay, axis=1), rings.chosen(at_stay)
    return points, rings


def _areas(points: Integers, rings: _Rings) -> Positions:
    """Eight times the area of each ring [R], by Gauss's formula."""
    x, y = points.astype(np.int64)
    return np.abs(np.add.reduceat(x * rings.following(y) - rings.following(x) * y, rings.starts[:-1]))
