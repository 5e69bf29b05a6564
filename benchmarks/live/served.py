"""A server of the benchmark's own: `fetalseg serve` in a process of its own, on a free port of the loopback."""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import IO

from fetalseg.errors import FetalsegError

__all__ = ["ADMIT_ALL", "ServedProcess", "serving", "stream_url"]

# Flags of a server that takes every session up to --max-sessions, whatever it measured of itself.
ADMIT_ALL = ("--session-fps", "0.1")

START_S = 180.0  # a cold disk and a busy machine read the inference runtime slowly
STOP_S = 20.0
_READY = "fetalseg is ready at "
_COMMAND = (sys.executable, "-m", "fetalseg.cli")


@dataclass(frozen=True)
class ServedProcess:
    """A server that is ready.

    Attributes:
        http: "http://127.0.0.1:40123".
        pid: of the server's process; its workers are its children.
    """

    http: str
    pid: int

    @property
    def url(self) -> str:
        """Of the stream."""
        return stream_url(self.http)

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.http.rpartition(":")[2])


def stream_url(http: str) -> str:
    """The stream's address at a server's."""
    return f"ws{http.rstrip('/').removeprefix('http')}/v1/stream"


@contextlib.contextmanager
def serving(arguments: Sequence[str] = (), *, command: Sequence[str] = _COMMAND) -> Iterator[ServedProcess]:
    """Runs a server while a block runs; it is ready at the start and gone at the end, with all that it started.

    Args:
        arguments: of `fetalseg serve`, besides host and port.
        command: what stands before `serve`; another program for a control run.

    Raises:
        FetalsegError: it isn't ready in time; the text has its last words.
        SystemExit: somebody asked the benchmark to end; the server is gone all the same.
    """
    with tempfile.TemporaryFile() as log, _ends_on_sigterm():
        process = subprocess.Popen(
            [*command, "serve", "--host", "127.0.0.1", "--port", "0", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            start_new_session=True,  # Ctrl-C reaches the benchmark alone, which then ends the server
        )
        try:
            yield ServedProcess(_address(process, log), process.pid)
        finally:
            _stop(process)


@contextlib.contextmanager
def _ends_on_sigterm() -> Iterator[None]:
    """SIGTERM unwinds the program instead of ending it at once, or servers would stay behind."""

    def leave(number: int, frame: object) -> None:
        raise SystemExit(128 + number)

    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _address(process: subprocess.Popen[str], log: IO[bytes]) -> str:
    """What the server says when its model is warm."""
    said: queue.SimpleQueue[str] = queue.SimpleQueue()

    def read() -> None:
        assert process.stdout is not None
        for line in process.stdout:
            said.put(line)
        said.put("")

    threading.Thread(target=read, daemon=True).start()
    try:
        while line := said.get(timeout=START_S):
            if line.startswith(_READY):
                return line.removeprefix(_READY).strip()
        problem = "the server ended"
    except queue.Empty:
        problem = f"the server was not ready within {START_S:g} s"
    log.seek(0)
    last_words = log.read().decode(errors="replace").strip().splitlines()[-12:]
    raise FetalsegError("\n".join([f"{problem}:", *last_words]))


def _stop(process: subprocess.Popen[str]) -> None:
    process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(STOP_S)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert process.stdout is not None
    process.stdout.close()
