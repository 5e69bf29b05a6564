"""A session's place at a worker: where its frames go, what was promised to it, and how well that is kept."""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING

from fetalseg_server.protocol import SkipReason

if TYPE_CHECKING:
    from fetalseg_server.pool.lane import Lane

__all__ = ["Seat"]

_RECENT_S = 2.0
# What a session loses because others, or too slow a machine, took the worker's time.
_LOST: tuple[SkipReason, ...] = ("superseded", "deadline")


class Seat:
    """Kept from `hello` to the end of the session, also where the worker behind it changes.

    Args:
        lane: the worker.
        fps: frames a second that are promised.
        weight: share of a busy worker, against the weights of others.

    Attributes:
        lane: see above.
    """

    def __init__(self, lane: Lane, *, fps: float, weight: float) -> None:
        self.lane = lane
        self._rung = 0
        self.promised_fps = fps
        self.weight = weight
        self._recent: deque[tuple[float, bool]] = deque()
        self._skipped_last = False
        lane.seats.add(self)

    @property
    def rung(self) -> int:
        """Of the quality ladder, 0 for full quality; what was lost on one rung says nothing of the next."""
        return self._rung

    @rung.setter
    def rung(self, rung: int) -> None:
        self._rung = rung
        self._recent.clear()

    def note(self, outcome: str) -> None:
        """Counts one answered frame."""
        self._recent.append((time.monotonic(), outcome in _LOST))
        self._let_go()

    @property
    def fps(self) -> float:
        """Frames a second that the session sends."""
        self._let_go()
        return len(self._recent) / _RECENT_S

    @property
    def lost(self) -> float:
        """Share of its latest frames that came to nothing for want of time, 0..1."""
        self._let_go()
        return sum(lost for _, lost in self._recent) / max(1, len(self._recent))

    def skips(self) -> bool:
        """Whether the next frame is one that the session's rung doesn't work on."""
        self._skipped_last = self.lane.rungs[self.rung].half_rate and not self._skipped_last
        return self._skipped_last

    def move(self, lane: Lane) -> None:
        """Takes the session to another worker."""
        self.lane.seats.discard(self)
        self.lane = lane
        lane.seats.add(self)

    def leave(self) -> None:
        """The session is over; its share is free."""
        self.lane.seats.discard(self)

    def _let_go(self) -> None:
        end = time.monotonic() - _RECENT_S
        while self._recent and self._recent[0][0] < end:
            self._recent.popleft()
