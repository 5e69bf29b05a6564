"""Connections that break off, stop half way, or talk nonsense below the level of messages."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed, WebSocketException

from benchmarks.live.console import UNANSWERED
from benchmarks.live.frames import Cine
from benchmarks.live.wire import RefusedError, close_code, open_socket, session
from fetalseg_server.messages import bye_message

__all__ = ["Tally", "Target", "farewell", "masked", "raw_bytes", "small_socket", "tcp_bytes", "whole_messages"]

_APPLICATION_FAILED = 1011
_SMALL_BUFFER = 4096
_FAREWELL_S = 15.0  # the server cuts a closed connection off by itself after ten
_LAST_LOOK_S = 1.0  # that a bad reader reads at last
_HELD_S = 0.3  # that half a message is held


@dataclass(frozen=True)
class Target:
    """Who is misbehaved at.

    Attributes:
        url: of the stream, on the loopback.
        cine: frames to send.

    Raises:
        ValueError: another machine than this one.
    """

    url: str
    cine: Cine

    def __post_init__(self) -> None:
        if self.address[0] not in ("127.0.0.1", "::1", "localhost"):
            raise ValueError(f"expected a server on the loopback, got {self.address[0]}")

    @property
    def address(self) -> tuple[str, int]:
        """Host and port."""
        parts = urlsplit(self.url)
        return parts.hostname or "", parts.port or 80


@dataclass
class Tally:
    """What was done and what came of it.

    Attributes:
        did: attempts, by what they were.
        sent: frames of sessions that stayed to the end.
        outcomes: of these frames.
        closes: connections by how they ended: a close code, or words.
        faults: what the server did against the protocol.
    """

    did: Counter[str] = field(default_factory=Counter)
    sent: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    closes: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)

    @property
    def unanswered(self) -> int:
        """Frames of sessions that stayed and were never answered."""
        return self.outcomes[UNANSWERED]

    def ended(self, code: int | None) -> None:
        """Notes the end of a connection."""
        self.closes["gone" if code is None else str(code)] += 1
        if code == _APPLICATION_FAILED:
            self.faults.append("a connection was closed with 1011: the application failed")


@asynccontextmanager
async def small_socket(target: Target) -> AsyncIterator[socket.socket]:
    """A connection whose system holds back as few answers as it can."""
    small = socket.socket()
    small.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _SMALL_BUFFER)
    small.setblocking(False)
    try:
        await asyncio.get_running_loop().sock_connect(small, target.address)
        yield small
    finally:
        small.close()


async def farewell(connection: ClientConnection, tally: Tally) -> None:
    """Reads at last, to learn how the server ended the session; a session that still lives is broken."""
    await _read_or_break(connection, tally, _FAREWELL_S if connection.close_code else _LAST_LOOK_S)


async def _read_or_break(connection: ClientConnection, tally: Tally, seconds: float) -> None:
    """Reads until the server ends the connection; breaks it where that doesn't happen in time."""
    if not await _read_to_the_end(connection, tally, seconds):
        connection.transport.abort()
        tally.closes["broken by the console"] += 1


async def _read_to_the_end(connection: ClientConnection, tally: Tally, seconds: float) -> bool:
    """Whether the server ends the connection in time; how it did is noted."""
    try:
        async with asyncio.timeout(seconds):
            while True:
                await connection.recv()
    except ConnectionClosed as closed:
        tally.ended(close_code(closed))
        return True
    except TimeoutError:
        return False


async def raw_bytes(target: Target, tally: Tally, data: bytes, *, greeted: bool) -> None:
    """Bytes below the WebSocket library, after the upgrade and perhaps after `hello`."""
    try:
        async with session(target.url) if greeted else _only_opened(target) as (connection, _):
            connection.transport.write(data)
            await _read_or_break(connection, tally, _HELD_S)
    except RefusedError as error:
        tally.ended(error.close_code)
    except (OSError, WebSocketException) as error:
        tally.closes[type(error).__name__] += 1


@asynccontextmanager
async def _only_opened(target: Target) -> AsyncIterator[tuple[ClientConnection, dict[str, object]]]:
    async with open_socket(target.url) as connection:
        yield connection, {}


async def tcp_bytes(target: Target, tally: Tally, data: bytes) -> None:
    """Bytes instead of a request."""
    try:
        reader, writer = await asyncio.open_connection(*target.address)
        writer.write(data)
        try:
            async with asyncio.timeout(_HELD_S):
                while await reader.read(4096):
                    pass
            tally.closes["closed by the server"] += 1
        except TimeoutError:
            tally.closes["broken by the console"] += 1
        finally:
            writer.transport.abort()
    except OSError as error:
        tally.closes[type(error).__name__] += 1


async def whole_messages(target: Target, tally: Tally, messages: Sequence[str | bytes]) -> None:
    """Whole WebSocket messages, then `bye`, then whatever the server answers to the end."""
    try:
        async with open_socket(target.url) as connection:
            with suppress(ConnectionClosed):  # reading tells what it was closed with
                for message in (*messages, bye_message()):
                    await connection.send(message)
            if not await _read_to_the_end(connection, tally, _FAREWELL_S):
                tally.faults.append(f"no end within {_FAREWELL_S:g} s after odd messages and bye")
    except (OSError, WebSocketException) as error:
        tally.closes[type(error).__name__] += 1


def masked(message: bytes, *, last: bool = True) -> bytes:
    """A binary WebSocket message as a client frames it, with a mask of zeros."""
    return struct.pack("!BBQ4x", 0x82 if last else 0x02, 0x80 | 127, len(message)) + message
