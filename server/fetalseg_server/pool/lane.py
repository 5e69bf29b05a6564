"""One worker of the pool with what belongs to it: the queue before it, its sessions, its measured capacity."""

from __future__ import annotations

import time
from collections.abc import Sequence

from fetalseg_server.ladder import Rung
from fetalseg_server.pool.capacity import WorkerLoad
from fetalseg_server.pool.ladder_control import LadderControl
from fetalseg_server.pool.process import WorkerProcess
from fetalseg_server.pool.scheduler import Scheduler
from fetalseg_server.pool.seat import Seat

__all__ = ["Lane"]


class Lane:
    """A worker's place in the pool; the worker itself may be replaced.

    Args:
        number: from 0, for metrics and the log.
        worker: the first one.
        rungs: of the quality ladder, see `fetalseg_server.ladder.parse_ladder`.

    Attributes:
        seats: of its sessions.
        load: what its frames cost.
        scheduler: whose turn it is.
    """

    def __init__(self, number: int, worker: WorkerProcess, rungs: Sequence[Rung]) -> None:
        self.number = number
        self.worker = worker
        self.rungs = rungs
        self.seats: set[Seat] = set()
        self.load = WorkerLoad()
        self.scheduler = Scheduler(worker, self.load)
        self._ladder = LadderControl(rungs)

    @property
    def promised_fps(self) -> float:
        """Frames a second that its sessions may count on, together."""
        return sum(seat.promised_fps for seat in self.seats)

    @property
    def capacity_fps(self) -> float:
        """Frames a second that may be promised: on the last rung, where there is a ladder."""
        last = len(self.rungs) - 1
        worked_on = self.load.cost.fps(time.monotonic(), last)
        return 2 * worked_on if self.rungs[last].half_rate else worked_on

    @property
    def fullness(self) -> float:
        """What is promised as a share of what may be."""
        return self.promised_fps / max(self.capacity_fps, 1e-9)

    @property
    def frame_s(self) -> float:
        """What a frame costs at full quality, in seconds; 0 before that is known."""
        return (self.load.cost.ms(time.monotonic()) or 0.0) / 1000

    @property
    def busy_share(self) -> float:
        """Share of the last second in which the worker had work."""
        return self.load.busy(time.monotonic())

    @property
    def busy(self) -> int:
        """Frames that wait for the worker or are in it."""
        return len(self.scheduler) + self.worker.in_flight

    def switch(self, worker: WorkerProcess, load: WorkerLoad) -> WorkerProcess:
        """Sends all further frames to another worker; returns the one before, which first answers what it has."""
        before, self.worker, self.load = self.worker, worker, load
        self.scheduler.switch(worker, load)
        return before

    def regulate(self) -> Seat | None:
        """Moves one session on the ladder, where that is due; returns which."""
        now = time.monotonic()
        seats = sorted(self.seats, key=lambda seat: seat.fps)
        moved = self._ladder.regulate(now, self.load.busy(now), seats, lambda rung: self.load.cost.ms(now, rung))
        return moved if isinstance(moved, Seat) else None
