"""How far the outlines of two masks lie apart."""

from __future__ import annotations

import math

import cv2
import numpy as np
import numpy.typing as npt

__all__ = ["hausdorff95"]

_CROSS = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
_PAIRS = 1_000_000  # of points that are compared at a time: 24 MB


def hausdorff95(
    first: npt.NDArray[np.bool_], second: npt.NDArray[np.bool_], spacing: tuple[float, float] = (1.0, 1.0)
) -> float | None:
    """95 % Hausdorff distance: the larger of the two 95th percentiles of the distances from one outline to the other.

    An outline is the pixels of a mask that have one of their four neighbours outside it or outside the frame; a
    distance goes from the centre of such a pixel to the nearest one of the other outline. This is the definition of
    Maier-Hein et al., Metrics Reloaded, Nature Methods 2024;21:195-212, and of MONAI; tools that take one percentile of
    both directions together give smaller numbers.

    Args:
        first: bool [H, W].
        second: bool [H, W].
        spacing: (row, column) distance of pixel centres; (1, 1) gives px.

    Returns:
        The distance in the unit of `spacing`, or None where a mask is empty.

    Raises:
        ValueError: masks of two sizes.
    """
    if first.shape != second.shape:
        raise ValueError(f"masks of two sizes, {first.shape} and {second.shape}")
    if not first.any() or not second.any():
        return None
    part = _extent(first | second)
    one, other = _outline(first[part]), _outline(second[part])
    row, column = spacing
    if row == column:
        there, back = row * _distances(one, other), row * _distances(other, one)
    else:
        scale = np.array(spacing, np.float64)
        there, back = _nearest(np.argwhere(one) * scale, np.argwhere(other) * scale)
    return max(_percentile95(there), _percentile95(back))


def _extent(mask: npt.NDArray[np.bool_]) -> tuple[slice, slice]:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)


def _outline(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    inside = cv2.erode(mask.astype(np.uint8), _CROSS, borderType=cv2.BORDER_CONSTANT, borderValue=(0,))
    return np.asarray(mask & (inside == 0), np.bool_)


def _distances(start: npt.NDArray[np.bool_], outline: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    """Distance in px of each pixel of one outline to the nearest one of another, in no order that is used."""
    distances = cv2.distanceTransform((~outline).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[start]
    # Squares of distances are whole numbers. OpenCV's float32 differs in the last bit with the number of its threads.
    return np.asarray(np.sqrt(np.rint(np.square(distances.astype(np.float64)))), np.float64)


def _percentile95(values: npt.NDArray[np.float64]) -> float:
    """With linear interpolation, as of NumPy, whose own takes longer than the distances of a small structure."""
    place = 0.95 * (len(values) - 1)
    low, high = int(place), math.ceil(place)
    ordered = np.partition(values, (low, high))
    below, above = float(ordered[low]), float(ordered[high])
    return below + (place - low) * (above - below)


def _nearest(
    first: npt.NDArray[np.float64], second: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Distances from N points to the nearest of M and back, [N] and [M].

    For rows and columns with spacings of their own, which OpenCV's transform can't take.
    """
    there, back = np.empty(len(first)), np.full(len(second), np.inf)
    step = max(1, _PAIRS // len(second))
    for start in range(0, len(first), step):
        offsets = first[start : start + step, None] - second
        squares = np.einsum("nmk,nmk->nm", offsets, offsets)
        there[start : start + step] = squares.min(axis=1)
        back = np.minimum(back, squares.min(axis=0))
    return np.sqrt(there), np.sqrt(back)
