"""The Python client of the stream: what a console's software does, to read and to reuse.

    async with connect("ws://127.0.0.1:8420/v1/stream", options=SessionOptions(deadline_ms=80)) as client:
        sequence = await client.send(pixels)          # None: the window was full, the frame was dropped here
        async for answer in client: ...               # a Result or a Skipped for each frame sent, in order

Sending and receiving are meant for two tasks; `segment_frames` does both for callers without an event loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import deque
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as open_websocket
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus, InvalidURI
from websockets.typing import Subprotocol

from fetalseg_server.answers import (
    Answer,
    FoundStructure,
    Ready,
    Result,
    Skipped,
    read_labelmap,
    read_ready,
    read_result,
    read_skipped,
)
from fetalseg_server.encoded_frame import EncodedFrame, encode_frame, frame_of_file
from fetalseg_server.messages import bye_message, configure_message, hello_message
from fetalseg_server.options import SessionOptions, parse_changes
from fetalseg_server.protocol import (
    SUBPROTOCOL,
    FrameFlag,
    FrameHeader,
    ProtocolError,
    frame_message,
    parse_message,
)
from fetalseg_server.stream_errors import ConnectionFailedError, StreamError, close_in_words

__all__ = [
    "Answer",
    "ConnectionFailedError",
    "EncodedFrame",
    "FoundStructure",
    "Ready",
    "Result",
    "Skipped",
    "StreamClient",
    "StreamError",
    "connect",
    "encode_frame",
    "segment_frames",
]

logger = logging.getLogger(__name__)

MAX_ANSWER_BYTES = 64 * 1024 * 1024  # of one message; a label map of the largest frame stays far below
GOODBYE_S = 5.0  # how long the last answers may take after `bye`


@dataclass
class _Unanswered:
    sequence: int
    sent_at: float  # s, monotonic
    with_labelmap: bool


class StreamClient:
    """One session; made by `connect`.

    Attributes:
        ready: the server's greeting.
        options: in force for the next frame.
        sent: frames handed to the socket.
        dropped: frames given up here because the window was full.
    """

    def __init__(self, websocket: ClientConnection, ready: Ready, options: SessionOptions, quality: int) -> None:
        self.ready = ready
        self.options = options
        self.sent = 0
        self.dropped = 0
        self._websocket = websocket
        self._quality = quality
        self._unanswered: deque[_Unanswered] = deque()
        self._answers: asyncio.Queue[Answer | None] = asyncio.Queue()  # None: nothing follows
        self._room = asyncio.Condition()
        self._sending = asyncio.Lock()
        self._configured: asyncio.Future[None] | None = None
        self._refusal: StreamError | None = None
        self._ended: StreamError | None = None
        self._reader = asyncio.create_task(self._read(), name="stream answers")

    @property
    def unanswered(self) -> int:
        """Frames sent whose answer has not come."""
        return len(self._unanswered)

    async def send(
        self,
        frame: npt.NDArray[np.uint8] | bytes | EncodedFrame,
        *,
        capture_time_us: int = 0,
        flags: FrameFlag = FrameFlag(0),  # noqa: B008 - an immutable number
        wait: bool = False,
    ) -> int | None:
        """Sends one frame, unless `window` frames are unanswered: then it is dropped, as a live console must.

        Args:
            frame: pixels (coded with the session's codec, JPEG if it names none), a JPEG or PNG file's bytes, or
                what `encode_frame` made.
            capture_time_us: any clock, at most 2^53-1; comes back in the answer. 0 unknown.
            flags: frozen, discontinuity.
            wait: wait for room in the window instead of dropping, for recordings of which every frame counts.

        Returns:
            The frame's sequence, or None where it was dropped.

        Raises:
            StreamError: the session has ended.
        """
        async with self._sending:
            if wait:
                async with self._room:
                    await self._room.wait_for(lambda: self._ended or len(self._unanswered) < self.ready.window)
            if self._ended:
                raise self._ended
            if len(self._unanswered) >= self.ready.window:
                self.dropped += 1
                return None
            encoded = await self._encoded(frame)
            if encoded.discontinuity:
                flags |= FrameFlag.DISCONTINUITY
            self.sent += 1
            header = FrameHeader(encoded.codec, self.sent, encoded.width, encoded.height, flags, capture_time_us)
            message = frame_message(header, encoded.payload)
            with_labelmap = self.options.masks == "labelmap"
            self._unanswered.append(_Unanswered(self.sent, time.monotonic(), with_labelmap))
            try:
                await self._websocket.send(message)
            except ConnectionClosed:
                await asyncio.wait([self._reader])
                raise self._ended or StreamError("the session has ended") from None
            return header.sequence

    async def configure(self, **changes: Any) -> SessionOptions:
        """Changes options of the session from the next frame on.

        Returns:
            All options, as the server has them now.

        Raises:
            ValueError: an unknown option or a bad value.
            StreamError: the server refuses it, or the session has ended.
        """
        parse_changes(changes)
        async with self._sending:
            if self._ended:
                raise self._ended
            self._configured = asyncio.get_running_loop().create_future()
            await self._websocket.send(configure_message(changes))
            await self._configured
            return self.options

    async def bye(self) -> None:
        """Says that no frame follows; the last answers still come, then iteration ends."""
        with contextlib.suppress(ConnectionClosed):
            await self._websocket.send(bye_message())

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

    async def close(self) -> None:
        """Says goodbye, lets the last answers come for up to five seconds, and closes."""
        if not self._reader.done():
            await self.bye()
            await asyncio.wait([self._reader], timeout=GOODBYE_S)
        await self._websocket.close()
        await asyncio.wait([self._reader])

    async def _encoded(self, frame: npt.NDArray[np.uint8] | bytes | EncodedFrame) -> EncodedFrame:
        if isinstance(frame, EncodedFrame):
            return frame
        if isinstance(frame, bytes):
            return frame_of_file(frame)
        return await asyncio.to_thread(encode_frame, frame, self.options.codec or "jpeg", quality=self._quality)

    async def _read(self) -> None:
        """Takes in messages until the connection ends, then says why it ended."""
        result: Result | None = None  # waits for its label map
        try:
            async for message in self._websocket:
                if isinstance(message, bytes):
                    if result is not None:
                        await self._answer(replace(result, labelmap=read_labelmap(message, result.sequence)))
                        result = None
                else:
                    result = await self._take(parse_message(message))
            self._ended = self._why_closed()
        except ConnectionClosed:
            self._ended = self._why_closed()
        except ProtocolError as error:
            self._ended = StreamError(f"the server sent something unreadable: {error}")
        self._answers.put_nowait(None)
        if self._configured and not self._configured.done():
            self._configured.set_exception(self._ended)
        async with self._room:
            self._room.notify_all()

    async def _take(self, message: dict[str, Any]) -> Result | None:
        """Acts on one text message; returns a result whose label map follows."""
        kind = message["type"]
        if kind == "result":
            frame = self._first_unanswered(message)
            result = read_result(message, _milliseconds_since(frame.sent_at))
            if frame.with_labelmap:
                return result
            await self._answer(result)
        elif kind == "skipped":
            frame = self._first_unanswered(message)
            await self._answer(read_skipped(message, _milliseconds_since(frame.sent_at)))
        elif kind == "configured":
            self.options = SessionOptions(**parse_changes(message["options"]))
            if self._configured and not self._configured.done():
                self._configured.set_result(None)
        elif kind == "error":
            error = StreamError(str(message.get("message")), code=str(message.get("code")))
            if message.get("fatal"):
                self._refusal = error
            elif self._configured and not self._configured.done():
                self._configured.set_exception(error)
            else:
                logger.warning("the server says: %s", error)
        elif kind == "notice":
            logger.info("the server says: %s", message.get("message", message.get("code")))
        return None  # the protocol grows: unknown types are for newer clients

    def _first_unanswered(self, message: dict[str, Any]) -> _Unanswered:
        expected = self._unanswered[0] if self._unanswered else None
        if expected is None or message.get("sequence") != expected.sequence:
            wanted = f"frame {expected.sequence}" if expected else "no frame, all are answered"
            raise ProtocolError(f"expected the answer to {wanted}, got one to frame {message.get('sequence')}")
        return expected

    async def _answer(self, answer: Answer) -> None:
        frame = self._unanswered.popleft()
        self._answers.put_nowait(replace(answer, latency_ms=_milliseconds_since(frame.sent_at)))
        async with self._room:
            self._room.notify_all()

    def _why_closed(self) -> StreamError:
        code = self._websocket.close_code
        words = close_in_words(code)
        if self._refusal:
            return StreamError(f"{words}: {self._refusal}", code=self._refusal.code, close_code=code)
        return StreamError(words, close_code=code)


@asynccontextmanager
async def connect(
    url: str,
    *,
    token: str | None = None,
    options: SessionOptions | None = None,
    quality: int = 90,
    timeout_s: float = 10.0,
) -> AsyncIterator[StreamClient]:
    """Opens a session; leaving the block says goodbye and closes.

    Args:
        url: "ws://host:port/v1/stream", or wss.
        token: travels in the first message, never in the URL.
        options: what the session wants; see `SessionOptions`.
        quality: of frames that this client codes as JPEG, 1..100.
        timeout_s: for connection and greeting each.

    Raises:
        ValueError: not a WebSocket address.
        ConnectionFailedError: no session came about.
        StreamError: raised by the client's methods when the session ends.
    """
    options = options or SessionOptions()
    websocket = await _open(url, timeout_s)
    try:
        ready = await _greet(websocket, hello_message(options.to_json(), token=token), timeout_s)
        client = StreamClient(websocket, ready, options, quality)
        try:
            yield client
        finally:
            await client.close()
    finally:
        await websocket.close()


async def _open(url: str, timeout_s: float) -> ClientConnection:
    try:
        # A live stream goes straight to its server: no proxy, no compression of pictures that are compressed already.
        return await open_websocket(
            url,
            subprotocols=[Subprotocol(SUBPROTOCOL)],
            compression=None,
            max_size=MAX_ANSWER_BYTES,
            open_timeout=timeout_s,
            proxy=None,
        )
    except InvalidURI:
        raise ValueError(f"expected an address such as ws://127.0.0.1:8420/v1/stream, got {url!r}") from None
    except InvalidStatus as error:
        status = error.response.status_code
        raise ConnectionFailedError(
            f"{url} is no stream: it answered HTTP {status}; expected an address such as ws://HOST:PORT/v1/stream"
        ) from None
    except ConnectionRefusedError:
        raise ConnectionFailedError(f"no server listens at {url} (connection refused)") from None
    except TimeoutError:
        raise ConnectionFailedError(f"{url} did not answer within {timeout_s:g} s") from None
    except (OSError, InvalidHandshake) as error:
        raise ConnectionFailedError(f"can't connect to {url}: {error}") from None


async def _greet(websocket: ClientConnection, hello: str, timeout_s: float) -> Ready:
    try:
        await websocket.send(hello)
        async with asyncio.timeout(timeout_s):
            message = parse_message(str(await websocket.recv()))
            if message["type"] == "error":
                await websocket.wait_closed()
                raise ConnectionFailedError(
                    f"{close_in_words(websocket.close_code)}: {message.get('message')}",
                    code=str(message.get("code")),
                    close_code=websocket.close_code,
                )
            return read_ready(message)
    except TimeoutError:
        raise ConnectionFailedError(f"the server sent no greeting within {timeout_s:g} s") from None
    except ConnectionClosed:
        words = close_in_words(websocket.close_code)
        raise ConnectionFailedError(f"{words} before the greeting", close_code=websocket.close_code) from None
    except ProtocolError as error:
        raise ConnectionFailedError(f"this is no fetalseg server: {error}") from None


def segment_frames(
    url: str,
    frames: Iterable[npt.NDArray[np.uint8] | bytes | EncodedFrame],
    *,
    token: str | None = None,
    options: SessionOptions | None = None,
) -> Iterator[Answer]:
    """Streams a recording and yields the answer to every frame, for callers without an event loop.

    Nothing is dropped: a frame waits for room in the window.

    Raises:
        ConnectionFailedError, StreamError: as `connect` and `StreamClient.send`.
    """
    with asyncio.Runner() as runner:
        session = connect(url, token=token, options=options)
        client = runner.run(session.__aenter__())
        try:
            waiting = 0
            for frame in frames:
                runner.run(client.send(frame, wait=True))
                waiting += 1
                if waiting >= client.ready.window:
                    yield runner.run(client.__anext__())
                    waiting -= 1
            for _ in range(waiting):
                yield runner.run(client.__anext__())
        finally:
            runner.run(session.__aexit__(None, None, None))


def _milliseconds_since(moment: float) -> float:
    return (time.monotonic() - moment) * 1000
