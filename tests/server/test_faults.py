"""What a session lives through: an engine that dies or hangs, and a reader that stops reading."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import replace

import pytest
from websockets.exceptions import ConnectionClosed

from fetalseg_server.settings import Settings
from server.live import Client, RunningServer, encoded, picture, running

JPEG_BYTES = encoded(picture())


@pytest.fixture(scope="module")
def server(crafted_settings: Settings) -> Iterator[RunningServer]:
    """A server that gives up early on a hanging engine and on a slow reader."""
    impatient = replace(
        crafted_settings, engine_timeout_s=0.5, write_timeout_s=0.3, send_buffer_bytes=4096, max_fps=100_000
    )
    with running(impatient) as live:
        yield live


def answers_until_a_result(client: Client, sequence: int) -> list[str]:
    """Sends one frame after the other until one is worked on again; the reasons of those that were not."""
    reasons = []
    for number in range(sequence, sequence + 1000):
        answer = client.ask(number, JPEG_BYTES)
        assert answer["sequence"] == number
        if answer["type"] == "result":
            return reasons
        reasons.append(answer["reason"])
        time.sleep(0.02)
    raise AssertionError(f"no result after {len(reasons)} frames")


def test_sessions_outlive_a_killed_engine(server: RunningServer) -> None:
    with Client(server.url, {}) as client:
        assert client.ask(1, JPEG_BYTES)["type"] == "result"
        worker = server.worker()
        worker.suspend()
        client.send_frame(2, JPEG_BYTES)
        client.send_frame(3, JPEG_BYTES)
        worker.kill()
        lost = [client.receive(), client.receive()]
        assert [(a["sequence"], a["reason"]) for a in lost] == [(2, "engine_error"), (3, "engine_error")]
        assert lost[0]["detail"] == "the engine stopped; it is being started again"
        assert set(answers_until_a_result(client, 4)) <= {"engine_error"}
        assert server.worker().pid != worker.pid


def test_a_fault_of_the_server_over_a_result_skips_that_frame_only(
    server: RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Client(server.url, {}) as client:
        worker = server.worker()
        (session,) = server.server.service.sessions
        with monkeypatch.context() as fault:
            fault.setattr(session.record, "models", None)  # to note which model a result comes from fails now
            answer = client.ask(1, JPEG_BYTES)
        assert (answer["type"], answer["reason"]) == ("skipped", "engine_error")
        assert answer["detail"] == "the server failed over the engine's answer"
        assert client.ask(2, JPEG_BYTES)["type"] == "result"
        assert server.worker().pid == worker.pid


def test_a_hanging_engine_is_killed_and_replaced(server: RunningServer) -> None:
    with Client(server.url, {}) as client:
        worker = server.worker()
        worker.suspend()
        answer = client.ask(1, JPEG_BYTES)
        assert (answer["type"], answer["reason"]) == ("skipped", "engine_error")
        answers_until_a_result(client, 2)
        assert not worker.is_running()


def test_memory_of_a_dead_engines_frames_is_free_again(server: RunningServer) -> None:
    big = bytes(1024 * 1024)
    with Client(server.url, {}) as client:
        worker = server.worker()
        worker.suspend()
        client.send_frame(1, big)
        client.send_frame(2, big)
        worker.kill()
        assert [client.receive()["reason"] for _ in range(2)] == ["engine_error"] * 2
        answers_until_a_result(client, 3)
        # The memory holds four frames of this size; only with all of it free do two fit beside what may lie between.
        with server.engine_paused():
            client.send_frame(5001, big)
            client.send_frame(5002, big)
            client.send_json({"type": "ping", "id": 1})
            assert client.receive()["type"] == "pong"  # both have been received
        assert [client.receive()["reason"] for _ in range(2)] == ["decode_error"] * 2


def test_a_slow_reader_is_closed_with_4004_and_nobody_waits_for_it(server: RunningServer) -> None:
    with socket.socket() as raw, ExitStack() as stack:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        raw.connect(("127.0.0.1", int(server.host.rpartition(":")[2])))
        # The library reads its socket only as long as fewer than `max_queue` messages are unread.
        with Client(server.url, {}, sock=raw, max_queue=1) as slow:
            (session,) = server.server.service.sessions
            other = stack.enter_context(Client(server.url, {}))
            with suppress(ConnectionClosed):
                while session in server.server.service.sessions:
                    slow.send_json({"type": "configure", "model": "x" * 128})
            assert other.ask(1, JPEG_BYTES)["type"] == "result"
            _, code = slow.end()
    assert code == 4004


def test_answers_to_a_reader_that_pauses_and_comes_back_are_complete(server: RunningServer) -> None:
    with Client(server.url, {}, max_queue=4) as client:
        for _ in range(40):
            client.send_json({"type": "configure", "masks": "rle"})
        time.sleep(0.1)
        assert [client.receive()["type"] for _ in range(40)] == ["configured"] * 40
        assert json.loads(json.dumps(client.ask(1, JPEG_BYTES)))["type"] == "result"
