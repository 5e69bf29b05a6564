"""Who is next: sessions take turns, each with its newest frame, and only what the stages can hold leaves a session."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Protocol

from fetalseg_server.pool.capacity import WorkerLoad
from fetalseg_server.pool.fair_queue import FairQueue
from fetalseg_server.pool.pace import Pace
from fetalseg_server.pool.process import WorkerProcess
from fetalseg_server.worker.jobs import Answer, Job

__all__ = ["FrameSource", "Scheduler", "Work"]

# One batch in the network and one being decoded beside it; a third would only grow old where nothing newer replaces it.
_STAGES = 2


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

    @property
    def flow(self) -> Hashable:
        """Whose share of the worker it uses."""

    @property
    def weight(self) -> float:
        """Share against those of others, above 0."""

    def take(self) -> Work | None:
        """Gives up its waiting frame, or None where it has none any more."""


class Scheduler:
    """Moves waiting frames into the stages of one worker, in proportion to the weights of those they come from.

    Args:
        worker: where the stages are.
        load: where its work is counted.
    """

    def __init__(self, worker: WorkerProcess, load: WorkerLoad) -> None:
        self._worker = worker
        self._former: list[WorkerProcess] = []  # those before it that still owe answers
        self._load = load
        self._pace = Pace()
        self._waiting: FairQueue[FrameSource] = FairQueue()
        self._timer: asyncio.TimerHandle | None = None
        self._pumping = False

    def __len__(self) -> int:
        """How many sources have a frame waiting."""
        return len(self._waiting)

    def switch(self, worker: WorkerProcess, load: WorkerLoad) -> None:
        """From now on frames go to another worker, once the one before has answered what it has.

        A worker numbers the structures that it tracks from the last identity that was known when it got the frame. Two
        workers with frames of one session would both give the next identities, to different structures.
        """
        self._former = [former for former in (*self._former, self._worker) if former.in_flight]
        self._worker, self._load, self._pace = worker, load, Pace()
        self.pump()

    def offer(self, source: FrameSource) -> None:
        """A source has a frame waiting; its turn is that of the frame that waited before, if there was one."""
        self._waiting.add(source)
        self.pump()

    def withdraw(self, source: FrameSource) -> None:
        """A source is gone."""
        self._waiting.remove(source)

    def forget(self, session: str) -> None:
        """A session has ended, see `WorkerProcess.forget`."""
        self._worker.forget(session)

    def pump(self) -> None:
        """Fills the free stages; to be called whenever one may have become free."""
        if self._pumping:  # an answer given at once leads here again
            return
        self._pumping = True
        try:
            while self._waiting and self._may_hand_over():
                source = self._waiting.pop()
                if (work := source.take()) is None:
                    self._waiting.refund(source)
                else:
                    self._waiting.serve()
                    self._submit(work)
        finally:
            self._pumping = False

    def _may_hand_over(self) -> bool:
        # It ends: a worker that gives no answer is killed, its frames are answered, and that leads to `pump`.
        self._former = [former for former in self._former if former.in_flight]
        if self._former:
            return False
        if not self._worker.ready or self._worker.in_flight < self._worker.batch:
            return True
        if self._worker.in_flight >= _STAGES * self._worker.batch:
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
        worker, load, pace = self._worker, self._load, self._pace
        if not worker.ready:
            work.on_answer(Answer(0, "engine_error", "the engine is being started again"))
            return
        now = time.monotonic()
        if worker.in_flight == 0:
            pace.handed_over(now)
        load.handed_over(now, worker.in_flight)

        def answered(answer: Answer) -> None:
            done = time.monotonic()
            pace.answered(done, answer.timing_ms)
            load.answered(done, answer.timing_ms, rung=work.job.rung, batch=answer.batch)
            work.on_answer(answer)

        if not worker.submit(work.job, work.payload, answered):
            work.on_answer(Answer(0, "overloaded", f"no room for {len(work.payload)} bytes beside the frames in work"))
