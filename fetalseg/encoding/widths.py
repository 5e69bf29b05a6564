"""Where a mask is narrow, found along its outer border."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fetalseg.encoding.borders import Borders, Flags, Integers, Masks, Positions, interleaved

__all__ = ["is_narrow"]


def is_narrow(borders: Borders, masks: Masks, narrow: int) -> Flags:
    """Which runs of cracks have the opposite border, in any of their rows or columns, at most `narrow` px away.

    Along a row, or a column, the cracks of a mask's borders are by turns the start and the end of a stretch of it.

    Args:
        borders: of `masks`.
        masks: N bool arrays [H, W].
        narrow: px, at least 1.

    Returns:
        [Q], a flag for each run.
    """
    first, last, place, is_end = _spans(borders, masks)
    lines = sum(sum(mask.shape) for mask in masks)

    def per_line(weights: Integers | None) -> npt.NDArray[np.int64 | np.float64]:
        return np.cumsum(np.bincount(first, weights, lines + 1) - np.bincount(last, weights, lines + 1))

    cracks, length = per_line(None), per_line(np.where(is_end, place, -place))
    # A line with two cracks has one stretch, of this length; the few with more are looked at crack by crack.
    result = _holds_any(length <= narrow, first, last)
    is_mixed = (cracks > 2) & (length > narrow)
    runs = np.flatnonzero(_holds_any(is_mixed, first, last))
    if not len(runs):
        return result
    counts = last.take(runs) - first.take(runs)
    line = np.arange(counts.sum()) + np.repeat(first.take(runs) - (np.cumsum(counts) - counts), counts)
    at_mixed = np.flatnonzero(is_mixed.take(line))
    run = np.repeat(runs, counts).take(at_mixed)
    run = run.take(np.lexsort((place.take(run), line.take(at_mixed))))
    near = place.take(run[1::2]) - place.take(run[0::2]) <= narrow
    result[run[0::2][near]] = result[run[1::2][near]] = True
    return result


def _spans(borders: Borders, masks: Masks) -> tuple[Positions, Positions, Integers, Flags]:
    """Of each run [Q]: first line, and one past the last, that it has a crack in; its place in them, px; is it an end?

    The lines are the rows and columns of all masks, numbered through: rows of mask 0, its columns, rows of mask 1, ...
    """
    lengths = [length for mask in masks for length in mask.shape]
    starts = np.cumsum([0, *lengths], dtype=np.int64)[:-1].reshape(-1, 2)
    lines = np.repeat(starts.take(borders.owners, axis=0), borders.rings.lengths // 2, axis=0).ravel()
    x, y = borders.corners
    along, place = interleaved(y[0::2], x[1::2]), interleaved(x[0::2], y[1::2])
    first = lines + along + np.minimum(borders.extents, 0)
    is_end = borders.extents > 0  # clockwise, eastern cracks go down,
    is_end[1::2] ^= True  # but southern ones to the left
    return first, first + np.abs(borders.extents), place, is_end


def _holds_any(flags: Flags, first: Positions, last: Positions) -> Flags:
    """Is any of flags[first:last] set, for each pair?"""
    counts = np.concatenate([[0], np.cumsum(flags)])
    return np.asarray(counts.take(last) > counts.take(first))
