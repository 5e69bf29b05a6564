"""Is it faster, or is it noise?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

__all__ = ["Change", "change"]

_RESAMPLES = 10_000
_LEAST_MS = 1e-6  # a clock of coarse steps may call a stage that has nothing to do 0

Verdict = Literal["faster", "slower", "no change", "too few blocks"]


@dataclass(frozen=True)
class Change:
    """Of a time, from before to after.

    Attributes:
        before: median, ms.
        after: median, ms.
        ratio: after / before.
        low: of the ratio's interval.
        high: likewise.
        verdict: "no change" where the interval holds 1.
    """

    before: float
    after: float
    ratio: float
    low: float
    high: float
    verdict: Verdict


def change(before: Sequence[float], after: Sequence[float], *, paired: bool, level: float = 0.95) -> Change:
    """Compares the medians of blocks of measurements.

    Neighbouring measurements share what else the machine did, so they aren't independent: blocks are resampled, not
    measurements (percentile bootstrap, Efron and Tibshirani 1993, chapter 13).

    Args:
        before: median of each block, ms, at least 0; below a nanosecond counts as one.
        after: likewise.
        level: how often the interval shall hold the truth. The whole range of n blocks holds the median no more often
            than 1 - 2 / 2**n (its order statistics): with fewer than 6 for 0.95, or 8 for 0.99, nothing is said.
        paired: blocks of one place were measured one after the other, in one round: they are resampled together.

    Raises:
        ValueError: nothing measured, or pairs of different numbers.
    """
    if not before or not after or (paired and len(before) != len(after)):
        raise ValueError(f"expected blocks of measurements, got {len(before)} before and {len(after)} after")
    first, second = (np.maximum(medians, _LEAST_MS) for medians in (before, after))
    middle = float(np.median(second / first)) if paired else float(np.median(second) / np.median(first))
    rng = np.random.default_rng(0)
    rows = rng.integers(len(first), size=(_RESAMPLES, len(first)))
    if paired:
        ratios = np.median((second / first)[rows], axis=1)
    else:
        others = rng.integers(len(second), size=(_RESAMPLES, len(second)))
        ratios = np.median(second[others], axis=1) / np.median(first[rows], axis=1)
    low, high = (float(value) for value in np.quantile(ratios, ((1 - level) / 2, (1 + level) / 2)))
    if 1 - 2 ** (1 - min(len(before), len(after))) < level:
        verdict: Verdict = "too few blocks"
    elif low <= 1 <= high:
        verdict = "no change"
    else:
        verdict = "faster" if high < 1 else "slower"
    return Change(float(np.median(first)), float(np.median(second)), middle, low, high, verdict)
