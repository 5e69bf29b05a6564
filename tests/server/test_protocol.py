from __future__ import annotations

import json
import re
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fetalseg_server.options import SessionOptions
from fetalseg_server.protocol import (
    Bye,
    CloseCode,
    Codec,
    Configure,
    Connection,
    ConnectionState,
    FrameHeader,
    FrameReceived,
    Hello,
    Ping,
    ProtocolError,
    Refused,
    frame_message,
    parse_message,
)

# Written out by hand from the specification: magic, version, codec, flags, sequence, width, height, time, spacing.
EXAMPLE = bytes.fromhex(
    "46534731"  # "FSG1"
    "01"  # version
    "03"  # gray8
    "0200"  # discontinuity
    "07000000"  # sequence 7
    "8002"  # width 640
    "e001"  # height 480
    "40e2010000000000"  # 123456 us
    "0000003e"  # y 0.125 mm
    "0000803e"  # x 0.25 mm
)


def streaming() -> Connection:
    connection = Connection()
    connection.receive_text('{"type":"hello"}')
    return connection


def frame(sequence: int = 1, **fields: int) -> bytes:
    return frame_message(FrameHeader(codec=1, sequence=sequence, **fields), b"\xff\xd8\xff")


def test_a_frame_header_is_32_bytes_little_endian() -> None:
    header = FrameHeader(Codec.GRAY8, 7, 640, 480, 2, 123456, (0.125, 0.25))
    assert header.pack() == EXAMPLE
    assert FrameHeader.parse(EXAMPLE) == header
    assert len(EXAMPLE) == 32


def test_a_label_map_comes_back_under_its_own_magic() -> None:
    data = b"FSR1" + EXAMPLE[4:]
    assert FrameHeader.parse(data, b"FSR1").sequence == 7
    with pytest.raises(ProtocolError, match="must start with b'FSG1', got b'FSR1'"):
        FrameHeader.parse(data)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "needs a header of 32 bytes, got 0 bytes"),
        (EXAMPLE[:31], "needs a header of 32 bytes, got 31 bytes"),
        (b"JUNK" + EXAMPLE[4:], "must start with b'FSG1', got b'JUNK'"),
        (EXAMPLE[:4] + b"\x02" + EXAMPLE[5:], "version must be 1, got 2"),
        (EXAMPLE[:16] + (2**53).to_bytes(8, "little") + EXAMPLE[24:], "at most 9007199254740991, got 9007199254740992"),
        (EXAMPLE[:24] + b"\x00\x00\xc0\x7f" + EXAMPLE[28:], "spacing must be finite and not negative, got [nan"),
        (EXAMPLE[:28] + b"\x00\x00\x80\xbf", "spacing must be finite and not negative, got [0.125, -1.0]"),
    ],
)
def test_a_bad_frame_header_says_what_was_expected_and_what_came(data: bytes, message: str) -> None:
    with pytest.raises(ProtocolError, match=re.escape(message)) as caught:
        streaming().receive_bytes(data)
    assert caught.value.close_code == CloseCode.PROTOCOL_ERROR == 4000


def test_a_header_with_fields_that_do_not_fit_is_the_callers_error() -> None:
    with pytest.raises(ValueError, match=r"sequence=4294967296.*doesn't fit"):
        FrameHeader(codec=1, sequence=2**32).pack()


def test_an_unknown_codec_and_unknown_flags_are_no_protocol_error() -> None:
    received = streaming().receive_bytes(frame_message(FrameHeader(codec=16, sequence=1, flags=0xFFFF), b"abc"))
    assert received.header.codec == 16
    assert bytes(received.payload) == b"abc"


def test_a_hello_without_options_has_the_defaults() -> None:
    event = Connection().receive_text('{"type":"hello"}')
    assert event == Hello(token=None, resume=None, changes={})
    assert event.options == SessionOptions()


def test_the_hello_of_the_specification_is_understood() -> None:
    text = (
        '{"type":"hello","token":"secret","codec":"jpeg","width":640,"height":480,"spacing_mm":[0.1,0.2],'
        '"deadline_ms":80,"masks":"rle","model":"fetalseg-s","min_score":0.3,"nms":"fast","track":true,"fetuses":1,'
        '"examination":false,"resume":"0123"}'
    )
    event = Connection().receive_text(text)
    assert isinstance(event, Hello)
    assert (event.token, event.resume) == ("secret", "0123")
    assert event.options == SessionOptions(
        "jpeg", 640, 480, (0.1, 0.2), 80, "rle", "fetalseg-s", 0.3, "fast", True, 1, False
    )


def test_a_hello_with_an_unknown_key_names_the_known_ones() -> None:
    with pytest.raises(
        ProtocolError, match=r"unknown option mask; known options are token, resume, codec, .*masks"
    ) as e:
        Connection().receive_text('{"type":"hello","mask":"rle"}')
    assert e.value.code == "bad_option"


@pytest.mark.parametrize(
    "text",
    ['{"type":"hello","token":5}', '{"type":"hello","min_score":2}', '{"type":"hello","resume":["a"]}'],
)
def test_a_hello_with_a_bad_value_is_refused(text: str) -> None:
    connection = Connection()
    with pytest.raises(ProtocolError):
        connection.receive_text(text)
    assert connection.state is ConnectionState.AWAITING_HELLO


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected a JSON object"),
        ("hello", 'expected a JSON object, got "hello"'),
        ("[]", 'with a "type"'),
        ('{"type":1}', 'with a "type"'),
        ('{"type":"ping","id":NaN}', "expected a JSON object"),
        ("[" * 100_000, "at most 65536 characters, got 100000"),
        ("[" * 60_000, "expected a JSON object"),
        ('{"type":"subscribe"}', 'unknown message type "subscribe"; known types are hello, configure, ping, bye'),
        ('{"type":"hello"}', "while streaming, got a hello message"),
        ('{"type":"ping","id":{}}', "a ping's id must be"),
        ('{"type":"ping","id":1e999}', "a ping's id must be"),
    ],
)
def test_a_text_that_breaks_the_protocol_is_quoted(text: str, message: str) -> None:
    with pytest.raises(ProtocolError, match=re.escape(message)):
        streaming().receive_text(text)


@pytest.mark.parametrize("kind", ["configure", "ping", "bye"])
def test_only_hello_may_come_first(kind: str) -> None:
    with pytest.raises(ProtocolError, match=f"expected a hello message .text. while awaiting hello, got a {kind}"):
        Connection().receive_text(f'{{"type":"{kind}"}}')


def test_a_frame_before_hello_is_an_error() -> None:
    with pytest.raises(ProtocolError, match="while awaiting hello, got a binary message of 35 bytes"):
        Connection().receive_bytes(frame())


def test_nothing_may_follow_bye() -> None:
    connection = streaming()
    assert connection.receive_text('{"type":"bye"}') == Bye()
    with pytest.raises(ProtocolError, match="expected nothing while leaving after bye"):
        connection.receive_bytes(frame())


def test_sequences_may_have_gaps_but_must_increase() -> None:
    connection = streaming()
    for sequence in (0, 1, 5, 4294967295):
        assert connection.receive_bytes(frame(sequence)).header.sequence == sequence
    with pytest.raises(ProtocolError, match="expected more than 4294967295, got 4294967295"):
        connection.receive_bytes(frame(4294967295))


def test_a_good_configure_carries_only_what_it_names() -> None:
    event = streaming().receive_text('{"type":"configure","masks":"none","deadline_ms":null}')
    assert event == Configure({"masks": "none", "deadline_ms": None})


@pytest.mark.parametrize("name", ["token", "resume", "window"])
def test_a_configure_with_a_key_of_hello_or_of_nobody_is_refused_without_harm(name: str) -> None:
    connection = streaming()
    event = connection.receive_text(f'{{"type":"configure","{name}":"x"}}')
    assert isinstance(event, Refused)
    assert event.message.startswith(f"unknown option {name}; known options are codec, ")
    assert connection.state is ConnectionState.STREAMING


@pytest.mark.parametrize("ping_id", [1, "a", 2.5, None])
def test_a_pings_id_is_kept(ping_id: object) -> None:
    assert streaming().receive_text(json.dumps({"type": "ping", "id": ping_id})) == Ping(ping_id)


def test_the_payload_is_a_view_not_a_copy() -> None:
    message = frame()
    received = streaming().receive_bytes(message)
    assert received.payload.obj is message


headers = st.builds(
    FrameHeader,
    codec=st.integers(0, 255),
    sequence=st.integers(0, 2**32 - 1),
    width=st.integers(0, 65535),
    height=st.integers(0, 65535),
    flags=st.integers(0, 65535),
    capture_time_us=st.integers(0, 2**53 - 1),
    spacing_mm=st.tuples(*[st.floats(0, 100, width=32)] * 2),
)


@given(headers, st.binary(max_size=50))
def test_every_header_survives_packing(header: FrameHeader, payload: bytes) -> None:
    received = streaming().receive_bytes(frame_message(header, payload))
    assert received == FrameReceived(header, memoryview(payload))


@settings(max_examples=300, deadline=None)
@given(st.lists(st.one_of(st.binary(max_size=64), st.binary(max_size=40).map(lambda b: b"FSG1\x01" + b), st.text())))
def test_random_messages_give_events_or_protocol_errors_and_nothing_else(messages: list[bytes | str]) -> None:
    connection = streaming()
    for message in messages:
        with suppress(ProtocolError):
            if isinstance(message, str):
                assert isinstance(connection.receive_text(message), Configure | Refused | Ping | Bye)
            else:
                assert isinstance(connection.receive_bytes(message), FrameReceived)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
names = st.sampled_from(["type", "id", "token", "resume", *SessionOptions().to_json(), "other"])


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(["hello", "configure", "ping", "bye", "x"]), st.dictionaries(names, values, max_size=4))
def test_random_options_give_events_or_protocol_errors_and_nothing_else(kind: str, fields: dict[str, object]) -> None:
    text = json.dumps({**fields, "type": kind})
    for connection in (Connection(), streaming()):
        with suppress(ProtocolError):
            event = connection.receive_text(text)
            assert isinstance(event, Hello | Configure | Refused | Ping | Bye)


def test_what_a_server_says_is_read_by_the_same_rule() -> None:
    assert parse_message('{"type":"pong","id":1}') == {"type": "pong", "id": 1}
