"""Contestants that take turns, so that what else the machine does falls on all of them alike."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

__all__ = ["Contestant", "Samples", "Untimed", "take_turns"]

# Runs the batches of these numbers; returns its figures by name. Batch k holds the same frames whoever runs it, and a
# number may be negative.
Contestant = Callable[[range], dict[str, list[float]]]


@dataclass(frozen=True)
class Untimed:
    """What is run before something is timed: so many batches, and again until so much time has passed.

    A count alone isn't enough: a GPU, or a processor's vector units, take their time to raise the clock, and ten fast
    batches are over before.

    Attributes:
        batches: at least 1.
        seconds: at least.
    """

    batches: int
    seconds: float = 0.0

    def run(self, contestant: Contestant, before: int) -> None:
        """Runs the batches that come before the one of that number."""
        start = time.perf_counter()
        contestant(range(before - self.batches, before))
        while time.perf_counter() - start < self.seconds:
            contestant(range(before - self.batches, before))


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
    warm_up: Untimed,
    settle: Untimed,
    meters: Sequence[Callable[[], float] | None] | None = None,
) -> list[Samples]:
    """Lets each contestant run its batches in blocks, round by round, every second round in the opposite order.

    Args:
        contestants: who runs.
        batches: how many each of them has to run, at least 1; they are numbered from 0.
        blocks: into how many parts; fewer where there are fewer batches.
        warm_up: what each of them runs before all else, in no figure.
        settle: the same before each block: whoever ran before left the caches to himself, and a GPU's clock may have
            fallen. Nothing where there is one contestant only.
        meters: for each, what counts the joules of the device that it runs on; None where nothing does.
    """
    samples = [Samples() for _ in contestants]
    plans = [_parts(number, blocks) for number in batches]
    for contestant in contestants:
        warm_up.run(contestant, before=0)
    for turn in _told(max(map(len, plans))):
        order = range(len(contestants)) if turn % 2 == 0 else reversed(range(len(contestants)))
        for place in order:
            if turn >= len(plans[place]):
                continue
            numbers = plans[place][turn]
            if len(contestants) > 1:
                settle.run(contestants[place], before=numbers.start)
            meter = meters[place] if meters else None
            energy, start = meter() if meter else 0.0, time.perf_counter()
            samples[place].blocks.append(contestants[place](numbers))
            samples[place].seconds += time.perf_counter() - start
            samples[place].joules += (meter() if meter else 0.0) - energy
    return samples


def _told(rounds: int) -> Iterator[int]:
    """The numbers of the rounds; on a terminal a bar tells how many are done, drawn between them, by no thread."""
    console = Console(stderr=True)
    columns = TextColumn("measuring, rounds done"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    with Progress(
        *columns, console=console, transient=True, auto_refresh=False, disable=not console.is_terminal
    ) as bar:
        task = bar.add_task("", total=rounds)
        for turn in range(rounds):
            bar.refresh()
            yield turn
            bar.advance(task)


def _parts(number: int, blocks: int) -> list[range]:
    """0 to `number` in consecutive parts whose lengths differ by one at the most, none of them empty."""
    blocks = min(number, blocks)
    return [range(number * part // blocks, number * (part + 1) // blocks) for part in range(blocks)]
