"""Geometry of segmentations as a COCO file writes them: where they lie, and whether a ring crosses itself.

Nothing is rasterised, so that a set with many masks is looked at within seconds. Coordinates are pixel edges.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

__all__ = ["Extent", "crossing", "extent_of_rings", "extent_of_runs", "ring_area", "thickness"]

Extent = tuple[float, float, float, float]  # xyxy


def extent_of_runs(lengths: npt.NDArray[np.int64], height: int) -> Extent | None:
    """The box around the foreground of run lengths in column-major order, background first; None if there is none.

    Args:
        lengths: [R] alternating runs, see `fetalseg.encoding.rle`.
        height: H of the mask.
    """
    ends = np.cumsum(lengths)
    first, end = (ends - lengths)[1::2], ends[1::2]
    first, last = first[end > first], end[end > first] - 1
    if not len(first):
        return None
    left, right = int(first[0]) // height, int(last[-1]) // height + 1
    if (first // height != last // height).any():  # a run that goes on in the next column touches both edges
        return left, 0, right, height
    return left, int((first % height).min()), right, int((last % height).max()) + 1


def extent_of_rings(rings: Sequence[Sequence[float]]) -> Extent:
    """The box around polygons, each x, y, x, y, ..."""
    points = np.concatenate([np.asarray(ring, np.float64).reshape(-1, 2) for ring in rings])
    (x1, y1), (x2, y2) = points.min(0).tolist(), points.max(0).tolist()
    return x1, y1, x2, y2


def ring_area(ring: Sequence[float]) -> float:
    """Area inside a ring, by Gauss's formula; 0 for points on one line."""
    x, y = np.asarray(ring, np.float64).reshape(-1, 2).T
    return abs(float(x @ np.roll(y, -1) - y @ np.roll(x, -1))) / 2


def thickness(ring: Sequence[float]) -> float:
    """Mean thickness of what a ring surrounds: that of a long band of this area and perimeter."""
    points = np.asarray(ring, np.float64).reshape(-1, 2)
    perimeter = float(np.linalg.norm(np.roll(points, -1, axis=0) - points, axis=1).sum())
    return 2 * ring_area(ring) / perimeter if perimeter else 0.0


def crossing(ring: Sequence[float]) -> tuple[float, float] | None:
    """The first point where two edges of a ring cross, or None.

    Edges that only touch don't count: rings along pixel edges meet themselves at corners, and the even-odd rule fills
    them as meant.
    """
    start = np.asarray(ring, np.float64).reshape(-1, 2)
    end = np.roll(start, -1, axis=0)
    a, b = _pairs_sharing_columns(np.minimum(start[:, 0], end[:, 0]), np.maximum(start[:, 0], end[:, 0]))
    low, high = np.minimum(start[:, 1], end[:, 1]), np.maximum(start[:, 1], end[:, 1])
    near = (low[a] <= high[b]) & (low[b] <= high[a])
    a, b = a[near], b[near]
    # The ends of each edge lie on opposite sides of the other one.
    across_b = _side(start[b], end[b], start[a]) * _side(start[b], end[b], end[a])
    across_a = _side(start[a], end[a], start[b]) * _side(start[a], end[a], end[b])
    found = np.flatnonzero((across_a < 0) & (across_b < 0))
    if not len(found):
        return None
    p, q = start[a[found[0]]], start[b[found[0]]]
    along, other = end[a[found[0]]] - p, end[b[found[0]]] - q
    share = ((q - p)[0] * other[1] - (q - p)[1] * other[0]) / (along[0] * other[1] - along[1] * other[0])
    x, y = (p + share * along).tolist()
    return x, y


def _pairs_sharing_columns(
    low: npt.NDArray[np.float64], high: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """All pairs of intervals [low, high] that meet: of a smooth outline only a few times as many as edges."""
    order = np.argsort(low, kind="stable")
    stop = np.searchsorted(low[order], high[order], side="right")
    counts = stop - np.arange(len(order)) - 1
    first = np.repeat(np.arange(len(order)), counts)
    offset = np.arange(len(first)) - np.repeat(np.cumsum(counts) - counts, counts)
    return order[first], order[first + 1 + offset]


def _side(
    start: npt.NDArray[np.float64], end: npt.NDArray[np.float64], point: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """-1, 0 or 1 [N]: on which side of the lines through `start` and `end` [N, 2] the points [N, 2] lie."""
    along, to = end - start, point - start
    return np.sign(along[:, 0] * to[:, 1] - along[:, 1] * to[:, 0])
