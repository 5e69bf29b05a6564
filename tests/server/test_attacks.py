"""Strangers who are slow, large, many, or guess: each is sent away, and the one beside them is served."""

from __future__ import annotations

import http.client
import itertools
import json
import socket
import struct
import threading
import time
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import replace

import numpy as np
import pytest

from fetalseg_server.settings import Settings
from server.live import PNG, Client, RunningServer, encoded, picture, running

JPEG_BYTES = encoded(picture())
TOKEN = "the-token-of-the-console"
UPGRADE = (
    b"GET /v1/stream HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Protocol: fetalseg.v1\r\n"
)


@pytest.fixture(scope="module")
def server(crafted_settings: Settings) -> Iterator[RunningServer]:
    """A server with one console's token, and little patience with strangers."""
    settings = replace(
        crafted_settings, tokens=f"console:{TOKEN}", request_timeout_s=2.5, max_pending=8, max_failed_attempts=3
    )
    with running(settings) as live:
        yield live


def dial(server: RunningServer, source: str = "127.0.0.1") -> socket.socket:
    """A bare connection; the whole of 127.0.0.0/8 is this machine, so that a test can come from several addresses."""
    host, _, port = server.host.rpartition(":")
    return socket.create_connection((host, int(port)), timeout=20, source_address=(source, 0))


def said_until_end(raw: socket.socket) -> bytes:
    """What the server says until it hangs up."""
    said = b""
    try:
        while piece := raw.recv(65536):
            said += piece
    except ConnectionError:
        pass
    return said


def drip(server: RunningServer, first: bytes, endless: bytes) -> bytes:
    """Sends something, then a byte at a time for as long as the server stays; what it said."""
    said = b""
    with dial(server, "127.0.0.9") as raw:
        raw.sendall(first)
        raw.settimeout(0.05)
        for byte in itertools.cycle(endless):
            try:
                raw.sendall(bytes([byte]))
                piece = raw.recv(65536)
            except TimeoutError:
                continue
            except ConnectionError:
                return said
            if not piece:
                return said
            said += piece
    raise AssertionError


def served(server: RunningServer) -> bool:
    """Whether a console gets a result."""
    with Client(server.url, {"token": TOKEN}) as client:
        return bool(client.ask(1, JPEG_BYTES)["type"] == "result")


SLOW = {
    "a request line": (b"GET /", b"a", b"HTTP/1.1 408"),
    "a header": (b"GET / HTTP/1.1\r\nHost: localhost\r\nX: ", b"a", b"HTTP/1.1 408"),
    "headers": (b"GET / HTTP/1.1\r\nHost: localhost\r\n", b"X: y\r\n", b"HTTP/1.1 408"),
    "an upgrade": (UPGRADE, b"X: y\r\n", b"HTTP/1.1 408"),
    "nothing but line ends": (b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n", b"\r\n", b"HTTP/1.1 200"),
    "a body": (
        b"POST /v1/segment HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\nContent-Length: 9999\r\n"
        b"Authorization: Bearer " + TOKEN.encode() + b"\r\n\r\n",
        b"a",
        b"",
    ),
    "a body that nobody reads": (
        b"POST /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9999\r\n\r\n",
        b"a",
        b"HTTP/1.1 405",
    ),
}


@pytest.mark.parametrize("name", SLOW)
def test_who_sends_a_request_byte_by_byte_is_cut_off(server: RunningServer, name: str) -> None:
    first, endless, expected = SLOW[name]
    said = drip(server, first, endless)
    assert said.startswith(expected)
    assert bool(said) is bool(expected)


def test_slow_strangers_do_not_keep_others_waiting(server: RunningServer) -> None:
    threads = [threading.Thread(target=drip, args=(server, UPGRADE, b"X: y\r\n")) for _ in range(8)]
    for thread in threads:
        thread.start()
    assert served(server)
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    server.wait_until(lambda: server.server.doorkeeper.pending == 0)


@pytest.mark.parametrize(("pause_s", "complete"), [(0.1, True), (7.5, False)])
def test_a_slow_reader_gets_its_answer_and_one_that_stops_is_cut_off(
    server: RunningServer, pause_s: float, complete: bool
) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (480, 640, 3), np.uint8)
    image = encoded(noise)
    head = (
        f"POST /v1/segment HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/jpeg\r\nAccept: image/png\r\n"
        f"Authorization: Bearer {TOKEN}\r\nConnection: close\r\nContent-Length: {len(image)}\r\n\r\n"
    )
    host, _, port = server.host.rpartition(":")
    said = b""
    with socket.socket() as raw, suppress(ConnectionError):
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32768)  # what the system holds isn't the reader's slowness
        raw.settimeout(20)
        raw.connect((host, int(port)))
        raw.sendall(head.encode() + image)
        while piece := raw.recv(32768, socket.MSG_WAITALL):
            said += piece
            time.sleep(pause_s)
            pause_s = min(pause_s, 0.1)  # one long pause, then what is left
    assert said.startswith(b"HTTP/1.1 200")
    assert len(said) > 32768
    assert said.endswith(b"IEND\xaeB`\x82") is complete


LARGE = {
    "a header": b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 20_000 + b"\r\n\r\n",
    "a header without an end": b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 1_000_000,
    "many headers": b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"X: y\r\n" * 5000 + b"\r\n",
    "an address": b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "an upgrade": UPGRADE + b"X: " + b"a" * 20_000 + b"\r\n\r\n",
    "an upgrade with a line that the WebSocket layer refuses": UPGRADE + b"X: " + b"a" * 10_000 + b"\r\n\r\n",
    "an upgrade with more headers than it takes": UPGRADE + b"X: y\r\n" * 200 + b"\r\n",
}


@pytest.mark.parametrize("name", LARGE)
def test_a_head_that_is_too_large_is_refused(server: RunningServer, name: str) -> None:
    with dial(server) as raw:
        with suppress(ConnectionError):
            raw.sendall(LARGE[name])
        said = said_until_end(raw)
    # Where bytes were still on their way, the end of the connection may overtake the answer.
    assert said.startswith(b"HTTP/1.1 431") or (name == "a header without an end" and not said)


def test_many_requests_at_once_end_the_connection(server: RunningServer) -> None:
    with dial(server) as raw:
        raw.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n" * 2000)
        assert said_until_end(raw).count(b"HTTP/1.1 200") < 20


@pytest.mark.parametrize("text", [b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"hello\r\n\r\n", b"\0" * 64])
def test_what_is_no_http_is_refused(server: RunningServer, text: bytes) -> None:
    with dial(server) as raw:
        raw.sendall(text)
        said = said_until_end(raw)
    assert said.startswith(b"HTTP/1.1 400")
    assert b"content-security-policy: default-src 'none'" in said


def test_an_upgrade_elsewhere_is_refused_before_any_message(server: RunningServer) -> None:
    with dial(server) as raw:
        raw.sendall(UPGRADE.replace(b"/v1/stream", b"/elsewhere") + b"\r\n")
        assert said_until_end(raw).startswith(b"HTTP/1.1 403")


def test_an_address_has_so_many_connections_without_a_token(server: RunningServer) -> None:
    door = server.server.doorkeeper
    server.wait_until(lambda: door.pending == 0)
    with ExitStack() as stack:
        for _ in range(8):
            stack.enter_context(dial(server))
        server.wait_until(lambda: door.pending == 8)
        refused = door.refused
        assert said_until_end(stack.enter_context(dial(server))) == b""
        assert door.refused == refused + 1
        elsewhere = stack.enter_context(dial(server, "127.0.0.2"))
        elsewhere.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        assert said_until_end(elsewhere).startswith(b"HTTP/1.1 200")
        assert door.refused == refused + 1
    server.wait_until(lambda: door.pending == 0)


def test_who_has_shown_a_token_does_not_count_any_more(server: RunningServer) -> None:
    with ExitStack() as stack:
        for _ in range(8):
            stack.enter_context(Client(server.url, {"token": TOKEN}))
        with dial(server) as stranger:  # the ninth connection of this address
            stranger.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            assert said_until_end(stranger).startswith(b"HTTP/1.1 200")


def test_before_a_token_no_message_may_be_larger_than_a_hello(server: RunningServer) -> None:
    with Client(server.url) as stranger:
        stranger.socket.send(b" " * 100_000, text=True)
        assert stranger.end()[1] == 1009
    with Client(server.url, {"token": TOKEN}) as console:
        assert console.ask(1, b" " * 100_000)["reason"] == "decode_error"


def guess(server: RunningServer, token: str, source: str) -> tuple[str, int]:
    with dial(server, source) as raw, Client(server.url, sock=raw) as client:
        client.send_json({"type": "hello", "token": token})
        error, code = client.end()
    assert error is not None
    return error["message"], code


def test_who_guesses_tokens_is_not_looked_at_for_a_while(server: RunningServer) -> None:
    with dial(server, "127.0.0.3") as raw, Client(server.url, {"token": TOKEN}, sock=raw) as before:
        for number in range(3):
            assert guess(server, f"guess {number}", "127.0.0.3") == ("this token is not known", 1008)
        message, code = guess(server, TOKEN, "127.0.0.3")
        assert (message[:35], code) == ("too many wrong tokens; try again in", 1008)
        host, _, port = server.host.rpartition(":")
        connection = http.client.HTTPConnection(host, int(port), timeout=20, source_address=("127.0.0.3", 0))
        connection.request("GET", "/metrics", headers={"Authorization": f"Bearer {TOKEN}"})
        answer = connection.getresponse()
        body = json.loads(answer.read())
        connection.close()
        assert (answer.status, body["error"]["code"]) == (429, "not_authorised")
        assert 0 < int(answer.headers["retry-after"]) <= 20
        assert before.ask(1, JPEG_BYTES)["type"] == "result"
    assert served(server)  # from another address


@pytest.mark.parametrize("query", [f"?token={TOKEN}", f"?access_token={TOKEN}"])
def test_a_token_in_the_address_opens_nothing(server: RunningServer, query: str) -> None:
    with Client(server.url + query) as client:
        client.send_json({"type": "hello"})
        error, code = client.end()
    assert error is not None
    assert (error["message"], code) == ("a token is required", 1008)


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, packed: bytes) -> bytes:
    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")


def test_a_decompression_bomb_takes_neither_memory_nor_time(server: RunningServer) -> None:
    """100 million zeros are 100 KB of PNG, whatever size its head promises."""
    zip_ = zlib.compressobj(9)
    packed = b"".join(zip_.compress(bytes(1_000_000)) for _ in range(101)) + zip_.flush()
    assert len(packed) < 128 * 1024
    with Client(server.url, {"token": TOKEN}) as client:
        assert client.ask(1, JPEG_BYTES)["type"] == "result"
        before = server.worker().memory_info().rss
        assert client.ask(2, png(10_000, 10_000, packed), PNG)["reason"] == "too_large"
        lie = client.ask(3, png(120, 80, packed), PNG)
        assert lie["reason"] == "decode_error"
        assert lie["detail"] == f"damaged PNG: {len(packed)} bytes of picture; 120x80 px have at most 77984"
        assert server.worker().memory_info().rss - before < 50_000_000
        assert client.ask(4, JPEG_BYTES)["type"] == "result"


PATHS = (
    "/../settings.py",
    "/..%2fsettings.py",
    "/%2e%2e/settings.py",
    "/%2e%2e%2f%2e%2e%2fpyproject.toml",
    "/js/../../settings.py",
    "/....//settings.py",
    "//etc/passwd",
    "/%2fetc/passwd",
    "/etc/passwd%00.js",
    "/..\\settings.py",
)


@pytest.mark.parametrize("path", PATHS)
def test_no_path_leads_out_of_the_viewers_folder(server: RunningServer, path: str) -> None:
    with dial(server) as raw:
        raw.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        said = said_until_end(raw)
    status = int(said.split()[1])
    assert status in (400, 404)
    assert json.loads(said.partition(b"\r\n\r\n")[2])["error"]["code"] in ("bad_request", "not_found")


def test_a_fault_of_ours_tells_nothing(server: RunningServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server.server.service.metrics, "text", lambda: 1 / 0)
    connection = http.client.HTTPConnection(server.host, timeout=20)
    connection.request("GET", "/metrics", headers={"Authorization": f"Bearer {TOKEN}"})
    answer = connection.getresponse()
    said = json.loads(answer.read())
    connection.close()
    assert (answer.status, said) == (500, {"error": {"code": "internal_error", "message": "the server failed at this"}})
    assert answer.headers["x-content-type-options"] == "nosniff"
