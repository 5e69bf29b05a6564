"""Random and nearly right conversations, in their short mode; the long one is `python -m benchmarks.fuzz`."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import HealthCheck, given, settings

from benchmarks.fuzz import fuzz, main
from benchmarks.live.conversations import Message, conversations
from benchmarks.live.mutation import VALID_TEXTS, mutated, mutated_text, valid_frame
from benchmarks.live.protocol_invariants import BrokenInvariantError, CheckedConnection
from fetalseg_server.protocol import Connection, ConnectionState, Event, FrameHeader, FrameReceived, Ping

HELLO = '{"type":"hello"}'


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(conversations())
def test_every_message_becomes_what_the_protocol_allows(messages: list[Message]) -> None:
    connection = CheckedConnection(Connection())
    for message in messages:
        connection.feed(message)


def test_the_long_mode_counts_what_messages_became(capsys: pytest.CaptureFixture[str]) -> None:
    outcomes = fuzz(400, first_seed=3)
    assert outcomes.total() >= 400
    assert {"Hello", "FrameReceived", "error: protocol_error"} <= set(outcomes)
    assert main(["--inputs", "100"]) == 0
    assert "no promise broken: pass" in capsys.readouterr().out


class ForgetsSequences(Connection):
    def receive_bytes(self, message: bytes) -> FrameReceived:
        self.last_sequence = None
        return super().receive_bytes(message)


class GoesBack(Connection):
    def receive_text(self, text: str) -> Ping:
        super().receive_text(text)
        self.state = ConnectionState.AWAITING_HELLO
        return Ping(None)


class Cuts(Connection):
    def receive_bytes(self, message: bytes) -> FrameReceived:
        return super().receive_bytes(message[:-1])


class Fails(Connection):
    def receive_text(self, text: str) -> Ping:
        if "ping" in text:
            raise KeyError("ping")
        super().receive_text(text)
        return Ping(None)


BROKEN: dict[str, tuple[type[Connection], list[Message], str]] = {
    "a sequence that doesn't increase": (
        ForgetsSequences,
        [FrameHeader(1, 7).pack(), FrameHeader(1, 7).pack()],
        "7 doesn't increase",
    ),
    "a payload that is not what came": (Cuts, [FrameHeader(1, 1).pack() + b"ab"], "the payload isn't what came"),
    "a state that goes back": (GoesBack, ['{"type":"ping"}'], "moved"),
    "another error than the protocol's": (Fails, ['{"type":"ping"}'], "KeyError came out instead of an event"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_parser_that_breaks_a_promise_is_found_out(name: str) -> None:
    kind, messages, words = BROKEN[name]
    inner = kind()
    Connection.receive_text(inner, HELLO)
    connection = CheckedConnection(inner)
    for message in messages[:-1]:
        connection.feed(message)
    with pytest.raises(BrokenInvariantError, match=words):
        connection.feed(messages[-1])


def test_the_long_mode_stops_at_one_conversation_that_breaks_a_promise() -> None:
    class FailsAndCuts(Cuts):
        def receive_text(self, text: str) -> Event:
            if "ping" in text:
                raise KeyError("ping")
            return super().receive_text(text)

    words = "KeyError came out instead of an event|the payload isn't what came"
    with pytest.raises(BrokenInvariantError, match=words) as caught:
        fuzz(100_000, first_seed=0, connection=FailsAndCuts)
    assert any("messages=" in note for note in caught.value.__notes__)


def test_mutations_are_near_what_they_come_from_and_the_same_for_the_same_seed() -> None:
    random = Random(5)
    frames = [valid_frame(number, random) for number in range(100)]
    changed = [mutated(frame, Random(number)) for number, frame in enumerate(frames)]
    assert changed == [mutated(frame, Random(number)) for number, frame in enumerate(frames)]
    assert sum(a != b for a, b in zip(frames, changed, strict=True)) > 90
    # Four edits at the most, each of which repeats up to 16 bytes three times.
    assert all(len(b) <= len(a) + 4 * 3 * 16 for a, b in zip(frames, changed, strict=True))
    text = mutated_text(VALID_TEXTS[1], Random(1))
    assert text != VALID_TEXTS[1]
    text.encode()
