"""A console's session over as many connections as it takes: what `fetalseg_server.client.connect` opens."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fetalseg_server.client.answers import Answer, Lost, Ready
from fetalseg_server.client.clock import ClockEstimate, now_us
from fetalseg_server.client.encoded_frame import EncodedFrame, encode_frame, frame_of_file
from fetalseg_server.client.endpoint import Endpoint, Tls
from fetalseg_server.client.errors import ConnectionFailedError, StreamError
from fetalseg_server.client.events import SessionEvent, SessionState
from fetalseg_server.client.link import Link
from fetalseg_server.client.reconnect import Backoff, Reconnect
from fetalseg_server.options import SessionOptions, parse_changes
from fetalseg_server.protocol import FrameFlag, FrameHeader

__all__ = ["AnyFrame", "StreamClient", "connect"]

logger = logging.getLogger(__name__)

GOODBYE_S = 5.0  # how long the last answers may take after `bye`
RESUME_S = 60.0  # how long a server keeps a session whose connection broke
MAX_UNREAD = 1000  # answers that wait; beyond it nobody reads them

AnyFrame = npt.NDArray[np.uint8] | bytes | EncodedFrame


class StreamClient:
    """One session; made by `connect`.

    Each frame for which `send` returned a sequence gets exactly one answer, in the order in which frames were sent.

    Attributes:
        state: "connected"; "reconnecting", while frames are dropped; "ended".
        sent: frames handed to a connection.
        dropped: frames given up here: the window was full, the server's rate was reached, or there was no connection.
        lost: frames sent whose connection ended before their answer came.
        reconnects: how often the connection was made anew.
        resumed: the present connection goes on with the session of the one before.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        options: SessionOptions,
        *,
        quality: int,
        reconnect: Reconnect | None,
        silence_s: float,
        on_event: Callable[[SessionEvent], None] | None,
    ) -> None:
        self.state: SessionState = "reconnecting"
        self.sent = self.dropped = self.lost = self.reconnects = 0
        self.resumed = False
        self._endpoint = endpoint
        # What hello says: the caller's wishes, not the server's defaults, which may be others after a restart.
        self._wanted = options
        self._quality = quality
        self._reconnect = reconnect
        self._backoff = Backoff(reconnect or Reconnect())
        self._silence_s = silence_s
        self._on_event = on_event
        self._link: Link
        self._serving: asyncio.Task[None]
        self._leaving = False
        self._ended: StreamError | None = None
        self._carried = FrameFlag(0)  # a discontinuity whose frame didn't arrive belongs to the next one
        self._answers: asyncio.Queue[Answer | None] = asyncio.Queue()  # None: nothing follows
        self._sending = asyncio.Lock()
        self._changed = asyncio.Event()

    @property
    def ready(self) -> Ready:
        """The server's greeting, of the newest connection, with the model of now."""
        return self._link.ready

    @property
    def options(self) -> SessionOptions:
        """In force for the next frame."""
        return self._link.options

    @property
    def unanswered(self) -> int:
        """Frames sent whose answer has not come."""
        return self._link.in_flight

    @property
    def clock(self) -> ClockEstimate | None:
        """The server's clock against this computer's monotonic one; None before the first comparison."""
        return self._link.clock.estimate(now_us())

    async def send(
        self,
        frame: AnyFrame,
        *,
        capture_time_us: int = 0,
        flags: FrameFlag = FrameFlag(0),  # noqa: B008 - an immutable number
        wait: bool = False,
    ) -> int | None:
        """Sends one frame, unless there is no room: then it is dropped, as a live console must.

        There is room while fewer than `ready.window` frames are unanswered, the server's `max_fps` is kept and the
        connection stands. The frame's memory may be used again as soon as this returns.

        Args:
            frame: pixels, uint8 gray [H, W] or RGB [H, W, 3] with any strides (coded with the session's codec, JPEG if
                it names none), a JPEG or PNG file's bytes, or what `encode_frame` made.
            capture_time_us: any clock, at most 2^53-1; comes back in the answer. 0 unknown.
            flags: frozen, discontinuity.
            wait: wait for room instead of dropping, for recordings of which every frame counts.

        Returns:
            The frame's sequence, or None where it was dropped.

        Raises:
            ValueError: no frame, or one of more bytes than the server takes.
            StreamError: the session has ended.
            RuntimeError: a thousand answers wait unread.
        """
        async with self._sending:
            self._check_open()
            if isinstance(frame, EncodedFrame) and frame.discontinuity:
                flags |= FrameFlag.DISCONTINUITY
            flags |= self._carried
            if not wait and not self._link.has_room:
                self._drop(flags)
                return None
            encoded = await self._encoded(frame)
            if wait:
                await self._until_room()
            elif not self._link.has_room:  # the connection broke meanwhile
                self._drop(flags)
                return None
            header = FrameHeader(encoded.codec, self.sent + 1, encoded.width, encoded.height, flags, capture_time_us)
            self._link.post(header, encoded.payload)
            self._carried = FrameFlag(0)
            self.sent += 1
            return header.sequence

    async def configure(self, **changes: Any) -> SessionOptions:
        """Changes options of the session, for frames sent after this has returned.

        Returns:
            All options, as the server has them now.

        Raises:
            ValueError: an unknown option or a bad value.
            StreamError: the server refuses it, or the connection ended before it said so.
        """
        changes = {name: list(value) if isinstance(value, tuple) else value for name, value in changes.items()}
        checked = parse_changes(changes)
        while not self._link.is_up:
            self._check_open()
            await self._until_changed()
        link = self._link
        await link.configure(changes)
        self._wanted = self._wanted.changed(checked)
        return link.options

    async def bye(self) -> None:
        """Says that no frame follows; the last answers still come, then iteration ends."""
        if self._leaving:
            return
        self._leaving = True
        if self._link.is_up:
            self._link.bye()
        else:
            self._serving.cancel()

    def poll(self) -> list[Answer]:
        """The answers that have come and were not read yet, without waiting.

        Raises:
            StreamError: all are read, and the session has ended by itself.
        """
        answers: list[Answer] = []
        while not self._answers.empty():
            if (answer := self._answers.get_nowait()) is None:
                self._answers.put_nowait(None)
                break
            answers.append(answer)
        if not answers and self._ended and self._ended.close_code != 1000:
            raise self._ended
        return answers

    def __aiter__(self) -> AsyncIterator[Answer]:
        return self

    async def __anext__(self) -> Answer:
        answer = await self._answers.get()
        if answer is not None:
            return answer
        self._answers.put_nowait(None)  # whoever asks again is told the same
        if self._ended and self._ended.close_code != 1000:
            raise self._ended
        raise StopAsyncIteration

    async def open(self) -> None:
        """Connects for the first time.

        Raises:
            ValueError, ConnectionFailedError: see `connect`.
        """
        try:
            await self._connect(None)
        except ConnectionFailedError as error:
            if not (self._reconnect and self._reconnect.at_start and error.can_retry):
                raise
            await self._connect_again(error, None)
        self._serving = asyncio.create_task(self._serve(), name="stream session")

    async def close(self) -> None:
        """Says goodbye, lets the last answers come for up to five seconds, and closes."""
        if not self._serving.done():
            await self.bye()
            await asyncio.wait([self._serving], timeout=GOODBYE_S)
        self._link.abort()
        await asyncio.wait([self._serving])

    async def _encoded(self, frame: AnyFrame) -> EncodedFrame:
        if isinstance(frame, bytes):
            frame = frame_of_file(frame)
        elif not isinstance(frame, EncodedFrame):
            frame = await asyncio.to_thread(encode_frame, frame, self.options.codec or "jpeg", quality=self._quality)
        most = self.ready.limits["max_frame_bytes"]
        if len(frame.payload) > most:
            raise ValueError(f"the server takes frames of at most {most} bytes, got one of {len(frame.payload)}")
        return frame

    def _drop(self, flags: FrameFlag) -> None:
        self._carried = flags & FrameFlag.DISCONTINUITY
        self.dropped += 1

    def _check_open(self) -> None:
        if self._ended:
            raise self._ended
        if self._leaving:
            raise StreamError("bye has been said, nothing can follow it")
        if self._answers.qsize() > MAX_UNREAD:
            raise RuntimeError(f"{MAX_UNREAD} answers wait unread: iterate over the client or poll it")

    async def _until_room(self) -> None:
        while not self._link.has_room:
            self._check_open()
            if self._link.is_up and self._link.in_flight < self.ready.window:
                await asyncio.sleep(self._link.pause_s)
            else:
                await self._until_changed()

    async def _until_changed(self) -> None:
        self._changed.clear()
        await self._changed.wait()

    def _deliver(self, answer: Answer) -> None:
        if isinstance(answer, Lost):
            self.lost += 1
        self._answers.put_nowait(answer)

    async def _serve(self) -> None:
        """Keeps the session connected until its end, then says why it ended."""
        ended = StreamError("the session was left while its connection was broken")
        try:
            ended = await self._keep_connected()
        except Exception as error:
            logger.exception("the stream client failed")
            ended = StreamError(f"the client failed: {error!r}")
        finally:
            self._ended = ended
            self._answers.put_nowait(None)
            self._enter("ended", str(ended))

    async def _keep_connected(self) -> StreamError:
        while True:
            link = self._link
            ended = await link.run()
            if link.lost_discontinuity:
                self._carried = FrameFlag.DISCONTINUITY
            if self._leaving or not ended.can_retry or self._reconnect is None:
                return ended
            self._backoff.connection_ended(lasted_s=time.monotonic() - link.began, answered=link.answered > 0)
            self._enter("reconnecting", str(ended))
            try:
                await self._connect_again(ended, link.ready)
            except StreamError as final:
                return final
            self.reconnects += 1

    async def _connect_again(self, failure: StreamError, before: Ready | None) -> None:
        """Tries until it works, can't work, or has been tried often enough."""
        broke_at = time.monotonic()
        while (delay_s := self._backoff.next_delay_s()) is not None:
            await asyncio.sleep(delay_s)
            kept = before is not None and "resume" in before.features and time.monotonic() - broke_at < RESUME_S
            try:
                await self._connect(before.session if before and kept else None)
                return
            except ConnectionFailedError as error:
                if not error.can_retry:
                    raise
                failure = error
            except ValueError as error:  # a token file that is just being replaced
                failure = StreamError(str(error))
        words = f"{self._backoff.in_words}: {failure}"
        raise ConnectionFailedError(words, code=failure.code, close_code=failure.close_code)

    async def _connect(self, resume: str | None) -> None:
        websocket, ready = await self._endpoint.open(self._wanted, resume=resume)
        self._link = Link(
            websocket,
            ready,
            self._wanted,
            deliver=self._deliver,
            on_notice=lambda code, text: self._tell(SessionEvent("notice", text, code)),
            on_change=self._changed.set,
            silence_s=self._silence_s,
        )
        self.resumed = ready.session == resume
        self._enter("connected", f"session {ready.session}" + (" goes on" if self.resumed else ""))

    def _enter(self, state: SessionState, words: str) -> None:
        self.state = state
        self._changed.set()
        self._tell(SessionEvent(state, words))

    def _tell(self, event: SessionEvent) -> None:
        logger.log(
            logging.WARNING if event.kind == "reconnecting" else logging.INFO, "%s: %s", event.kind, event.message
        )
        if self._on_event is not None:
            try:
                self._on_event(event)
            except Exception:
                logger.exception("the session's event handler failed")


@asynccontextmanager
async def connect(
    url: str,
    *,
    token: str | Path | None = None,
    tls: Tls | None = None,
    options: SessionOptions | None = None,
    quality: int = 90,
    reconnect: Reconnect | None = Reconnect(),  # noqa: B008 - immutable
    timeout_s: float = 10.0,
    silence_s: float = 10.0,
    on_event: Callable[[SessionEvent], None] | None = None,
) -> AsyncIterator[StreamClient]:
    """Opens a session; leaving the block says goodbye and closes.

    Args:
        url: "ws://host:port/v1/stream", or wss.
        token: the token, or the path of a file that holds it; None takes the environment's `FETALSEG_TOKEN`, "" none.
            It travels in the first message, never in the URL.
        tls: certificates, for wss; None trusts the system's authorities.
        options: what the session wants; see `SessionOptions`.
        quality: of frames that this client codes as JPEG, 1..100.
        reconnect: how a broken connection is made anew; None not at all.
        timeout_s: for connection and greeting each.
        silence_s: a connection on which nothing is heard for so long is broken; pings see to it that something is.
        on_event: told what happens to the session, on the client's event loop; must not block.

    Raises:
        ValueError: not a WebSocket address, or a token or certificate that can't be read.
        ConnectionFailedError: no session came about.
        StreamError: raised by the client's methods when the session ends.
    """
    endpoint = Endpoint(url, token=token, tls=tls, timeout_s=timeout_s)
    client = StreamClient(
        endpoint,
        options or SessionOptions(),
        quality=quality,
        reconnect=reconnect,
        silence_s=silence_s,
        on_event=on_event,
    )
    await client.open()
    try:
        yield client
    finally:
        await client.close()
