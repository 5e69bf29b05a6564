"""Who is next: sessions take turns, each with its newest frame, and only what the stages can hold leaves a session."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from fetalseg_server.jobs import Answer, Job
from fetalseg_server.pace import Pace
from fetalseg_server.worker_process import WorkerProcess

__all__ = ["STAGES", "FrameSource", "Scheduler", "Work"]

# One frame in the network and one being decoded beside it; a third would only grow old where no newer one replaces it.
STAGES = 2


@dataclass(frozen=True)
class Work:
    """One frame on its way to the worker.

    Attributes:
        job: what to do; the worker's side fills in id, offset and length.
        payload: the coded frame.
        on_answer: called exactly once.
    """

    job: Job
    payload: memoryview
    on_answer: Callable[[Answer], None]


class FrameSource(Protocol):
    """Something with at most one frame waiting."""

    def take(self) -> Work | None:
        """Gives up its waiting frame, or None where it has none any more."""


class Scheduler:
    """Moves waiting frames into the stages, one of each source in turn.

    Args:
        worker: where the stages are.
    """

    def __init__(self, worker: WorkerProcess) -> None:
        self._worker = worker
        self._pace = Pace()
        self._waiting: deque[FrameSource] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._pumping = False

    def offer(self, source: FrameSource) -> None:
        """A source has a frame waiting; its turn comes after those that have waited longer."""
        if source not in self._waiting:
            self._waiting.append(source)
        self.pump()

    def withdraw(self, source: FrameSource) -> None:
        """A source is gone."""
        if source in self._waiting:
            self._waiting.remove(source)

    def pump(self) -> None:
        """Fills the free stages; to be called whenever one may have become free."""
        if self._pumping:  # an answer given at once leads here again
            return
        self._pumping = True
        try:
            while self._waiting and self._may_hand_over():
                source = self._waiting.popleft()
                if (work := source.take()) is not None:
                    self._submit(work)
        finally:
            self._pumping = False

    def _may_hand_over(self) -> bool:
        if not self._worker.ready or self._worker.in_flight == 0:
            return True
        if self._worker.in_flight >= STAGES:
            return False
        early_s = self._pace.next_at() - time.monotonic()
        if early_s > 0:
            self._pump_in(early_s)
        return early_s <= 0

    def _pump_in(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(seconds, self.pump)

    def _submit(self, work: Work) -> None:
        if not self._worker.ready:
            work.on_answer(Answer(0, "engine_error", "the engine is being started again"))
            return
        if self._worker.in_flight == 0:
            self._pace.handed_over(time.monotonic())
        if not self._worker.submit(work.job, work.payload, lambda answer: self._answered(work, answer)):
            work.on_answer(Answer(0, "overloaded", f"no room for {len(work.payload)} bytes beside the frames in work"))

    def _answered(self, work: Work, answer: Answer) -> None:
        self._pace.answered(time.monotonic(), answer.timing_ms)
        work.on_answer(answer)
