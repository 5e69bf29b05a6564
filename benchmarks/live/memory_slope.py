"""How fast memory grows, by a straight line through samples of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

__all__ = ["Slope", "second_half_slope"]


@dataclass(frozen=True)
class Slope:
    """Growth for each frame.

    Attributes:
        bytes_per_frame: of the line with the least squares.
        error: its standard error, as if samples were independent.
        samples: that the line goes through.
    """

    bytes_per_frame: float
    error: float
    samples: int


def second_half_slope(frames: Sequence[int], memory: Sequence[int]) -> Slope:
    """The line through the samples of the second half of a run; the first half is the warm-up of every cache.

    Args:
        frames: answered until each sample; increasing.
        memory: bytes at each.

    Raises:
        ValueError: fewer than three samples in the second half.
    """
    x, y = np.asarray(frames, float), np.asarray(memory, float)
    half = x >= x[-1] / 2 if len(x) else np.zeros(0, bool)
    x, y = x[half], y[half]
    if len(x) < 3:
        raise ValueError(f"expected at least three samples in the second half, got {len(x)}")
    centred = x - x.mean()
    slope = float(centred @ y / (centred @ centred))
    rest = y - y.mean() - slope * centred
    error = math.sqrt(float(rest @ rest) / (len(x) - 2) / float(centred @ centred))
    return Slope(slope, error, len(x))
