"""A console's end of the stream, from the protocol's description and a plain WebSocket library."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from fetalseg.errors import FetalsegError
from fetalseg_server.messages import hello_message
from fetalseg_server.protocol import SUBPROTOCOL, FrameHeader

__all__ = ["RefusedError", "close_code", "frame", "open_socket", "read_text", "session"]

_GREETING_S = 30.0


class RefusedError(FetalsegError):
    """The server doesn't want the session.

    Attributes:
        code: word of its `error`.
        close_code: of the connection.
    """

    def __init__(self, code: str, message: str, close_code: int | None) -> None:
        super().__init__(code, message, close_code)  # all three, or it could not come out of a pipe
        self.code = code
        self.close_code = close_code

    def __str__(self) -> str:
        return f"refused with {self.close_code} {self.code}: {self.args[1]}"


def open_socket(url: str, **options: Any) -> connect:
    """A WebSocket as the protocol wants it; `options` are those of `websockets.asyncio.client.connect`."""
    plain = {
        "subprotocols": [Subprotocol(SUBPROTOCOL)],
        "compression": None,
        "proxy": None,
        "max_size": None,
        "max_queue": None,  # whatever comes is read at once
        "ping_interval": None,
        "open_timeout": _GREETING_S,
    }
    return connect(url, **{**plain, **options})


@asynccontextmanager
async def session(
    url: str, options: Mapping[str, Any] | None = None, *, token: str | None = None, **connect_options: Any
) -> AsyncIterator[tuple[ClientConnection, dict[str, Any]]]:
    """A connection past its greeting, and the server's `ready`.

    Raises:
        RefusedError: the server says `error` instead.
        OSError, websockets.exceptions.WebSocketException: there is no connection, or it broke before the greeting.
    """
    async with open_socket(url, **connect_options) as socket:
        await socket.send(hello_message(options, token=token))
        ready = await read_text(socket)
        if ready["type"] != "ready":
            await socket.wait_closed()
            raise RefusedError(str(ready.get("code")), str(ready.get("message")), socket.close_code)
        yield socket, ready


async def read_text(socket: ClientConnection) -> dict[str, Any]:
    """The next message, which must be a text."""
    message: dict[str, Any] = json.loads(await socket.recv(decode=True))
    return message


def frame(
    sequence: int,
    payload: bytes,
    *,
    codec: int,
    size: tuple[int, int] = (0, 0),
    flags: int = 0,
    capture_time_us: int = 0,
) -> bytes:
    """One binary message; size is (width, height)."""
    return FrameHeader(codec, sequence, *size, flags, capture_time_us).pack() + payload


def close_code(closed: ConnectionClosed) -> int | None:
    """What the other side closed with; None where it went away without a word."""
    return closed.rcvd.code if closed.rcvd else None
