"""`fetalseg demo` from start to end, as a user starts it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from crafted_model import write_crafted_model

DEMO = [sys.executable, "-m", "fetalseg.cli", "demo"]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_crafted_model(tmp_path_factory.mktemp("model") / "crafted.onnx")


@pytest.fixture(autouse=True)
def _nothing_is_left_behind(model: Path) -> Iterator[None]:
    """Whatever a demo started with this test's model has ended."""
    yield
    left = [p.cmdline() for p in psutil.process_iter(["cmdline"]) if str(model) in (p.info["cmdline"] or [])]
    assert left == []


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_a_demo_of_some_seconds_streams_both_cines_and_ends_by_itself(model: Path) -> None:
    command = [*DEMO, "--seconds", "5", "--model", str(model), "--port", str(free_port())]
    done = subprocess.run(command, capture_output=True, text=True, timeout=90, check=False)
    assert done.returncode == 0, done.stderr
    assert "Viewer:  http://127.0.0.1:" in done.stdout
    assert " s  real " in done.stdout
    assert " s  synthetic " in done.stdout
    assert "answered with a result" in done.stdout
    assert "Cranium" in done.stdout
    assert done.stdout.rstrip().endswith("The server has stopped.")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupting_stops_the_server_and_prints_the_summary(model: Path, number: signal.Signals) -> None:
    port = free_port()
    command = [*DEMO, "--model", str(model), "--port", str(port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as demo:
        assert demo.stdout is not None
        while " 1 s " not in (line := demo.stdout.readline()):
            assert line, demo.stderr and demo.stderr.read()
        viewer = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with viewer.open(f"http://127.0.0.1:{port}/") as page:
            assert b"Research use only. Not a medical device." in page.read()
        demo.send_signal(number)
        output, errors = demo.communicate(timeout=60)
    assert demo.returncode == 0, errors
    assert "answered with a result" in output


def test_a_demo_interrupted_while_the_server_starts_leaves_nothing(model: Path) -> None:
    with subprocess.Popen([*DEMO, "--model", str(model)], stdout=subprocess.PIPE, text=True) as demo:
        assert demo.stdout is not None
        assert demo.stdout.readline().startswith("Starting the server")
        while not psutil.Process(demo.pid).children():
            time.sleep(0.01)
        demo.send_signal(signal.SIGINT)
        demo.communicate(timeout=60)
    assert demo.returncode == 130


def test_a_port_that_is_taken_is_said_and_nothing_is_started() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        command = [*DEMO, "--seconds", "5", "--port", str(port)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=90, check=False)
    assert done.returncode == 1
    assert f"can't listen at 127.0.0.1:{port}" in done.stderr
    assert "Starting the server" not in done.stdout


def test_a_model_that_does_not_exist_is_said_with_the_servers_own_words() -> None:
    command = [*DEMO, "--seconds", "5", "--model", "no-such-model"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=90, check=False, env=os.environ)
    assert done.returncode == 1
    assert "the server ended with exit code 1" in done.stderr
    assert "no-such-model" in done.stderr
