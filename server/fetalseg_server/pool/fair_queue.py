"""Whose turn it is: weighted fair queueing of sources that each have at most one frame waiting.

Start-time fair queueing (Goyal, Vin and Cheng, IEEE/ACM Transactions on Networking 5(5), 1997): each flow has a clock
of its own, which each of its frames advances by 1 / weight. The frame that starts earliest goes first; a flow that was
silent starts at the time of the frame served last, so that silence earns no credit. While all flows are busy they are
served in proportion to their weights, and since the start of a waiting frame never moves, none of them starves.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Generic, NamedTuple, Protocol, TypeVar

__all__ = ["FairQueue", "Turn"]


class Turn(Protocol):
    """Something that waits for its turn."""

    @property
    def flow(self) -> Hashable:
        """Whose share it uses; several sources may be one flow."""

    @property
    def weight(self) -> float:
        """Share of the flow against those of others, above 0."""


class _Interval(NamedTuple):
    start: float
    length: float


T = TypeVar("T", bound=Turn)


class FairQueue(Generic[T]):
    """The sources that wait, and the clocks of their flows."""

    def __init__(self) -> None:
        self._now = 0.0
        self._ends: dict[Hashable, float] = {}  # of flows whose clock is ahead
        self._waiting: dict[T, _Interval] = {}  # in the order in which they came, which decides between equals
        self._served: _Interval = _Interval(0.0, 0.0)

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, source: T) -> None:
        """A source has a frame waiting; one that waits already keeps its place."""
        if source in self._waiting:
            return
        interval = _Interval(max(self._now, self._ends.get(source.flow, 0.0)), 1 / source.weight)
        self._ends[source.flow] = interval.start + interval.length
        self._waiting[source] = interval

    def remove(self, source: T) -> None:
        """A source waits no more; its flow doesn't pay for it."""
        interval = self._waiting.pop(source, None)
        if interval is not None:
            self._refund(source, interval)

    def pop(self) -> T:
        """The source whose turn it is.

        Raises:
            ValueError: nobody waits.
        """
        source = min(self._waiting, key=lambda waiting: self._waiting[waiting].start)
        self._served = self._waiting.pop(source)
        return source

    def serve(self) -> None:
        """The source popped last had a frame: the time is its start."""
        self._now = max(self._now, self._served.start)
        self._ends = {flow: end for flow, end in self._ends.items() if end > self._now}

    def refund(self, source: T) -> None:
        """The source popped last had no frame any more, so its flow doesn't pay."""
        self._refund(source, self._served)

    def _refund(self, source: T, interval: _Interval) -> None:
        if source.flow in self._ends:
            self._ends[source.flow] -= interval.length
