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

import numpy as np
import numpy.typing as npt

from fetalseg.encoding.borders import Borders, Flags, Integers, Positions, Rings, Small, borders_of, interleaved
from fetalseg.encoding.widths import is_narrow

__all__ = ["polygons", "polygons_json"]

# Up to this width in px a ring is left alone. Widths are measured along rows and columns, where a band of 6 px at 45
# degrees is up to 9 px wide.
_NARROW = 9

# Rounds of merging pairs of pieces. Of a large ellipse's 1916 corners 3 rounds leave 578, 4 leave 529, any number 476.
_ROUNDS = 3

# Sets of directions: a bit for down, right, up and left, and one more for a piece along a narrow part. A stair has no
# opposite directions.
_AHEAD, _BACK = np.array([1, 4], np.uint8)  # of an upright run; of a level one the next bit
_NARROW_PIECE = np.uint8(16)
_IS_STAIR = np.array([bits < 16 and not (bits & bits >> 2 & 3) for bits in range(32)])


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
    borders = borders_of(crops)
    result: list[list[slice]] = [[] for _ in crops]
    if not len(borders.owners):
        return np.empty(0, np.int32), result
    points, rings = _thinned(borders, ~is_narrow(borders, crops, _NARROW))
    starts = (2 * rings.starts).tolist()
    owners = borders.owners.tolist()
    for ring in np.argsort(-_areas(points, rings), kind="stable").tolist():
        result[owners[ring]].append(slice(starts[ring], starts[ring + 1]))
    points += np.repeat(2 * corners.take(borders.owners, axis=0).T, rings.lengths, axis=1)
    return points.T.ravel(), result


def _thinned(borders: Borders, wide: Flags) -> tuple[Integers, Rings]:
    """The points that stay of each ring, in half pixels; where the structure isn't wide, `wide` [Q], all do."""
    rings, is_ahead = borders.rings, borders.extents > 0
    # A stair's step of one pixel between two runs in the same direction is replaced by its middle: the corners at its
    # ends are exactly half a pixel away from there.
    ahead_before, ahead_after = rings.preceding(is_ahead), rings.following(is_ahead)
    is_turn = ahead_before != ahead_after
    replaced = (np.abs(borders.extents) == 1) & ~is_turn & wide & rings.preceding(wide) & rings.following(wide)
    # Up one step and down the next is no stair: a line between the two middles would meet pixel centres.
    is_bump = is_turn & rings.preceding(replaced) & rings.following(replaced)
    replaced &= ~(rings.preceding(is_bump) | rings.following(is_bump))
    # Each ring keeps its first corner, so that no piece reaches over the ring's end in these arrays.
    replaced[rings.first] = replaced[rings.last] = False

    # Every corner is followed by the middle of its run; either, both or none become a point.
    is_point = interleaved(~(replaced | rings.preceding(replaced)), replaced)
    at_point = np.flatnonzero(is_point)
    run = at_point // 2
    middles = borders.corners + rings.following(borders.corners)
    directions = np.where(is_ahead, _AHEAD, _BACK)
    directions[1::2] <<= 1
    corners = 2 * borders.corners
    return _merged(
        corners=corners,
        first=(at_point + 1) // 2,
        directions=np.bitwise_or.reduceat(np.where(wide, directions, _NARROW_PIECE), run),
        points=interleaved(corners, middles).take(at_point, axis=1),
        rings=Rings(2 * rings.starts).chosen(at_point),
    )


def _merged(
    corners: Integers, first: Positions, directions: Small, points: Integers, rings: Rings
) -> tuple[Integers, Rings]:
    """Replaces pairs of pieces by one, round after round, where both conditions hold.

    Args:
        corners: [2, Q] of the cracks, in half pixels.
        first: [n], the first corner of each piece; it has those up to the next piece's.
        directions: [n], one bit for each direction that cracks of a piece have.
        points: [2, n] in half pixels, piece i goes from point i to the next of its ring.
        rings: which points make a ring.
    """
    x, y = corners
    for turn in range(_ROUNDS):
        is_start = np.zeros(len(first), np.bool_)
        is_start[turn % 2 :: 2] = True
        is_start[rings.first] = True
        at_start = np.flatnonzero(is_start)
        origin_x, origin_y = origin = points.take(at_start, axis=1)
        chord_x, chord_y = rings.chosen(at_start).following(origin) - origin
        moment = chord_x * origin_y - chord_y * origin_x

        first_of_pair = first.take(at_start)
        corners_of_pair = _counts(first_of_pair, len(x))
        distance = np.repeat(chord_x, corners_of_pair) * y
        distance -= np.repeat(chord_y, corners_of_pair) * x
        distance -= np.repeat(moment, corners_of_pair)
        furthest = np.maximum.reduceat(np.abs(distance, out=distance), first_of_pair)  # times the chord's length
        # Half a pixel is one unit here.
        fits = furthest <= np.sqrt(chord_x * chord_x + chord_y * chord_y)
        directions_of_pair = np.bitwise_or.reduceat(directions, at_start)
        fits &= _IS_STAIR.take(directions_of_pair)

        at_stay = np.flatnonzero(is_start | ~np.repeat(fits, _counts(at_start, len(first))))
        directions[at_start] = np.where(fits, directions_of_pair, directions.take(at_start))
        first, directions, points = first.take(at_stay), directions.take(at_stay), points.take(at_stay, axis=1)
        rings = rings.chosen(at_stay)
    return points, rings


def _counts(starts: Positions, total: int) -> Positions:
    """Elements of each stretch that goes from its start to the next one's, the last to the total."""
    counts = np.empty_like(starts)
    np.subtract(starts[1:], starts[:-1], out=counts[:-1])
    counts[-1] = total - starts[-1]
    return counts


def _areas(points: Integers, rings: Rings) -> Positions:
    """Eight times the area of each ring [R], by Gauss's formula."""
    x, y = points.astype(np.int64)
    return np.abs(np.add.reduceat(x * rings.following(y) - rings.following(x) * y, rings.first))
