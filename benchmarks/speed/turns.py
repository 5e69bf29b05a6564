"""Contestants that take turns, so that what else the machine does falls on all of them alike."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

__all__ = ["Contestant", "Samples", "take_turns"]

# Runs a number of batches; returns the figures of each, by name.
Contestant = Callable[[int], dict[str, list[float]]]


@dataclass
class Samples:
    """What one contestant did in all of its blocks.

    Attributes:
        blocks: the figures of each block, by name.
        seconds: that the blocks took.
        joules: that its meter counted meanwhile; 0 without one.
    """

    blocks: list[dict[str, list[float]]] = field(default_factory=list)
    seconds: float = 0.0
    joules: float = 0.0

    def all(self, name: str) -> list[float]:
        """The figures called `name` of all blocks, in the order of measuring."""
        return [value for block in self.blocks for value in block[name]]

    def medians(self, name: str) -> list[float]:
        """The median of each block."""
        return [float(np.median(block[name])) for block in self.blocks]

    @property
    def names(self) -> list[str]:
        """Of the figures."""
        return list(self.blocks[0]) if self.blocks else []


def take_turns(
    contestants: Sequence[Contestant],
    batches: Sequence[int],
    *,
    blocks: int,
    warm_up: int,
    settle: int,
    meters: Sequence[Callable[[], float] | None] | None = None,
) -> list[Samples]:
    """Lets each contestant run its batches in blocks, round by round, every second round in the opposite order.

    Args:
        contestants: who runs.
        batches: how many each of them has to run, at least 1.
        blocks: into how many parts; fewer where there are fewer batches.
        warm_up: batches that each of them runs beforehand, in no figure.
        settle: batches at the beginning of a block, in no figure either: whoever ran before left the caches to himself.
            None are run where there is one contestant only.
        meters: for each, what counts the joules of the device that it runs on; None where nothing does.
    """
    samples = [Samples() for _ in contestants]
    plans = [_parts(number, blocks) for number in batches]
    for contestant in contestants:
        contestant(warm_up)
    for turn in range(max(map(len, plans))):
        order = range(len(contestants)) if turn % 2 == 0 else reversed(range(len(contestants)))
        for place in order:
            if turn >= len(plans[place]):
                continue
            if settle and len(contestants) > 1:
                contestants[place](settle)
            meter = meters[place] if meters else None
            energy, start = meter() if meter else 0.0, time.perf_counter()
            samples[place].blocks.append(contestants[place](plans[place][turn]))
            samples[place].seconds += time.perf_counter() - start
            samples[place].joules += (meter() if meter else 0.0) - energy
    return samples


def _parts(number: int, blocks: int) -> list[int]:
    """`number` in parts that differ by one at the most, none of them empty."""
    blocks = min(number, blocks)
    return [number // blocks + (part < number % blocks) for part in range(blocks)]
