"""How fast memory grows, by a straight line through samples of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

__all__ = ["Slope", "second_half_slope"]

_STRETCHES = 10
_STUDENT_T = 2.306  # 97.5 % quantile with 8 degrees of freedom: ten points less the two numbers of a line


@dataclass(frozen=True)
class Slope:
    """Growth for each frame over the second half of a run.

    Attributes:
        bytes_per_frame: of the line with the least squares.
        margin: the true growth lies within so many bytes a frame of it, with 95 % confidence.
        frames: from the first to the last sample.
    """

    bytes_per_frame: float
    margin: float
    frames: int


def second_half_slope(frames: Sequence[int], memory: Sequence[int]) -> Slope:
    """The line through the samples of the second half of a run; the first half is the warm-up of every cache.

    Memory moves in steps that last, so neighbouring samples tell little more than one alone. The line therefore goes
    through the means of ten stretches, and the margin is that of ten points.

    Args:
        frames: answered until each sample; increasing.
        memory: bytes at each.

    Raises:
        ValueError: fewer than ten samples in the second half.
    """
    x, y = np.asarray(frames, float), np.asarray(memory, float)
    half = x >= x[-1] / 2 if len(x) else np.zeros(0, bool)
    x, y = x[half], y[half]
    if len(x) < _STRETCHES:
        raise ValueError(f"expected at least {_STRETCHES} samples in the second half, got {len(x)}")
    span = int(x[-1] - x[0])
    x, y = (np.array([part.mean() for part in np.array_split(values, _STRETCHES)]) for values in (x, y))
    centred = x - x.mean()
    slope = float(centred @ y / (centred @ centred))
    rest = y - y.mean() - slope * centred
    error = math.sqrt(float(rest @ rest) / (_STRETCHES - 2) / float(centred @ centred))
    return Slope(slope, _STUDENT_T * error, span)
