"""Figures of average precision, and how far they move by chance in a set of few annotations."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import NamedTuple

__all__ = ["Change", "Figure", "Figures", "one_detection"]


class Figure(NamedTuple):
    """An average precision.

    Attributes:
        value: 0..1.
        one_detection: how far chance may move it, see `one_detection`.
    """

    value: float
    one_detection: float


Figures = Mapping[str, Figure]  # by name, "mask AP50"


class Change(NamedTuple):
    """What became of an average precision in another engine.

    Attributes:
        value: that engine's minus the reference's.
        tolerance: how far from 0 it may be.
    """

    value: float
    tolerance: float


def one_detection(annotations: Iterable[int]) -> float:
    """How far a mean AP50 moves when each structure has one detection more or less, which of the two by chance.

    Of n annotations one more or less that is found moves the recall of a structure by 1 / n, and its AP50 by about as
    much; the mean of K structures moves by 1 / (K n). The structures are independent, so that squares add up:
    sqrt(sum of 1 / n^2) / K. AP is a mean over ten thresholds and moves less.

    Args:
        annotations: n of each structure; those without any are not in the mean.
    """
    counts = [n for n in annotations if n]
    return math.sqrt(sum(1 / n**2 for n in counts)) / len(counts) if counts else 0.0
