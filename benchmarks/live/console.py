"""A console that keeps to a timetable: frame k is due at k / fps and a little jitter, whatever became of frame k - 1.

Latency is counted from the moment at which a frame was due, so that a server that stalls the sender is charged for
every frame that came late by it (no coordinated omission), and, apart, from the moment at which it was handed to the
socket. Frames that the full window kept at the source are outcomes, too.
"""

from __future__ import annotations

import asyncio
import json
import math
import random
import selectors
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from benchmarks.live.frames import Cine
from benchmarks.live.wire import close_code
from fetalseg_server.messages import TIMING_KEYS, bye_message
from fetalseg_server.protocol import FrameHeader

__all__ = ["ConsoleLog", "FrameLog", "Timetable", "honest_clock", "precise_loop", "stream"]

LAST_ANSWERS_S = 10.0  # how long answers may be owed after the last frame

RESULT = "result"
KEPT = "kept at the source"  # the window was full
UNSENT = "unsent"  # the connection had ended
UNANSWERED = "unanswered"


@dataclass(frozen=True)
class Timetable:
    """When frames are due.

    Attributes:
        fps: frames a second.
        seconds: from the first frame to the end.
        jitter_ms: each frame is due by up to so much later than its even moment; below the time of a frame.
        phase_ms: by how much this console begins later than others.
        seed: of the jitter.
    """

    fps: float = 25.0
    seconds: float = 10.0
    jitter_ms: float = 0.0
    phase_ms: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.fps <= 0 or self.seconds <= 0 or not 0 <= self.jitter_ms < 1000 / self.fps:
            raise ValueError(
                f"expected fps and seconds above 0 and a jitter below the time of a frame, got {self.fps:g} fps, "
                f"{self.seconds:g} s, {self.jitter_ms:g} ms"
            )

    def due_s(self) -> list[float]:
        """Seconds after the start, by frame; they increase."""
        moments = random.Random(self.seed)
        count = max(1, round(self.seconds * self.fps))
        return [self.phase_ms / 1000 + k / self.fps + moments.uniform(0, self.jitter_ms) / 1000 for k in range(count)]


@dataclass
class FrameLog:
    """What became of one frame; moments are seconds on this machine's monotonic clock.

    Attributes:
        due: when it was to be sent.
        sent: when it was handed to the socket; NaN where it never was.
        answered: when its answer was read; NaN where none came.
        outcome: "result", a reason of `skipped`, or one of this module's words.
        server_ms: from its last byte to its answer, on the server's clock.
        timing_ms: of a result, by `TIMING_KEYS`.
        rung: of a result.
        capture_time_us: as the console told it.
    """

    due: float
    sent: float = math.nan
    answered: float = math.nan
    outcome: str = UNSENT
    server_ms: float = math.nan
    timing_ms: tuple[float, ...] = ()
    rung: int = 0
    capture_time_us: int = 0


@dataclass
class ConsoleLog:
    """What became of one session.

    Attributes:
        frames: one entry for each that was due.
        faults: what the server did against the protocol, in words.
        close_code: what the connection ended with; None where it broke.
    """

    frames: list[FrameLog] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    close_code: int | None = None


def precise_loop() -> asyncio.AbstractEventLoop:
    """An event loop whose timers are exact to microseconds: epoll's count whole milliseconds, select's don't."""
    return asyncio.SelectorEventLoop(selectors.SelectSelector())


def honest_clock(moment: float) -> int:
    """Microseconds of the moment at which a frame is due."""
    return round(moment * 1e6)


async def stream(
    socket: ClientConnection,
    cine: Cine,
    due_s: Sequence[float],
    *,
    start: float,
    window: int,
    labelmaps: bool = False,
    clock: Callable[[float], int] = honest_clock,
) -> ConsoleLog:
    """Sends frames by a timetable, says goodbye and waits for the last answers.

    Args:
        socket: past its greeting.
        cine: starts over when it ends.
        due_s: seconds after the start, by frame; they don't decrease.
        start: seconds on the monotonic clock.
        window: frames that may be unanswered; 0 sends however many are.
        labelmaps: the session's results are each followed by one; a result is complete with it.
        clock: the console's own, us, from the moment at which a frame is due.
    """
    log = ConsoleLog([FrameLog(start + moment, capture_time_us=clock(start + moment)) for moment in due_s])
    reader = _Reader(socket, log, labelmaps=labelmaps)
    reading = asyncio.create_task(reader.run())
    try:
        for sequence, entry in enumerate(log.frames):
            await asyncio.sleep(entry.due - time.monotonic())
            if reading.done():
                break
            if window and reader.open >= window:
                entry.outcome = KEPT
                continue
            message = cine.message(sequence, capture_time_us=entry.capture_time_us)
            entry.sent, entry.outcome = time.monotonic(), UNANSWERED
            reader.expected.append(sequence)
            await socket.send(message)
        await socket.send(bye_message())
        await asyncio.wait([reading], timeout=LAST_ANSWERS_S)
    except ConnectionClosed:
        pass
    if not reading.done():
        log.faults.append(f"no end within {LAST_ANSWERS_S:g} s after bye")
        reading.cancel()
    await asyncio.wait([reading])
    if not reading.cancelled():
        reading.result()
    return log


class _Reader:
    """Takes answers in, and notes where they are not what the protocol promises."""

    def __init__(self, socket: ClientConnection, log: ConsoleLog, *, labelmaps: bool) -> None:
        self._socket = socket
        self._log = log
        self._labelmaps = labelmaps
        self._answered = 0
        self.expected: list[int] = []  # sequences sent, in order

    @property
    def open(self) -> int:
        """Frames sent whose answer hasn't come."""
        return len(self.expected) - self._answered

    async def run(self) -> None:
        """Reads until the connection ends."""
        try:
            while True:
                message = await self._socket.recv()
                now = time.monotonic()
                if isinstance(message, bytes):
                    self._log.faults.append(f"a binary message of {len(message)} bytes that belongs to no result")
                    continue
                value = json.loads(message)
                if value["type"] in (RESULT, "skipped"):
                    if self._labelmaps and value["type"] == RESULT:
                        now = await self._labelmap(value["sequence"])
                    self._take(value, now)
                elif value["type"] == "error":
                    self._log.faults.append(f"error {value['code']}: {value['message']}")
        except ConnectionClosed as closed:
            self._log.close_code = close_code(closed)

    async def _labelmap(self, sequence: int) -> float:
        """The moment at which a result's label map has come."""
        message = await self._socket.recv(decode=False)
        now = time.monotonic()
        header = FrameHeader.parse(message, b"FSR1")
        if header.sequence != sequence:
            self._log.faults.append(f"the label map after result {sequence} is of frame {header.sequence}")
        return now

    def _take(self, answer: Mapping[str, Any], now: float) -> None:
        sequence = answer["sequence"]
        wanted = self.expected[self._answered] if self.open else None
        if sequence != wanted:
            self._log.faults.append(f"expected the answer to frame {wanted}, got one to {sequence}")
            return
        self._answered += 1
        entry = self._log.frames[sequence]
        entry.answered = now
        entry.server_ms = (answer["sent_us"] - answer["received_us"]) / 1000
        if answer["type"] == "skipped":
            entry.outcome = answer["reason"]
            return
        entry.outcome, entry.rung = RESULT, answer["rung"]
        entry.timing_ms = tuple(answer["timing_ms"][key] for key in TIMING_KEYS)
        if answer["capture_time_us"] != entry.capture_time_us:
            self._log.faults.append(
                f"frame {sequence} of {entry.capture_time_us} us came back with {answer['capture_time_us']} us"
            )
