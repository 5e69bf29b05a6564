"""One connection of a client, from `ready` to its end: frames go out, answers come in, the server is watched."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from fetalseg_server.client.answers import (
    Answer,
    Lost,
    Ready,
    Result,
    Skipped,
    read_labelmap,
    read_result,
    read_skipped,
)
from fetalseg_server.client.clock import ServerClock, now_us
from fetalseg_server.client.errors import StreamError, close_in_words
from fetalseg_server.messages import bye_message, configure_message, ping_message
from fetalseg_server.options import SessionOptions, parse_changes
from fetalseg_server.protocol import FrameFlag, FrameHeader, ProtocolError, frame_message, parse_message
from fetalseg_server.rate_limit import RateLimit

__all__ = ["Link"]

logger = logging.getLogger(__name__)

_PROBE_S = 2.0  # between two pings at most; four of them fit into the time that a server may be silent
_FIRST_PROBES, _FIRST_PROBE_S = 4, 0.05  # at the beginning, so that the clocks are compared early
_LOOKS = 10  # within the time that a server may be silent


@dataclass(frozen=True)
class _InFlight:
    """A frame whose answer has not come."""

    header: FrameHeader
    sent_us: int


class Link:
    """One connection; `run` serves it.

    Args:
        websocket: past its greeting.
        ready: the greeting.
        options: of the session as it begins.
        deliver: takes each answer, in order.
        on_notice: told code and text of notices and of errors that aren't fatal.
        on_change: called when there may be room for a frame.
        silence_s: after so long without any message, pings included, the connection counts as broken.

    Attributes:
        ready: the greeting, with the model of now.
        options: in force for the next answer.
        clock: the server's.
        is_up: frames can be sent.
        answered: answers to frames that came.
        began: s, monotonic.
        lost_discontinuity: a frame that was lost in the end was marked as a discontinuity.
    """

    def __init__(
        self,
        websocket: ClientConnection,
        ready: Ready,
        options: SessionOptions,
        *,
        deliver: Callable[[Answer], None],
        on_notice: Callable[[str, str], None],
        on_change: Callable[[], None],
        silence_s: float,
    ) -> None:
        self.ready = ready
        self.options = options
        self.clock = ServerClock()
        self.is_up = True
        self.answered = 0
        self.began = time.monotonic()
        self.lost_discontinuity = False
        self._websocket = websocket
        self._deliver = deliver
        self._on_notice = on_notice
        self._on_change = on_change
        self._silence_s = silence_s
        self._silent = False
        self._heard = 0  # messages
        self._greeted = False  # errors before the first pong are about the hello, those after it about `configure`
        self._in_flight: deque[_InFlight] = deque()
        self._outbox: asyncio.Queue[str | bytes] = asyncio.Queue()  # holds no more frames than the window
        self._pings: dict[int, int] = {}  # id: us when it was sent
        self._configured: deque[asyncio.Future[None]] = deque()
        self._refusal: StreamError | None = None
        max_fps = ready.limits["max_fps"]
        self._rate = RateLimit(max_fps, max(1, max_fps))

    @property
    def in_flight(self) -> int:
        """Frames sent whose answer has not come."""
        return len(self._in_flight)

    @property
    def has_room(self) -> bool:
        """Whether a frame may be sent now, by window and rate."""
        return self.is_up and self.in_flight < self.ready.window and self.pause_s <= 0

    @property
    def pause_s(self) -> float:
        """Seconds until the server's rate allows another frame; a second's worth may be ahead of it."""
        return self._rate.wait_s()

    def post(self, header: FrameHeader, payload: bytes) -> None:
        """Sends a frame without waiting: what the network can't take yet is within the window."""
        message = frame_message(header, payload)
        self._rate.take()
        self._in_flight.append(_InFlight(header, now_us()))
        self._outbox.put_nowait(message)

    async def configure(self, changes: dict[str, Any]) -> None:
        """Asks for other options and waits until the server has them.

        Raises:
            StreamError: refused, or the connection ended.
        """
        answer = asyncio.get_running_loop().create_future()
        self._configured.append(answer)
        self._outbox.put_nowait(configure_message(changes))
        await answer

    def bye(self) -> None:
        """Says that no frame follows."""
        self._outbox.put_nowait(bye_message())

    def abort(self) -> None:
        """Breaks the connection off."""
        self._websocket.transport.abort()

    async def run(self) -> StreamError:
        """Serves the connection until it ends, and says why it did.

        Each frame that was posted gets exactly one answer: those without one are delivered as `Lost` in the end.
        """
        # In this order, so that the first ping is sent before anything else.
        tasks = [asyncio.create_task(work()) for work in (self._probe, self._write, self._watch)]
        ended = StreamError("the connection was given up")
        try:
            try:
                await self._read()
            except ProtocolError as error:
                ended = StreamError(f"the server sent something unreadable: {error}", permanent=True)
                await self._websocket.close(4000)
            else:
                ended = self._why_closed()
        finally:
            self.is_up = False
            for task in tasks:
                task.cancel()
            try:
                await asyncio.gather(*tasks, return_exceptions=True)
            finally:  # also where the session is left at this very moment
                self.abort()
                self._give_up(ended)
        return ended

    def _give_up(self, ended: StreamError) -> None:
        while self._in_flight:
            header = self._in_flight.popleft().header
            self.lost_discontinuity |= bool(header.flags & FrameFlag.DISCONTINUITY)
            self._deliver(Lost(header.sequence, header.capture_time_us, str(ended)))
        while self._configured:
            waiting = self._configured.popleft()
            if not waiting.done():
                waiting.set_exception(ended)
        self._on_change()

    async def _write(self) -> None:
        with contextlib.suppress(ConnectionClosed):
            while True:
                await self._websocket.send(await self._outbox.get())

    async def _probe(self) -> None:
        """Pings now and then: for the clocks, and so that a quiet session is neither idle nor forgotten."""
        pause_s = min(_PROBE_S, self._silence_s / 4)
        with contextlib.suppress(ConnectionClosed):
            for number in itertools.count():
                self._pings[number] = now_us()
                await self._websocket.send(ping_message(number))
                await asyncio.sleep(min(_FIRST_PROBE_S, pause_s) if number < _FIRST_PROBES else pause_s)

    async def _watch(self) -> None:
        """Breaks a connection off that carries nothing any more.

        Counted in looks, not in time: a program that held its event loop for long shall not blame the server.
        """
        silent_looks = 0
        while silent_looks < _LOOKS:
            heard = self._heard
            await asyncio.sleep(self._silence_s / _LOOKS)
            silent_looks = silent_looks + 1 if self._heard == heard else 0
        self._silent = True
        self.abort()

    async def _read(self) -> None:
        """Takes in messages until the connection ends."""
        result: Result | None = None  # waits for its label map
        with contextlib.suppress(ConnectionClosed):
            async for message in self._websocket:
                self._heard += 1
                if isinstance(message, bytes):
                    if result is not None:
                        self._answer(replace(result, labelmap=read_labelmap(message, result.sequence)))
                        result = None
                else:
                    result = self._take(parse_message(message))

    def _take(self, message: dict[str, Any]) -> Result | None:
        """Acts on one text message; returns a result whose label map follows."""
        kind = message["type"]
        if kind in ("result", "skipped"):
            return self._take_answer(kind, message)
        if kind == "pong":
            self._greeted = True
            sent_us = self._pings.pop(message.get("id", -1), None)
            if sent_us is not None:
                self.clock.add(sent_us, int(message["received_us"]), int(message["sent_us"]), now_us())
        elif kind == "configured":
            self.options = SessionOptions(**parse_changes(message["options"]))
            self._settle_configure(None)
        elif kind == "error":
            self._take_error(message)
        elif kind == "notice":
            if isinstance(model := message.get("model"), dict):  # another one from here on
                self.ready = replace(self.ready, model=model)
            self._on_notice(str(message.get("code")), str(message.get("message", "")))
        return None  # the protocol grows: unknown types are for newer clients

    def _take_answer(self, kind: str, message: dict[str, Any]) -> Result | None:
        frame = self._in_flight[0] if self._in_flight else None
        if frame is None or message.get("sequence") != frame.header.sequence:
            wanted = f"frame {frame.header.sequence}" if frame else "no frame, all are answered"
            raise ProtocolError(f"expected the answer to {wanted}, got one to frame {message.get('sequence')}")
        if kind == "skipped":
            self._answer(replace(read_skipped(message, 0), capture_time_us=frame.header.capture_time_us))
            return None
        result = read_result(message, 0)
        # Answers and `configured` come in one order: these are the options that the frame was received under.
        if self.options.masks == "labelmap":
            return result
        self._answer(result)
        return None

    def _answer(self, answer: Result | Skipped) -> None:
        """Delivers a result or skip with its times."""
        frame, returned_us = self._in_flight.popleft(), now_us()
        self.clock.add(frame.sent_us, answer.received_us, answer.sent_us, returned_us)
        estimate = self.clock.estimate(returned_us)
        uplink_ms = downlink_ms = None
        if estimate is not None:
            uplink_ms = (answer.received_us - estimate.offset_us - frame.sent_us) / 1000
            downlink_ms = (returned_us - (answer.sent_us - estimate.offset_us)) / 1000
        latency_ms = (returned_us - frame.sent_us) / 1000
        self.answered += 1
        self._deliver(replace(answer, latency_ms=latency_ms, uplink_ms=uplink_ms, downlink_ms=downlink_ms))
        self._on_change()

    def _take_error(self, message: dict[str, Any]) -> None:
        code, text = str(message.get("code")), str(message.get("message"))
        if message.get("fatal"):
            self._refusal = StreamError(text, code=code)
        elif not self._greeted or not self._settle_configure(StreamError(text, code=code)):
            self._on_notice(code, text)

    def _settle_configure(self, error: StreamError | None) -> bool:
        """Tells the oldest `configure` its outcome; False where none waits."""
        if not self._configured:
            return False
        waiting = self._configured.popleft()
        if not waiting.done():
            if error is None:
                waiting.set_result(None)
            else:
                waiting.set_exception(error)
        return True

    def _why_closed(self) -> StreamError:
        if self._silent:
            return StreamError(f"the connection broke off: nothing was heard from the server for {self._silence_s:g} s")
        code = self._websocket.close_code
        words = close_in_words(code)
        if self._refusal:
            return StreamError(f"{words}: {self._refusal}", code=self._refusal.code, close_code=code)
        return StreamError(words, close_code=code)
