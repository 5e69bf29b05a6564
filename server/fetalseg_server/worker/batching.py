"""Whether several frames at once go through the network faster than one after another: measured, not assumed."""

from __future__ import annotations

import queue
import time
from collections.abc import Callable
from typing import TypeVar

__all__ = ["BATCHES", "fastest_batch", "take_batch"]

BATCHES = (2, 4)  # a frame waits for the others of its batch, so eight at once would be too old on any machine
# What a batch must save of each frame's time before frames wait for each other.
_LEAST_GAIN = 0.15
# It must save that in each of so many comparisons: on a busy machine chance decides one.
_ROUNDS = 5

T = TypeVar("T")


def fastest_batch(run: Callable[[int], None], clock: Callable[[], float] = time.perf_counter) -> int:
    """The number of frames to send through the network at once; larger ones are tried only while they pay.

    Args:
        run: sends a batch of this size through the network.
        clock: in any unit.
    """
    best = 1
    for size in BATCHES:
        run(size)  # the first time at a new size is spent on memory
        if not all(_time(run, size, clock) <= (1 - _LEAST_GAIN) * _time(run, best, clock) for _ in range(_ROUNDS)):
            break
        best = size
    return best


def take_batch(ready: queue.Queue[T], size: int, together: Callable[[T, T], bool]) -> tuple[list[T], T | None]:
    """What is ready now, up to a batch: it waits for the first one only.

    Args:
        ready: where it comes from, in order.
        size: of a batch, at the most.
        together: whether two can be in one batch.

    Returns:
        The batch, and what came behind it that doesn't belong to it, None where nothing did.
    """
    batch = [ready.get()]
    while len(batch) < size:
        try:
            following = ready.get_nowait()
        except queue.Empty:
            break
        if not together(batch[0], following):
            return batch, following
        batch.append(following)
    return batch, None


def _time(run: Callable[[int], None], size: int, clock: Callable[[], float]) -> float:
    """Of one frame."""
    start = clock()
    run(size)
    return (clock() - start) / size
