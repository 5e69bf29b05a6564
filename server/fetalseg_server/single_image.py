"""One image that belongs to no session."""

from __future__ import annotations

import asyncio
import time

from fetalseg_server.options import SessionOptions
from fetalseg_server.pool.scheduler import Work
from fetalseg_server.protocol import FrameHeader
from fetalseg_server.worker.jobs import Answer, Job, Output

__all__ = ["SingleImage"]


class SingleImage:
    """An image of `/v1/segment`, or of a report, on its way through the stages.

    All of them share one place among the sessions, and a small one: nobody holds a probe while waiting for them.

    Args:
        payload: the coded image.
        header: its codec and size.
        options: as in a session.
        output: as `Job.output`.
    """

    flow = "single images"
    weight = 0.1

    def __init__(
        self, payload: bytes | memoryview, header: FrameHeader, options: SessionOptions, *, output: Output
    ) -> None:
        self.received_ns = time.monotonic_ns()
        self.answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        deadline_ns = None if options.deadline_ms is None else self.received_ns + round(options.deadline_ms * 1e6)
        job = Job(
            id=0,
            codec=header.codec,
            width=header.width,
            height=header.height,
            offset=0,
            length=len(payload),
            received_ns=self.received_ns,
            deadline_ns=deadline_ns,
            masks=options.masks,
            min_score=options.min_score,
            nms=options.nms,
            output=output,
        )
        self._work: Work | None = Work(job, memoryview(payload), self._settle)

    def take(self) -> Work | None:
        """Gives the image to the scheduler."""
        work, self._work = self._work, None
        return work

    def age_ns(self) -> int:
        """Nanoseconds since the image was complete."""
        return time.monotonic_ns() - self.received_ns

    def _settle(self, answer: Answer) -> None:
        if not self.answer.done():
            self.answer.set_result(answer)
