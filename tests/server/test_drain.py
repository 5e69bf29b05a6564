"""`fetalseg serve` as a process: how it starts, how it ends."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from crafted_model import write_crafted_model

from fetalseg_server.settings import Settings
from server.live import Client, encoded, frame, picture, running

JPEG_BYTES = encoded(picture())
COMMAND = [sys.executable, "-m", "fetalseg.cli", "serve", "--port", "0", "--threads", "1"]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_crafted_model(tmp_path_factory.mktemp("model") / "crafted.onnx")


@contextmanager
def serving(model: Path, *arguments: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The running command, and the address that it printed."""
    command = [*COMMAND, "--model", str(model), *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line.startswith("fetalseg is ready at http://127.0.0.1:"), line
            yield process, line.split()[-1]
        finally:
            process.kill()


def test_sigterm_answers_what_is_in_work_and_ends_with_code_0(model: Path, tmp_path: Path) -> None:
    config = tmp_path / "server.toml"
    config.write_text("drain_grace_s = 1.0\n")
    with serving(model, "--config", str(config)) as (process, address):
        with Client(address.replace("http", "ws") + "/v1/stream", {}) as client:
            assert client.ask(1, JPEG_BYTES)["type"] == "result"
            (worker,) = psutil.Process(process.pid).children()
            worker.suspend()
            client.send_frame(2, JPEG_BYTES)
            process.send_signal(signal.SIGTERM)
            notice = client.receive()
            assert (notice["type"], notice["code"]) == ("notice", "draining")
            with pytest.raises(urllib.error.HTTPError, match="503"):
                urllib.request.urlopen(address + "/readyz")
            client.send_frame(3, JPEG_BYTES)
            worker.resume()
            answers = [client.receive(), client.receive()]
            assert [(a["sequence"], a.get("reason", "result")) for a in answers] == [(2, "result"), (3, "draining")]
            assert client.end() == (None, 1001)
        assert process.wait(20) == 0
        assert process.stderr is not None
        log = process.stderr.read()
        assert [line for line in log.splitlines() if " INFO fetalseg_server." not in line] == []
        assert "a session ended session=" in log
        assert "code=1001" in log
        assert "frames=result:2,draining:1" in log
        assert not worker.is_running()


def test_an_engine_that_hangs_does_not_keep_a_draining_server_alive(model: Path, tmp_path: Path) -> None:
    config = tmp_path / "server.toml"
    config.write_text("drain_timeout_s = 0.5\ndrain_grace_s = 0.0\n")
    with serving(model, "--config", str(config)) as (process, address):
        with Client(address.replace("http", "ws") + "/v1/stream", {}) as client:
            (worker,) = psutil.Process(process.pid).children()
            worker.suspend()
            client.socket.send(frame(1, JPEG_BYTES))
            process.send_signal(signal.SIGINT)
            last, code = client.end()
            assert last is not None
            assert (last["type"], code) == ("notice", 1001)
        assert process.wait(20) == 0
        assert not worker.is_running()


def test_whoever_waits_is_told_that_the_server_ends(crafted_settings: Settings) -> None:
    """Before a `hello`, with a slow head, with an image that a hanging engine has; and nobody holds the server up."""
    settings = replace(crafted_settings, drain_timeout_s=0.5, engine_timeout_s=60, request_timeout_s=60)
    with running(settings) as live, Client(live.url) as silent, ExitStack() as stack:
        host, _, port = live.host.rpartition(":")
        slow, asking = (stack.enter_context(socket.create_connection((host, int(port)), 20)) for _ in range(2))
        slow.sendall(b"GET / HTTP/1.1\r\nHost: loc")
        worker = live.worker()
        worker.suspend()
        head = "POST /v1/segment HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/jpeg\r\n"
        asking.sendall(f"{head}Content-Length: {len(JPEG_BYTES)}\r\n\r\n".encode() + JPEG_BYTES)
        live.wait_until(lambda: any(lane.worker.in_flight for lane in live.server.service.pool.lanes))
        live.begin_drain()
        last, code = silent.end()
        assert last is not None
        assert (last["type"], last["code"], code) == ("error", "draining", 1001)
        assert slow.recv(4096) == b""
        said = b"".join(iter(lambda: asking.recv(4096), b""))
        assert said.startswith(b"HTTP/1.1 503")
        assert b'{"error":{"code":"draining","message":"the server is shutting down"}}' in said


def test_the_engine_ends_with_a_server_that_is_killed(model: Path) -> None:
    with serving(model) as (process, _):
        (worker,) = psutil.Process(process.pid).children()
        process.kill()
        process.wait(20)
        psutil.wait_procs([worker], 20)
        assert not worker.is_running()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model", "no-such-model"], "no model named 'no-such-model'; known models: "),
        (["--engine", "gpu"], "unknown engine 'gpu'; expected auto, tensorrt, openvino, onnxruntime"),
        (
            ["--host", "0.0.0.0"],
            "without tokens the server listens on this machine only, got host 0.0.0.0; give tokens",
        ),
        (["--max-sessions", "0"], "max_sessions must be at least 1, got 0"),
        (["--tokens-file", "nowhere"], "can't read the tokens file"),
        (["--host", "name.invalid"], "without tokens"),
    ],
)
def test_what_cannot_be_served_is_said_in_one_line(model: Path, arguments: list[str], message: str) -> None:
    done = subprocess.run(
        [*COMMAND, "--model", str(model), *arguments], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.splitlines()[-1].startswith(f"fetalseg serve: {message}"), done.stderr
