"""Whether several frames at once go through the network faster than one after another: measured, not assumed."""

from __future__ import annotations

import queue
import time
from collections.abc import Callable
from typing import TypeVar

__all__ = ["BATCHES", "fastest_batch", "take_batch", "time_batches"]

BATCHES = (2, 4)  # a frame waits for the others of its batch, so eight at once would be too old on any machine
# What a batch must save of each frame's time before frames wait for each other.
_LEAST_GAIN = 0.15
_REPEATS = 5  # of which the fastest counts: whatever else the machine does only adds

T = TypeVar("T")


def time_batches(run: Callable[[int], None]) -> dict[int, float]:
    """Milliseconds of one frame by size of its batch; larger batches are tried only while they pay.

    Args:
        run: sends a batch of this size through the network.
    """
    times = {1: _time(run, 1)}
    for size in BATCHES:
        times[size] = _time(run, size)
        if fastest_batch(times) != size:
            break
    return times


def fastest_batch(times_ms: dict[int, float]) -> int:
    """The size to use.

    Args:
        times_ms: of one frame, by size of its batch; 1 is among them.
    """
    best = min(times_ms, key=lambda size: times_ms[size])
    return best if times_ms[best] <= (1 - _LEAST_GAIN) * times_ms[1] else 1


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


def _time(run: Callable[[int], None], size: int) -> float:
    durations = []
    for _ in range(_REPEATS):
        start = time.perf_counter()
        run(size)
        durations.append(time.perf_counter() - start)
    return 1000 * min(durations) / size
