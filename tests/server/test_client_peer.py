"""What the Python client says and understands, against a peer written from server/README.md that does as it is told."""

from __future__ import annotations

import asyncio
import json
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trustme
from websockets.asyncio.server import Request, Response, ServerConnection, serve

from fetalseg_server.client import (
    ConnectionFailedError,
    FrameFlag,
    Lost,
    Reconnect,
    SessionEvent,
    SessionOptions,
    Skipped,
    StreamClient,
    StreamError,
    Tls,
    connect,
)
from fetalseg_server.protocol import FrameHeader

FRAME = np.full((48, 64), 40, np.uint8)
QUICK = Reconnect(attempts=3, first_delay_s=0.01, max_delay_s=0.02)
Answering = Callable[[ServerConnection, FrameHeader], Awaitable[None]]


def skipped(header: FrameHeader, **fields: Any) -> str:
    answer = {"type": "skipped", "sequence": header.sequence, "received_us": 1, "sent_us": 2, "reason": "deadline"}
    return json.dumps({**answer, **fields})


async def skip(socket: ServerConnection, header: FrameHeader) -> None:
    await socket.send(skipped(header))


class Peer:
    """Greets, and does with frames what the test says.

    Attributes:
        hellos: as they came.
        frames: their headers.
        sessions: what the greetings name, one connection after the other; the last one again and again.
        features: what the greetings promise.
        answering: what happens to a frame.
        max_fps: what the greetings allow.
        hangs_up: after each greeting.
        first_words: texts that follow a greeting at once.
    """

    def __init__(self) -> None:
        self.url = ""
        self.hellos: list[dict[str, Any]] = []
        self.frames: list[FrameHeader] = []
        self.sessions = ["first"]
        self.features: list[str] = []
        self.answering: Answering = skip
        self.max_fps = 100.0
        self.hangs_up = False
        self.first_words: list[dict[str, Any]] = []
        self._sockets: list[ServerConnection] = []

    async def serve(self, socket: ServerConnection) -> None:
        self._sockets.append(socket)
        self.hellos.append(json.loads(await socket.recv()))
        session = self.sessions.pop(0) if len(self.sessions) > 1 else self.sessions[0]
        model = {"name": "m", "version": "1", "sha256": "0", "input": [24, 32], "structures": ["cranium"]}
        limits = {"window": 2, "max_frame_bytes": 5000, "max_pixels": 10000, "max_fps": self.max_fps}
        ready = {"session": session, "model": model, "engine": "e", "limits": limits, "features": self.features}
        await socket.send(json.dumps({"type": "ready", "protocol": 1, **ready}))
        if self.hangs_up:
            await socket.close(1001)
        for words in self.first_words:
            await socket.send(json.dumps(words))
        async for message in socket:
            if isinstance(message, bytes):
                self.frames.append(FrameHeader.parse(message))
                await self.answering(socket, self.frames[-1])
            else:
                await self._text(socket, json.loads(message))

    async def _text(self, socket: ServerConnection, message: dict[str, Any]) -> None:
        if message["type"] == "ping":
            await socket.send(json.dumps({"type": "pong", "id": message["id"], "received_us": 5, "sent_us": 6}))
        elif message["type"] == "configure":
            options = {**SessionOptions(model="m", min_score=0.3, nms="fast").to_json(), **message}
            del options["type"]
            await socket.send(json.dumps({"type": "configured", "options": options}))
        elif message["type"] == "bye":
            await socket.close(1000)

    async def received(self, frames: int) -> None:
        while len(self.frames) < frames:
            await asyncio.sleep(0.005)

    def cut(self) -> None:
        self._sockets[-1].transport.abort()


@asynccontextmanager
async def listening(peer: Peer, context: ssl.SSLContext | None = None) -> AsyncIterator[Peer]:
    async with serve(peer.serve, "127.0.0.1", 0, subprotocols=["fetalseg.v1"], ssl=context) as server:  # type: ignore[list-item]
        port = next(iter(server.sockets)).getsockname()[1]
        peer.url = f"ws{'s' if context else ''}://127.0.0.1:{port}/v1/stream"
        yield peer


async def connection(client: StreamClient, number: int) -> None:
    while client.reconnects < number:
        await asyncio.sleep(0.005)


async def test_a_session_is_resumed_by_its_id_with_the_same_token_and_options() -> None:
    peer = Peer()
    peer.features, peer.sessions = ["resume"], ["first", "first", "second"]
    async with listening(peer), connect(peer.url, token="sesame", reconnect=QUICK) as client:
        await client.configure(min_score=0.5)
        peer.cut()
        await connection(client, 1)
        assert client.resumed
        await client.send(FRAME)
        await anext(client)
        peer.cut()
        await connection(client, 2)
        assert not client.resumed
        assert client.ready.session == "second"
    assert [hello.get("resume") for hello in peer.hellos] == [None, "first", "first"]
    assert [hello["token"] for hello in peer.hellos] == ["sesame"] * 3
    # The caller's own wish is repeated; the server's defaults are left to the server, whose model may be a newer one.
    assert [hello["min_score"] for hello in peer.hellos] == [None, 0.5, 0.5]
    assert [hello["model"] for hello in peer.hellos] == [None] * 3


async def test_nothing_is_resumed_where_the_server_does_not_keep_sessions() -> None:
    async with listening(Peer()) as peer, connect(peer.url, reconnect=QUICK) as client:
        peer.cut()
        await connection(client, 1)
    assert ["resume" in hello for hello in peer.hellos] == [False, False]


async def test_sequences_go_on_over_connections() -> None:
    async with listening(Peer()) as peer, connect(peer.url, reconnect=QUICK) as client:
        for number in (1, 2):
            await client.send(FRAME)
            await anext(client)
            peer.cut()
            await connection(client, number)
        await client.send(FRAME)
        await anext(client)
    assert [header.sequence for header in peer.frames] == [1, 2, 3]


async def test_a_discontinuity_is_not_lost_with_its_frame() -> None:
    async def nothing(socket: ServerConnection, header: FrameHeader) -> None:
        pass

    async with listening(Peer()) as peer, connect(peer.url, reconnect=QUICK) as client:
        peer.answering = nothing
        await client.send(FRAME)
        await client.send(FRAME)
        assert await client.send(FRAME, flags=FrameFlag.DISCONTINUITY) is None
        await peer.received(2)
        peer.cut()
        await connection(client, 1)
        await client.send(FRAME, flags=FrameFlag.FROZEN)  # carries the dropped frame's discontinuity, and is lost
        await peer.received(3)
        peer.cut()
        await connection(client, 2)
        peer.answering = skip
        assert await client.send(FRAME) == 4
        assert await client.send(FRAME) == 5
        answers = [await anext(client) for _ in range(5)]
    assert [type(answer) for answer in answers] == [Lost, Lost, Lost, Skipped, Skipped]
    flags = [FrameFlag(header.flags) for header in peer.frames]
    assert flags == [FrameFlag(0), FrameFlag(0), FrameFlag.DISCONTINUITY | FrameFlag.FROZEN, FrameFlag(2), FrameFlag(0)]


async def test_errors_after_the_greeting_are_told_and_do_not_answer_a_configure() -> None:
    events: list[SessionEvent] = []
    peer = Peer()
    peer.first_words = [
        {"type": "error", "code": "not_yet", "message": "fetuses: one is told apart", "fatal": False},
        {"type": "weather", "message": "of a newer server"},
        {"type": "notice", "code": "model_changed", "message": "m 2", "model": {"name": "m", "version": "2"}},
    ]
    async with listening(peer), connect(peer.url, on_event=events.append) as client:
        assert client.ready.model["version"] == "1"
        assert (await client.configure(masks="rle")).masks == "rle"
        assert client.ready.model["version"] == "2"
    notices = [(event.code, event.message) for event in events if event.kind == "notice"]
    assert notices == [("not_yet", "fetuses: one is told apart"), ("model_changed", "m 2")]


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda header: skipped(header, sequence=7), "expected the answer to frame 1, got one to frame 7"),
        (lambda header: skipped(header) * 2, "something unreadable"),
        (lambda header: json.dumps({"type": "result", "sequence": header.sequence}), "'result' message is incomplete"),
    ],
)
async def test_a_server_that_makes_no_sense_is_left_for_good(
    answer: Callable[[FrameHeader], str], message: str
) -> None:
    async def confuse(socket: ServerConnection, header: FrameHeader) -> None:
        await socket.send(answer(header))

    peer = Peer()
    peer.answering = confuse
    async with listening(peer), connect(peer.url, reconnect=QUICK) as client:
        await client.send(FRAME)
        assert isinstance(await anext(client), Lost)
        with pytest.raises(StreamError, match=message):
            await anext(client)
    assert len(peer.hellos) == 1


async def test_a_server_that_hangs_up_after_every_greeting_is_given_up() -> None:
    peer = Peer()
    peer.hangs_up = True
    reconnect = Reconnect(attempts=3, first_delay_s=0.01, max_delay_s=5)
    async with listening(peer), connect(peer.url, reconnect=reconnect) as client:
        with pytest.raises(ConnectionFailedError, match=r"gave up after 3 attempts in .* the server is shutting down"):
            await anext(client)
    assert len(peer.hellos) == 4


async def test_a_frame_that_the_server_would_not_take_is_not_sent() -> None:
    async with listening(Peer()) as peer, connect(peer.url) as client:
        with pytest.raises(ValueError, match="takes frames of at most 5000 bytes, got one of 5001"):
            await client.send(bytes(5001))
        await client.send(FRAME)
        assert (await anext(client)).sequence == 1


async def test_answers_that_nobody_reads_are_a_mistake_that_is_said() -> None:
    peer = Peer()
    peer.max_fps = 1_000_000
    async with listening(peer), connect(peer.url) as client:
        for _ in range(1001):
            await client.send(b"\xff\xd8", wait=True)
        while client.unanswered:
            await asyncio.sleep(0.005)
        with pytest.raises(RuntimeError, match="1000 answers wait unread"):
            await client.send(FRAME)
        assert len(client.poll()) == 1001
        assert await client.send(FRAME) == 1002


async def test_live_frames_above_the_servers_rate_are_dropped_and_recorded_ones_wait() -> None:
    peer = Peer()
    peer.max_fps = 0.001
    async with listening(peer), connect(peer.url) as client:
        assert [await client.send(FRAME), await client.send(FRAME)] == [1, None]
    peer.max_fps = 20
    async with listening(peer), connect(peer.url) as client:
        began = time.monotonic()
        for _ in range(24):
            await client.send(FRAME, wait=True)
        assert time.monotonic() - began > 0.19  # twenty at once, then one every 50 ms


async def test_a_redirect_is_not_followed_because_the_token_is_for_the_named_server() -> None:
    async with listening(Peer()) as other:

        def redirect(socket: ServerConnection, request: Request) -> Response:
            response = socket.respond(HTTPStatus.TEMPORARY_REDIRECT, "")
            response.headers["Location"] = other.url
            return response

        async with serve(other.serve, "127.0.0.1", 0, process_request=redirect) as server:
            port = next(iter(server.sockets)).getsockname()[1]
            with pytest.raises(ConnectionFailedError, match="it answered HTTP 307"):
                async with connect(f"ws://127.0.0.1:{port}/v1/stream", token="sesame"):
                    pass
    assert other.hellos == []


@pytest.fixture
def hospital() -> trustme.CA:
    return trustme.CA()


def server_context(hospital: trustme.CA, *, ask_client: bool = False) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    hospital.issue_cert("127.0.0.1").configure_cert(context)
    if ask_client:
        hospital.configure_trust(context)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


async def test_a_servers_certificate_is_checked_against_the_hospitals_own_authority(
    hospital: trustme.CA, tmp_path: Path
) -> None:
    authority = tmp_path / "ca.pem"
    hospital.cert_pem.write_to_path(authority)
    async with listening(Peer(), server_context(hospital)) as peer:
        async with connect(peer.url, tls=Tls(ca_file=authority)) as client:
            await client.send(FRAME)
            assert isinstance(await anext(client), Skipped)
        with pytest.raises(ConnectionFailedError, match=r"certificate of wss://.* is not trusted") as caught:
            async with connect(peer.url, reconnect=Reconnect(at_start=True)):
                pass
        assert not caught.value.can_retry
    elsewhere = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    hospital.issue_cert("another.example").configure_cert(elsewhere)
    async with listening(Peer(), elsewhere) as peer:
        with pytest.raises(ConnectionFailedError, match=r"is not trusted: .*mismatch"):
            async with connect(peer.url, tls=Tls(ca_file=authority)):
                pass


async def test_a_console_shows_its_own_certificate_where_the_server_asks(hospital: trustme.CA, tmp_path: Path) -> None:
    authority, certificate, key = tmp_path / "ca.pem", tmp_path / "console.pem", tmp_path / "console.key"
    hospital.cert_pem.write_to_path(authority)
    console = hospital.issue_cert("console@hospital.example")
    console.cert_chain_pems[0].write_to_path(certificate)
    console.private_key_pem.write_to_path(key)
    async with listening(Peer(), server_context(hospital, ask_client=True)) as peer:
        async with connect(peer.url, tls=Tls(authority, certificate, key)) as client:
            await client.send(FRAME)
            assert isinstance(await anext(client), Skipped)
        with pytest.raises(ConnectionFailedError, match=r"hung up .* does it ask for a client's certificate\?"):
            async with connect(peer.url, tls=Tls(authority)):
                pass


async def test_tls_where_the_server_speaks_none_is_said() -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(refuse, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(ConnectionFailedError, match=r"TLS failed \(.*\); does it speak TLS\?") as caught:
            async with connect(f"wss://127.0.0.1:{port}/v1/stream"):
                pass
    assert not caught.value.can_retry


async def test_certificates_that_cannot_be_used_are_a_callers_mistake(tmp_path: Path) -> None:
    empty = tmp_path / "empty.pem"
    empty.write_text("")
    for tls in (Tls(ca_file=tmp_path / "none.pem"), Tls(ca_file=empty)):
        with pytest.raises(ValueError, match="can't use the CA file"):
            async with connect("wss://127.0.0.1:9/v1/stream", tls=tls):
                pass
    with pytest.raises(ValueError, match=r"can't use the certificate .*empty\.pem"):
        async with connect("wss://127.0.0.1:9/v1/stream", tls=Tls(certificate_file=empty)):
            pass
    with pytest.raises(ValueError, match="certificates are for wss:// addresses, got 'ws://"):
        async with connect("ws://127.0.0.1:9/v1/stream", tls=Tls()):
            pass
