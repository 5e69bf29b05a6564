"""The largest number that holds."""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["largest_that_holds"]


def largest_that_holds(holds: Callable[[int], bool], most: int) -> int:
    """The largest number from 1 to `most` that holds, if all below it do; 0 where 1 doesn't.

    Doubles until a number doesn't hold, then halves what is left; no number is tried twice.

    Args:
        holds: tries a number.
        most: at least 1.
    """
    good, trial = 0, 1
    while trial <= most and holds(trial):
        good, trial = trial, min(2 * trial, most) if trial < most else most + 1
    bad = trial
    while bad - good > 1:
        middle = (good + bad) // 2
        good, bad = (middle, bad) if holds(middle) else (good, middle)
    return good
