"""How connections are refused and ended: always with an `error` that can be read and the close code of the contract."""

from __future__ import annotations

import itertools
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace

import pytest
from websockets.exceptions import ConnectionClosed

from fetalseg_server.settings import Settings
from server.live import Client, RunningServer, encoded, frame, picture, running

JPEG_BYTES = encoded(picture())
TOKEN = "correct horse battery staple"


@pytest.fixture(scope="module")
def strict_server(crafted_settings: Settings) -> Iterator[RunningServer]:
    """A server with tokens and little patience."""
    strict = replace(
        crafted_settings,
        tokens=f"console:{TOKEN}, other-token",
        allow_origins=("https://console.example",),
        max_sessions=2,
        max_fps=10,
        hello_timeout_s=2.0,
        idle_timeout_s=3.0,
    )
    with running(strict) as live:
        yield live


@pytest.mark.parametrize("offered", [None, ["fetalseg.v2"], ["chat", "fetalseg.v0"]])
def test_without_our_subprotocol_there_is_an_error_after_the_upgrade(
    server: RunningServer, offered: list[str] | None
) -> None:
    with Client(server.url, subprotocols=offered) as client:
        error, code = client.end()
    assert error is not None
    assert (error["type"], error["code"], error["fatal"], code) == ("error", "bad_subprotocol", True, 4000)
    assert error["message"] == f"expected the subprotocol fetalseg.v1, got {', '.join(offered or ['none'])}"


def test_our_subprotocol_is_chosen_among_others(server: RunningServer) -> None:
    with Client(server.url, {}, subprotocols=["fetalseg.v2", "fetalseg.v1"]) as client:
        assert client.socket.subprotocol == "fetalseg.v1"


FIRST_MESSAGES: dict[str, tuple[str | bytes, str, str]] = {
    "no JSON": ("hello", "protocol_error", "expected a JSON object"),
    "another type": ('{"type":"bye"}', "protocol_error", "expected a hello message"),
    "a frame": (
        frame(1, JPEG_BYTES),
        "protocol_error",
        "expected a hello message (text) while awaiting hello, got a bin",
    ),
    "an unknown option": (
        '{"type":"hello","quality":1}',
        "bad_option",
        "unknown option quality; known options are tok",
    ),
    "a bad value": ('{"type":"hello","masks":"svg"}', "bad_option", "masks must be one of polygon, rle"),
    "another model": ('{"type":"hello","model":"yolo"}', "unknown_model", "expected model 'crafted', got 'yolo'"),
}


@pytest.mark.parametrize("name", FIRST_MESSAGES)
def test_a_bad_first_message_ends_the_connection_with_its_reason(server: RunningServer, name: str) -> None:
    message, word, text = FIRST_MESSAGES[name]
    with Client(server.url) as client:
        client.socket.send(message)
        error, code = client.end()
    assert error is not None
    assert (error["type"], error["code"], error["fatal"], code) == ("error", word, True, 4000)
    assert error["message"].startswith(text)


LATER_MESSAGES: dict[str, tuple[str | bytes, str]] = {
    "a wrong magic": (frame(9, JPEG_BYTES, magic=b"RIFF"), "a frame must start with b'FSG1', got b'RIFF'"),
    "a short header": (b"FSG1\x01", "needs a header of 32 bytes, got 5 bytes"),
    "an empty message": (b"", "needs a header of 32 bytes, got 0 bytes"),
    "a frame as text": ("FSG1 and so on", "expected a JSON object"),
    "a text as binary": (b'{"type":"ping","id":1}' + b" " * 20, "must start with b'FSG1', got b'{\"ty'"),
    "a sequence again": (frame(8, JPEG_BYTES), "sequence must increase strictly: expected more than 8, got 8"),
    "a sequence back": (frame(3, JPEG_BYTES), "expected more than 8, got 3"),
    "a second hello": ('{"type":"hello"}', "while streaming, got a hello message"),
    "an unknown type": ('{"type":"start"}', 'unknown message type "start"'),
    "a time beyond 2^53": (frame(9, JPEG_BYTES, time_us=2**53), "at most 9007199254740991, got 9007199254740992"),
}


@pytest.mark.parametrize("name", LATER_MESSAGES)
def test_a_broken_protocol_ends_the_session_with_its_reason(server: RunningServer, name: str) -> None:
    message, text = LATER_MESSAGES[name]
    with Client(server.url, {}) as client:
        assert client.ask(8, JPEG_BYTES)["type"] == "result"
        client.socket.send(message)
        error, code = client.end()
    assert error is not None
    assert (error["type"], error["code"], error["fatal"], code) == ("error", "protocol_error", True, 4000)
    assert text in error["message"]


def test_invalid_utf8_is_refused_by_the_websocket_layer(server: RunningServer) -> None:
    with Client(server.url, {}) as client:
        client.socket.send(b"\xff\xfe", text=True)
        assert client.end()[1] == 1007


@pytest.mark.parametrize("parts", [1, 3])
def test_a_message_beyond_the_limit_is_closed_with_1009_that_arrives(server: RunningServer, parts: int) -> None:
    size = 3 * (1024 * 1024 + 64 * 1024) // parts
    with Client(server.url, {}) as client:
        with suppress(ConnectionClosed):  # it may be closed before all is sent
            client.socket.send([bytes(size)] * parts if parts > 1 else bytes(size))
        assert client.end()[1] == 1009
    with Client(server.url, {}) as client:
        assert client.ask(1, bytes(1024 * 1024 + 64 * 1024 - 32))["reason"] == "too_large"


@pytest.mark.parametrize("hello", [{}, {"token": ""}, {"token": "wrong"}, {"token": TOKEN + " "}, {"token": "\ud800"}])
def test_a_wrong_token_is_not_authorised(strict_server: RunningServer, hello: dict[str, str]) -> None:
    with Client(strict_server.url) as client:
        client.send_json({"type": "hello", **hello})
        error, code = client.end()
    assert error is not None
    assert (error["code"], error["fatal"], code) == ("not_authorised", True, 1008)
    assert TOKEN not in error["message"]


@pytest.mark.parametrize("token", [TOKEN, "other-token"])
def test_every_token_of_the_list_opens_the_server(strict_server: RunningServer, token: str) -> None:
    with Client(strict_server.url, {"token": token}) as client:
        assert client.ask(1, JPEG_BYTES)["type"] == "result"


@pytest.mark.parametrize(
    ("which", "origin", "allowed"),
    [
        ("server", "https://evil.example", False),
        ("server", "null", False),
        ("server", "http://localhost:1", False),
        ("server", "http://{host}", True),
        ("strict_server", "https://console.example", True),
        ("strict_server", "https://CONSOLE.example", True),
        ("strict_server", "http://console.example", False),
        ("strict_server", "https://console.example.evil.example", False),
    ],
)
def test_web_pages_of_other_origins_are_refused(
    request: pytest.FixtureRequest, which: str, origin: str, allowed: bool
) -> None:
    live: RunningServer = request.getfixturevalue(which)
    with Client(live.url, origin=origin.format(host=live.host)) as client:
        if allowed:
            client.send_json({"type": "hello", "token": TOKEN})
            assert client.receive()["type"] == "ready"
            return
        error, code = client.end()  # before any hello
    assert error is not None
    assert (error["code"], code) == ("not_authorised", 1008)


def test_without_tokens_another_host_name_is_refused(server: RunningServer) -> None:
    port = int(server.host.rpartition(":")[2])
    with (
        socket.create_connection(("127.0.0.1", port)) as raw,
        Client("ws://rebound.example/v1/stream", sock=raw) as client,
    ):
        error, code = client.end()
    assert error is not None
    assert (error["message"], code) == (
        "Host must be localhost while the server has no tokens, got 'rebound.example'",
        1008,
    )


def test_who_says_nothing_is_closed_with_4001(strict_server: RunningServer) -> None:
    with Client(strict_server.url) as client:
        error, code = client.end()
    assert error is not None
    assert (error["code"], error["message"], code) == ("hello_timeout", "no hello within 2 s", 4001)


def test_who_falls_silent_is_closed_with_4002_and_a_ping_is_enough_to_stay(strict_server: RunningServer) -> None:
    with Client(strict_server.url, {"token": TOKEN}) as client:
        for number in range(4):
            time.sleep(1.0)
            client.send_json({"type": "ping", "id": number})
            assert client.receive()["id"] == number
        error, code = client.end()
    assert error is not None
    assert (error["code"], error["message"], code) == ("idle", "no message for 3 s", 4002)


def test_one_session_too_many_is_closed_with_4003(strict_server: RunningServer) -> None:
    url = strict_server.url
    strict_server.wait_until(lambda: not strict_server.server.service.sessions)
    with Client(url, {"token": TOKEN}), Client(url, {"token": TOKEN}), Client(url) as third:
        third.send_json({"type": "hello", "token": TOKEN})
        error, code = third.end()
    assert error is not None
    assert (error["code"], error["message"], code) == ("overloaded", "all 2 sessions are taken", 4003)


def test_frames_beyond_the_rate_are_skipped_and_a_flood_is_closed_with_4005(strict_server: RunningServer) -> None:
    with Client(strict_server.url, {"token": TOKEN}, max_queue=None) as client:
        # 10 a second are allowed, 2 s of them ahead.
        for sequence in range(1, 91):
            client.send_frame(sequence, JPEG_BYTES)
        answers = [client.receive() for _ in range(90)]
        limited = [answer for answer in answers if answer.get("reason") == "rate_limited"]
        assert limited
        assert limited[0]["sequence"] > 20
        assert limited[0]["detail"] == "more than 10 frames a second"
        with suppress(ConnectionClosed):
            for number in itertools.count():  # until the server has enough, however slow this machine is
                client.send_json({"type": "ping", "id": number})
        error, code = client.end()
    assert error is not None
    assert (error["code"], code) == ("flooding", 4005)
