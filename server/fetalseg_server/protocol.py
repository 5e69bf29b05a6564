"""The stream protocol, version 1, without any I/O: bytes and text in, events out, messages built.

Both ends use it. The server feeds what it receives to a `Connection` and acts on the events; a client packs frames
with `frame_message` and reads answers with `parse_message`. `fetalseg_server.messages` builds the texts of both
directions; server/README.md describes the protocol byte by byte.
"""

from __future__ import annotations

import json
import math
import struct
from dataclasses import dataclass
from enum import Enum, IntEnum, IntFlag
from typing import Any, ClassVar, Literal, get_args

from fetalseg_server.error_text import quoted
from fetalseg_server.options import SessionOptions, parse_changes

__all__ = [
    "FRAME_MAGIC",
    "HEADER_BYTES",
    "MAX_CAPTURE_TIME_US",
    "MAX_TEXT_BYTES",
    "PROTOCOL_VERSION",
    "RESULT_MAGIC",
    "SKIP_REASONS",
    "SUBPROTOCOL",
    "WINDOW",
    "Bye",
    "CloseCode",
    "Codec",
    "Configure",
    "Connection",
    "ConnectionState",
    "Event",
    "FrameFlag",
    "FrameHeader",
    "FrameReceived",
    "Hello",
    "Ping",
    "ProtocolError",
    "Refused",
    "SkipReason",
    "frame_message",
    "parse_message",
]

SUBPROTOCOL = "fetalseg.v1"
PROTOCOL_VERSION = 1
FRAME_MAGIC = b"FSG1"  # client to server: one frame
RESULT_MAGIC = b"FSR1"  # server to client: the label map of one frame
WINDOW = 2  # frames that a client keeps unanswered
MAX_CAPTURE_TIME_US = 2**53 - 1  # what a JavaScript number holds exactly
MAX_TEXT_BYTES = 64 * 1024

SkipReason = Literal[
    "superseded",
    "deadline",
    "decode_error",
    "unsupported_codec",
    "too_large",
    "rate_limited",
    "overloaded",
    "engine_error",
    "draining",
]
SKIP_REASONS: tuple[SkipReason, ...] = get_args(SkipReason)

# magic, version, codec, flags, sequence, width, height, capture time, spacing y, spacing x
_HEADER = struct.Struct("<4sBBHIHHQff")
HEADER_BYTES = _HEADER.size


class CloseCode(IntEnum):
    """Why a connection ends."""

    BYE = 1000
    DRAINING = 1001
    NOT_AUTHORISED = 1008
    TOO_BIG = 1009
    PROTOCOL_ERROR = 4000
    HELLO_TIMEOUT = 4001
    IDLE = 4002
    OVERLOADED = 4003
    SLOW_READER = 4004
    FLOODING = 4005
    TAKEN_OVER = 4006


class Codec(IntEnum):
    """How the payload of a frame is coded; 16 and above are reserved."""

    JPEG = 1
    PNG = 2
    GRAY8 = 3
    RGB24 = 4

    @property
    def channels(self) -> int:
        """Bytes of a pixel in packed rows, 0 for compressed codecs."""
        return {Codec.GRAY8: 1, Codec.RGB24: 3}.get(self, 0)


class FrameFlag(IntFlag):
    """Bits of a frame header; others are ignored."""

    FROZEN = 1
    DISCONTINUITY = 2


class ProtocolError(Exception):
    """The other side broke the protocol; the text says what was expected and what came.

    Args:
        message: for the other side to read.
        code: word of the `error` message.
        close_code: what the connection is closed with.
    """

    def __init__(
        self, message: str, *, code: str = "protocol_error", close_code: CloseCode = CloseCode.PROTOCOL_ERROR
    ) -> None:
        super().__init__(message)
        self.code = code
        self.close_code = close_code


@dataclass(frozen=True)
class FrameHeader:
    """The 32 bytes in front of a payload.

    Attributes:
        codec: a `Codec`, or another number 0..255, which is answered `unsupported_codec`.
        sequence: u32, increases strictly within a connection.
        width: px, 0 where the payload says it (JPEG, PNG).
        height: px, likewise.
        flags: `FrameFlag` bits.
        capture_time_us: the client's clock, echoed; 0 unknown, at most 2^53-1.
        spacing_mm: size of a pixel (y, x); (0, 0) stands for the session's.
        magic: `FRAME_MAGIC`, or `RESULT_MAGIC` on the way back.
    """

    codec: int
    sequence: int
    width: int = 0
    height: int = 0
    flags: int = 0
    capture_time_us: int = 0
    spacing_mm: tuple[float, float] = (0.0, 0.0)
    magic: bytes = FRAME_MAGIC

    def pack(self) -> bytes:
        """The 32 bytes.

        Raises:
            ValueError: a field doesn't fit its place.
        """
        try:
            return _HEADER.pack(
                self.magic,
                PROTOCOL_VERSION,
                self.codec,
                self.flags,
                self.sequence,
                self.width,
                self.height,
                self.capture_time_us,
                *self.spacing_mm,
            )
        except struct.error as error:
            raise ValueError(f"{self} doesn't fit the frame header: {error}") from None

    @classmethod
    def parse(cls, message: bytes | memoryview, magic: bytes = FRAME_MAGIC) -> FrameHeader:
        """Reads the header of a binary message.

        Raises:
            ProtocolError: too short, another magic or version, a time or spacing out of range.
        """
        if len(message) < HEADER_BYTES:
            raise ProtocolError(f"a binary message needs a header of {HEADER_BYTES} bytes, got {len(message)} bytes")
        found, version, codec, flags, sequence, width, height, time_us, *spacing = _HEADER.unpack_from(message)
        if found != magic:
            raise ProtocolError(f"a frame must start with {magic!r}, got {found!r}")
        if version != PROTOCOL_VERSION:
            raise ProtocolError(f"frame header version must be {PROTOCOL_VERSION}, got {version}")
        if time_us > MAX_CAPTURE_TIME_US:
            raise ProtocolError(f"capture_time_us must be at most {MAX_CAPTURE_TIME_US}, got {time_us}")
        if not all(math.isfinite(value) and value >= 0 for value in spacing):
            raise ProtocolError(f"pixel spacing must be finite and not negative, got {spacing} mm")
        return cls(codec, sequence, width, height, flags, time_us, (spacing[0], spacing[1]), magic)


def frame_message(header: FrameHeader, payload: bytes | memoryview) -> bytes:
    """One binary message: a frame of the client, or a label map of the server."""
    return header.pack() + payload


@dataclass(frozen=True)
class Hello:
    """The first message of a client.

    Attributes:
        token: what opens the server.
        resume: id of the session that is to go on.
        changes: the options that it names, checked one by one.
    """

    token: str | None
    resume: str | None
    changes: dict[str, Any]

    @property
    def options(self) -> SessionOptions:
        """What a new session gets."""
        return SessionOptions(**self.changes)


@dataclass(frozen=True)
class FrameReceived:
    """One frame; the payload is a view into the received message."""

    header: FrameHeader
    payload: memoryview


@dataclass(frozen=True)
class Configure:
    """Options to change from the next frame on, already checked one by one."""

    changes: dict[str, Any]


@dataclass(frozen=True)
class Refused:
    """A message that can't be followed but does no harm: answered by an `error` that isn't fatal."""

    code: str
    message: str


@dataclass(frozen=True)
class Ping:
    """A clock or liveness probe; `id` comes back as it is."""

    id: str | int | float | None


@dataclass(frozen=True)
class Bye:
    """The client sends nothing more and waits for its last answers."""


Event = Hello | FrameReceived | Configure | Refused | Ping | Bye


class ConnectionState(Enum):
    """Where a connection stands, from the server's side."""

    AWAITING_HELLO = "awaiting hello"
    STREAMING = "streaming"
    LEAVING = "leaving after bye"


class Connection:
    """The server's side of one connection: what came in becomes an event, or a `ProtocolError`."""

    _EXPECTED: ClassVar[dict[ConnectionState, str]] = {
        ConnectionState.AWAITING_HELLO: "a hello message (text)",
        ConnectionState.STREAMING: "a frame (binary) or a configure, ping or bye message (text)",
        ConnectionState.LEAVING: "nothing",
    }

    def __init__(self) -> None:
        self.state = ConnectionState.AWAITING_HELLO
        self.last_sequence: int | None = None

    def receive_bytes(self, message: bytes) -> FrameReceived:
        """Takes one binary message.

        Raises:
            ProtocolError: not the time for a frame, a bad header, a sequence that doesn't increase.
        """
        if self.state is not ConnectionState.STREAMING:
            raise self._unexpected(f"a binary message of {len(message)} bytes")
        header = FrameHeader.parse(message)
        if self.last_sequence is not None and header.sequence <= self.last_sequence:
            raise ProtocolError(
                f"sequence must increase strictly: expected more than {self.last_sequence}, got {header.sequence}"
            )
        self.last_sequence = header.sequence
        return FrameReceived(header, memoryview(message)[HEADER_BYTES:])

    def receive_text(self, text: str) -> Event:
        """Takes one text message.

        Raises:
            ProtocolError: no JSON object, an unknown type, not the time for it, a hello with a bad option.
        """
        if len(text) > MAX_TEXT_BYTES:
            raise ProtocolError(f"a text message must have at most {MAX_TEXT_BYTES} characters, got {len(text)}")
        message = parse_message(text)
        kind = message.pop("type")
        if kind == "hello" and self.state is ConnectionState.AWAITING_HELLO:
            hello = _parse_hello(message)
            self.state = ConnectionState.STREAMING
            return hello
        if kind not in ("hello", "configure", "ping", "bye"):
            raise ProtocolError(f"unknown message type {quoted(kind)}; known types are hello, configure, ping, bye")
        if kind == "hello" or self.state is not ConnectionState.STREAMING:
            raise self._unexpected(f"a {kind} message")
        if kind == "configure":
            try:
                return Configure(parse_changes(message))
            except ValueError as error:
                return Refused("bad_option", str(error))
        if kind == "ping":
            return Ping(_ping_id(message.get("id")))
        self.state = ConnectionState.LEAVING
        return Bye()

    def _unexpected(self, what: str) -> ProtocolError:
        return ProtocolError(f"expected {self._EXPECTED[self.state]} while {self.state.value}, got {what}")


def _parse_hello(message: dict[str, Any]) -> Hello:
    words: dict[str, str | None] = {}
    for name in ("token", "resume"):
        value = message.pop(name, None)
        if value is not None and not isinstance(value, str):
            raise ProtocolError(f"{name} must be a text, got {quoted(value)}", code="bad_option")
        words[name] = value
    try:
        return Hello(words["token"], words["resume"], parse_changes(message, more_known=("token", "resume")))
    except ValueError as error:
        raise ProtocolError(str(error), code="bad_option") from None


def _ping_id(value: Any) -> str | int | float | None:
    if value is None or (isinstance(value, str | int) and len(str(value)) <= 128):
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    raise ProtocolError(f"a ping's id must be a number or a text of at most 128 characters, got {quoted(value)}")


def parse_message(text: str) -> dict[str, Any]:
    """The object of a text message; it has a `type`.

    Raises:
        ProtocolError: no JSON, no object, no type.
    """
    try:
        message = json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise ProtocolError(f"expected a JSON object, got {quoted(text)}") from None
    if not isinstance(message, dict) or not isinstance(message.get("type"), str):
        raise ProtocolError(f'expected a JSON object with a "type", got {quoted(text)}')
    return message


def _no_constant(word: str) -> None:
    raise ValueError(f"{word} is not JSON")
