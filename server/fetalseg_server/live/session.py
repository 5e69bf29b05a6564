"""One live session: frames come in, and exactly one answer for each goes out, in the order in which they came.

At any time at most one frame waits (the newest) and at most two are in the stages. The receiving side never waits for
anything, so that nothing grows old in the kernel's buffers; the sending side is a task of its own, which composes each
answer at the moment it can be written.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from typing import Protocol

from fetalseg_server.access.client_rates import ClientRates
from fetalseg_server.access.security import Client
from fetalseg_server.live.owed import OwedFrame, OwedText
from fetalseg_server.live.record import SessionRecord
from fetalseg_server.messages import configured_message, error_message, notice_message, pong_message
from fetalseg_server.metrics import Metrics
from fetalseg_server.pool.scheduler import Work
from fetalseg_server.pool.seat import Seat
from fetalseg_server.protocol import (
    Bye,
    CloseCode,
    Codec,
    Configure,
    Connection,
    FrameReceived,
    Ping,
    ProtocolError,
    Refused,
    SkipReason,
)
from fetalseg_server.settings import Settings
from fetalseg_server.worker.jobs import Answer

__all__ = ["MAX_ANSWERS_WAITING", "Peer", "Session"]

MAX_ANSWERS_WAITING = 64
# Seconds of frames at the allowed rate that a session may be ahead of it: a burst, then a client out of control.
_BURST_S = 2.0
_FLOOD_S = 10.0


class Peer(Protocol):
    """The connection as the session sees it."""

    async def receive(self) -> str | bytes | None:
        """The next message, None after the end."""

    async def send(self, message: str | bytes) -> None:
        """Writes one message; waits while the reader is slow."""

    async def close(self, code: int, reason: str) -> None:
        """Starts the closing handshake; never waits for a slow reader."""


class Session:
    """A session while it has a connection: from the answer to `hello` to the end.

    Args:
        peer: the other side.
        connection: its protocol state, past `hello`.
        record: what was there before the connection and outlives it; the session's options are in it.
        client: whose token opened it.
        rates: what its client may send in all its sessions together.
        seat: at the worker that takes its frames.
        settings: limits and times.
        metrics: where outcomes are counted.
    """

    def __init__(
        self,
        peer: Peer,
        connection: Connection,
        record: SessionRecord,
        *,
        client: Client,
        rates: ClientRates,
        seat: Seat,
        settings: Settings,
        metrics: Metrics,
    ) -> None:
        self.record = record
        self.client = client
        self.outcomes: Counter[str] = Counter()  # answered frames, by "result" or the reason of a skip
        self.seat = seat
        self._model = record.model  # as the client knows it
        self._peer = peer
        self._connection = connection
        self._rates = rates
        self._settings = settings
        self._metrics = metrics
        self._owed: deque[OwedText | OwedFrame] = deque()
        self._urgent: deque[str] = deque()
        self._waiting: OwedFrame | None = None
        self._wake = asyncio.Event()
        self._blocked: asyncio.Timeout | None = None  # around a write that is going on
        self._draining = False
        self._closing: tuple[CloseCode, str] | None = None
        self._owes_until_close = True
        self._dropped = 0
        self._ahead = 0.0  # messages above the allowed rate
        self._counted_ns = time.monotonic_ns()

    @property
    def id(self) -> str:
        """128 random bits, hexadecimal."""
        return self.record.id

    @property
    def said_bye(self) -> bool:
        """Whether its client has ended the session."""
        return self._closing is not None and self._closing[0] is CloseCode.BYE

    @property
    def flow(self) -> Session:
        """A share of the worker of its own."""
        return self

    @property
    def weight(self) -> float:
        """Of that share."""
        return self.client.weight

    async def run(self) -> CloseCode | None:
        """Serves the connection until it ends.

        Returns:
            What it was closed with, None where the other side went away.
        """
        reader = asyncio.create_task(self._read())
        writer = asyncio.create_task(self._write())
        try:
            await asyncio.wait((reader, writer), return_when=asyncio.FIRST_COMPLETED)
            if reader.done() and not reader.result():
                await writer  # says why, then closes
            if writer.done():
                return writer.result()
            return None
        except ConnectionError:
            return None
        finally:
            for task in (reader, writer):
                task.cancel()
            await asyncio.gather(reader, writer, return_exceptions=True)
            self._forget()

    def say(self, text: str) -> None:
        """Sends a message before all answers that are still owed."""
        self._urgent.append(text)
        self._wake_writer()

    def drain(self) -> None:
        """From now on frames are skipped; those in work are still answered."""
        self._draining = True
        self.say(notice_message("draining", "the server is shutting down; frames in work are answered"))

    def close(self, code: CloseCode, reason: str, *, owes: bool) -> None:
        """Ends the session.

        Args:
            code: for the other side.
            reason: in words, at most 123 bytes.
            owes: whether the answers still owed go out first.
        """
        if self._closing is None:
            self._closing = (code, reason)
        self._owes_until_close = self._owes_until_close and owes
        self._wake.set()

    def give_away(self) -> None:
        """The session goes on over another connection: this one closes, and its worker is free at once."""
        self._fail(CloseCode.TAKEN_OVER, "taken_over", "the session goes on over another connection")
        self._stop_waiting()

    def take(self) -> Work | None:
        """Gives the waiting frame to the scheduler."""
        owed, self._waiting = self._waiting, None
        if owed is None:
            return None
        assert owed.payload is not None
        owed.rung = self.seat.rung
        return Work(owed.job(), owed.payload, lambda answer: self._settle(owed, answer))

    async def _read(self) -> bool:
        """Takes messages until the end; returns whether the other side is gone."""
        loop = asyncio.get_running_loop()
        idle_s = self._settings.idle_timeout_s
        try:
            async with asyncio.timeout(idle_s) as limit:
                while (message := await self._peer.receive()) is not None:
                    if self._closing is not None and not self._owes_until_close:
                        return False
                    limit.reschedule(loop.time() + idle_s)
                    self._on_message(message)
        except TimeoutError:
            self._fail(CloseCode.IDLE, "idle", f"no message for {idle_s:g} s")
            return False
        except ProtocolError as error:
            self._fail(error.close_code, error.code, str(error))
            return False
        return True

    def _fail(self, close_code: CloseCode, code: str, message: str) -> None:
        if self._closing is None:
            self.say(error_message(code, message, fatal=True))
            self.close(close_code, code, owes=False)

    def _on_message(self, message: str | bytes) -> None:
        received_ns = time.monotonic_ns()
        if self._count(received_ns) > _FLOOD_S * self._settings.max_fps:
            raise ProtocolError(
                f"more than {self._settings.max_fps} messages a second for too long",
                code="flooding",
                close_code=CloseCode.FLOODING,
            )
        if isinstance(message, bytes):
            self._on_frame(self._connection.receive_bytes(message), received_ns)
            return
        match self._connection.receive_text(message):
            case Ping(ping_id):
                received_us = received_ns // 1000
                self.say(pong_message(ping_id, received_us=received_us, sent_us=time.monotonic_ns() // 1000))
            case Configure(changes):
                self._owe(OwedText(self._configure(changes)))
            case Refused(code, text):
                self._owe(OwedText(error_message(code, text, fatal=False)))
            case Bye():
                self.close(CloseCode.BYE, "bye", owes=True)

    def _count(self, now_ns: int) -> float:
        """Messages by which the client is ahead of the allowed rate."""
        elapsed_s = (now_ns - self._counted_ns) / 1e9
        self._counted_ns = now_ns
        self._ahead = max(0.0, self._ahead - elapsed_s * self._settings.max_fps) + 1
        return self._ahead

    def _configure(self, changes: dict[str, object]) -> str:
        if (refused := self.record.change(changes)) is not None:
            return error_message(refused.code, refused.message, fatal=False)
        return configured_message(self.record.options)

    def _on_frame(self, frame: FrameReceived, received_ns: int) -> None:
        options = self.record.options
        owed = OwedFrame(
            frame.header,
            options,
            received_ns,
            frame.payload,
            continuity=self.record.continuity,
            scene=self.record.continuity.follow(frame.header),
        )
        if (refusal := self._refusal(frame)) is not None:
            owed.settle(Answer(0, *refusal))
            self._owe(owed)
            return
        if options.deadline_ms is not None:
            owed.timer = asyncio.get_running_loop().call_later(options.deadline_ms / 1000, self._expire, owed)
        if self._waiting is not None:
            newer = f"frame {frame.header.sequence} came before this one's turn"
            self._waiting.settle(Answer(0, "superseded", newer))
        self._waiting = owed
        self._owe(owed)
        self.seat.lane.scheduler.offer(self)

    def _refusal(self, frame: FrameReceived) -> tuple[SkipReason, str] | None:
        """Why a frame doesn't even wait, or None."""
        limit, length = self._settings.max_frame_bytes, len(frame.payload)
        if self._draining:
            return "draining", "the server is shutting down"
        if self._ahead > _BURST_S * self._settings.max_fps:
            return "rate_limited", f"more than {self._settings.max_fps} frames a second"
        if frame.header.codec not in tuple(Codec):
            known = ", ".join(f"{codec.value} {codec.name.lower()}" for codec in Codec)
            return "unsupported_codec", f"expected one of {known}; got {frame.header.codec}"
        if length > limit:
            return "too_large", f"expected at most {limit} bytes of payload, got {length}"
        if self.seat.skips():
            return "overloaded", f"every other frame is worked on at rung {self.seat.rung} of the quality ladder"
        if not self._rates.take_frame(self.client):
            return "rate_limited", f"more than {self.client.max_fps} frames a second with this token"
        return None

    def _owe(self, owed: OwedText | OwedFrame) -> None:
        self._owed.append(owed)
        self._wake_writer()

    def _settle(self, owed: OwedFrame, answer: Answer) -> None:
        self.record.continuity.learn(answer)
        if not owed.known:
            self.record.learn(owed, answer)
            owed.settle(answer)
            self._wake_writer()

    def _expire(self, owed: OwedFrame) -> None:
        """A frame has reached its deadline, wherever it is: it is answered now, and what comes later is dropped."""
        assert owed.deadline_ns is not None
        early_ns = owed.deadline_ns - time.monotonic_ns()
        if early_ns > 0:  # the event loop counts whole milliseconds
            owed.timer = asyncio.get_running_loop().call_later(early_ns / 1e9, self._expire, owed)
            return
        if owed is self._waiting:
            self._waiting = None
        self._settle(owed, Answer(0, "deadline", f"no result within {owed.options.deadline_ms:g} ms"))

    def _wake_writer(self) -> None:
        self._wake.set()
        # While a write waits for the reader, answers pile up; between two writes they are just about to go.
        if self._blocked is None or self._blocked.expired() or self._count_known() <= MAX_ANSWERS_WAITING:
            return
        self.close(CloseCode.SLOW_READER, f"more than {MAX_ANSWERS_WAITING} answers waiting", owes=False)
        self._blocked.reschedule(asyncio.get_running_loop().time())

    def _count_known(self) -> int:
        """Messages that could be sent if the reader took them."""
        return len(self._urgent) + sum(owed.known for owed in self._owed)

    async def _write(self) -> CloseCode:
        """Sends what is due, in order, until the session is to be closed; then closes it."""
        try:
            while True:
                if self._urgent:
                    await self._send(self._urgent.popleft())
                elif self._closing is not None and not (self._owes_until_close and self._owed):
                    break
                elif self._owed and self._owed[0].known:
                    for message in self._compose(self._owed.popleft()):
                        await self._send(message)
                else:
                    self._wake.clear()
                    await self._wake.wait()
        except TimeoutError:
            if self._closing is None or self._closing[0] is not CloseCode.SLOW_READER:
                self._closing = CloseCode.SLOW_READER, f"a write waited {self._settings.write_timeout_s:g} s"
        assert self._closing is not None
        code, reason = self._closing
        await self._peer.close(code, reason)
        return code

    async def _send(self, message: str | bytes) -> None:
        try:
            async with asyncio.timeout(self._settings.write_timeout_s) as self._blocked:
                await self._peer.send(message)
        finally:
            self._blocked = None

    def _compose(self, owed: OwedText | OwedFrame) -> list[str | bytes]:
        """The messages of one answer, as of now."""
        if isinstance(owed, OwedText):
            return [owed.text]
        now_ns = time.monotonic_ns()
        answer = owed.final(now_ns)
        self.outcomes[answer.outcome] += 1
        self.record.outcomes[answer.outcome] += 1
        self.seat.note(answer.outcome)
        if answer.outcome != "result":
            self._dropped += 1
            self._metrics.frames.labels(answer.outcome).inc()
            return [owed.skipped(answer, now_ns)]
        timing = {**answer.timing_ms, "total": (now_ns - owed.received_ns) / 1e6}
        self._metrics.observe_result(timing, answer.batch)
        dropped, self._dropped = self._dropped, 0
        news = self.record.news()
        result = owed.result(answer, now_ns, timing_ms=timing, dropped_before=dropped, examination=news)
        return [*self._news(answer), *result]

    def _news(self, answer: Answer) -> list[str | bytes]:
        """What must be said before a result: that another model than the one before made it."""
        if answer.model is None or answer.model == self._model:
            return []
        self._model = answer.model
        text = f"results come from {answer.model.name} {answer.model.version} from here on"
        return [notice_message("model_changed", text, answer.model)]

    def _forget(self) -> None:
        """A closed connection owes nothing."""
        self._stop_waiting()
        for owed in self._owed:
            if isinstance(owed, OwedFrame):
                owed.stop_timer()
        self._owed.clear()

    def _stop_waiting(self) -> None:
        self.seat.lane.scheduler.withdraw(self)
        self.seat.leave()
        self._waiting = None
