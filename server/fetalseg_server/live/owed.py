"""One answer that a session owes, from the moment its frame came to the bytes that answer it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from fetalseg_server.live.continuity import Continuity
from fetalseg_server.messages import result_message, skipped_message
from fetalseg_server.options import SessionOptions
from fetalseg_server.protocol import RESULT_MAGIC, Codec, FrameFlag, FrameHeader, frame_message
from fetalseg_server.worker.jobs import Answer, Job

__all__ = ["OwedFrame", "OwedText"]


@dataclass(frozen=True, eq=False)
class OwedText:
    """An answer that isn't about a frame, in its place in the row."""

    text: str

    @property
    def known(self) -> bool:
        """Whether the answer can be sent."""
        return True


@dataclass(eq=False)
class OwedFrame:
    """The answer to one frame.

    Attributes:
        header: of the frame.
        options: of the session when the frame came.
        received_ns: the monotonic clock at the frame's last byte.
        payload: the coded frame, while it waits.
        continuity: of the session.
        scene: that the frame belongs to.
        rung: of the quality ladder, once the frame is being worked on.
        timer: calls at the deadline.
        answer: what became of the frame, once that is known.
    """

    header: FrameHeader
    options: SessionOptions
    received_ns: int
    payload: memoryview | None
    continuity: Continuity
    scene: int
    rung: int = 0
    timer: asyncio.TimerHandle | None = None
    answer: Answer | None = None

    @property
    def known(self) -> bool:
        """Whether the answer can be sent."""
        return self.answer is not None

    @property
    def deadline_ns(self) -> int | None:
        """On the monotonic clock."""
        if self.options.deadline_ms is None:
            return None
        return self.received_ns + round(self.options.deadline_ms * 1e6)

    def settle(self, answer: Answer) -> None:
        """Fixes the answer; the frame's bytes and its timer are let go."""
        self.answer = answer
        self.payload = None
        self.stop_timer()

    def stop_timer(self) -> None:
        """The deadline doesn't matter any more."""
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None

    def job(self) -> Job:
        """What the worker is to do; the worker's side fills in id and offset."""
        assert self.payload is not None
        return Job(
            id=0,
            codec=self.header.codec,
            width=self.header.width,
            height=self.header.height,
            offset=0,
            length=len(self.payload),
            received_ns=self.received_ns,
            deadline_ns=self.deadline_ns,
            masks=self.options.masks,
            min_score=self.options.min_score,
            nms=self.options.nms,
            session=self.continuity.session,
            track=self.options.track,
            examination=self.options.examination,
            scene=self.scene,
            frozen=bool(self.header.flags & FrameFlag.FROZEN),
            last_track_id=self.continuity.last_track_id,
            rung=self.rung,
        )

    def final(self, now_ns: int) -> Answer:
        """The answer as it must be sent now: a result that has grown too old is none."""
        assert self.answer is not None
        if self.answer.outcome == "result" and self.deadline_ns is not None and now_ns > self.deadline_ns:
            age_ms = (now_ns - self.received_ns) / 1e6
            return Answer(0, "deadline", f"{age_ms:.1f} ms old before sending, {self.options.deadline_ms:g} ms allowed")
        return self.answer

    def skipped(self, answer: Answer, now_ns: int) -> str:
        """The message of a frame without a result."""
        assert answer.outcome != "result"
        received_us, sent_us = self.received_ns // 1000, now_ns // 1000
        return skipped_message(self.header, answer.outcome, answer.detail, received_us=received_us, sent_us=sent_us)

    def result(
        self,
        answer: Answer,
        now_ns: int,
        *,
        timing_ms: dict[str, float],
        dropped_before: int,
        examination: str | None = None,
    ) -> list[str | bytes]:
        """The messages of a frame with a result: the text, and the label map where one was asked for."""
        text = result_message(
            self.header,
            answer.text.decode(),
            received_us=self.received_ns // 1000,
            sent_us=now_ns // 1000,
            timing_ms=timing_ms,
            dropped_before=dropped_before,
            rung=self.rung,
            examination=examination,
        )
        return [text, self._label_map(answer)] if self.options.masks == "labelmap" else [text]

    def _label_map(self, answer: Answer) -> bytes:
        header = FrameHeader(
            codec=Codec.PNG,
            sequence=self.header.sequence,
            width=answer.width,
            height=answer.height,
            flags=self.header.flags,
            capture_time_us=self.header.capture_time_us,
            spacing_mm=self.header.spacing_mm,
            magic=RESULT_MAGIC,
        )
        return frame_message(header, answer.data)
