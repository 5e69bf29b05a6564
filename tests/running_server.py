"""A real server in its own process, for tests that need the other end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

START_LINE = "fetalseg is ready at "


@dataclass(frozen=True)
class RunningServer:
    """Where a server answers."""

    http_url: str
    process: subprocess.Popen[str]

    @property
    def stream_url(self) -> str:
        return self.http_url.replace("http://", "ws://") + "/v1/stream"


@contextmanager
def running_server(model: Path, *, environment: Mapping[str, str] | None = None) -> Iterator[RunningServer]:
    """Starts `fetalseg serve` at a free port and stops it afterwards."""
    command = [sys.executable, "-m", "fetalseg.cli", "serve", "--port", "0", "--model", str(model)]
    command += ["--engine", "onnxruntime", "--threads", "1"]
    with tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=errors, text=True, env={**os.environ, **(environment or {})}
        )
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            if not line.startswith(START_LINE):
                process.wait(10)
                errors.seek(0)
                raise RuntimeError(f"the server did not start: {line}{errors.read()}")
            yield RunningServer(line.removeprefix(START_LINE).strip(), process)
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
            process.communicate(timeout=20)
