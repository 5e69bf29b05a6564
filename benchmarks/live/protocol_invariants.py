"""What must hold for the server's side of the protocol, whatever a client sends."""

from __future__ import annotations

import json
from dataclasses import dataclass

from fetalseg_server.messages import configured_message, error_message, pong_message
from fetalseg_server.options import SessionOptions, parse_changes
from fetalseg_server.protocol import (
    HEADER_BYTES,
    Bye,
    CloseCode,
    Configure,
    Connection,
    ConnectionState,
    Event,
    FrameReceived,
    Hello,
    Ping,
    ProtocolError,
    Refused,
)

__all__ = ["BrokenInvariantError", "CheckedConnection"]

_ORDER = tuple(ConnectionState)
_LONGEST_ERROR = 2000  # characters of an answer to whatever came: a message must not be sent back whole


class BrokenInvariantError(Exception):
    """The protocol's implementation did what it must never do."""


@dataclass(frozen=True)
class _Standing:
    state: ConnectionState
    last_sequence: int | None


class CheckedConnection:
    """A connection that is looked at after every message.

    Args:
        connection: in whatever state.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def feed(self, message: str | bytes) -> str:
        """Gives it one message.

        Returns:
            What came of it: the kind of event, or "refused: CODE" or "error: CODE".

        Raises:
            BrokenInvariantError: see there.
        """
        before = self._standing()
        try:
            if isinstance(message, str):
                event: Event = self._connection.receive_text(message)
            else:
                event = self._connection.receive_bytes(message)
        except ProtocolError as error:
            self._check_error(error)
            _require(self._standing() == before, "a message that breaks the protocol changed the connection")
            return f"error: {error.code}"
        except Exception as error:
            raise BrokenInvariantError(f"{type(error).__name__} came out instead of an event: {error}") from error
        self._check_event(event, message, before)
        return f"refused: {event.code}" if isinstance(event, Refused) else type(event).__name__

    def _standing(self) -> _Standing:
        return _Standing(self._connection.state, self._connection.last_sequence)

    def _check_error(self, error: ProtocolError) -> None:
        _require(error.close_code in CloseCode, f"{error.close_code} is no close code of the protocol")
        text = error_message(error.code, str(error), fatal=True)
        _require(len(text) <= _LONGEST_ERROR, f"an error of {len(text)} characters")
        text.encode()  # what a socket needs

    def _check_event(self, event: Event, message: str | bytes, before: _Standing) -> None:
        after = self._standing()
        moved = _ORDER.index(after.state) - _ORDER.index(before.state)
        _require(moved == (1 if isinstance(event, Hello | Bye) else 0), f"{event} moved {before} to {after}")
        if isinstance(event, Hello):
            _require(before.state is ConnectionState.AWAITING_HELLO, "a second hello was welcome")
            _require(parse_changes(_listed(event.changes)) == event.changes, f"{event.changes} can't be said again")
        else:
            _require(before.state is ConnectionState.STREAMING, f"{event} came while {before.state.value}")
        if isinstance(event, FrameReceived):
            self._check_frame(event, message, before)
        else:
            _require(isinstance(message, str), f"a binary message became {event}")
            _require(after.last_sequence == before.last_sequence, f"{event} changed the sequence")
        self._check_answer(event)

    def _check_frame(self, event: FrameReceived, message: str | bytes, before: _Standing) -> None:
        sequence = event.header.sequence
        if isinstance(message, str):
            raise BrokenInvariantError("a text became a frame")
        _require(before.last_sequence is None or sequence > before.last_sequence, f"{sequence} doesn't increase")
        _require(self._connection.last_sequence == sequence, f"frame {sequence} is not remembered")
        packed = event.header.pack()
        _require(packed == message[:HEADER_BYTES], f"{event.header} packs to {packed.hex()}")
        _require(bytes(event.payload) == message[HEADER_BYTES:], "the payload isn't what came")

    def _check_answer(self, event: Event) -> None:
        """What the server would say to it can be said."""
        match event:
            case Ping(ping_id):
                text = pong_message(ping_id, received_us=1, sent_us=2)
                _require(json.loads(text)["id"] == ping_id, f"a ping of {ping_id!r} comes back as {text}")
            case Configure(changes):
                text = configured_message(SessionOptions().changed(changes))
            case Refused(code, words):
                text = error_message(code, words, fatal=False)
                _require(len(text) <= _LONGEST_ERROR, f"a refusal of {len(text)} characters")
            case _:
                return
        text.encode()  # what a socket needs


def _listed(changes: dict[str, object]) -> dict[str, object]:
    """Options as they come out of JSON."""
    values: dict[str, object] = json.loads(json.dumps(changes))
    return values


def _require(holds: bool, otherwise: str) -> None:
    if not holds:
        raise BrokenInvariantError(otherwise)
