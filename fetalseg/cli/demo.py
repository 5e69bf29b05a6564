"""`fetalseg demo`: a server, a viewer, and two cines streamed to it at 25 FPS, until Ctrl+C or for some seconds."""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any

from rich.console import Console

from fetalseg.cli.stream import client_module, encoded_frames, positive, stream_and_report, summary
from fetalseg.errors import FetalsegError
from fetalseg.sources import open_source

__all__ = ["add_arguments", "run"]

CINE_MODULE = "fetalseg_server.client.cine_file"
REAL_CINE = "pydicom:examples_ybr_color.dcm"  # 30 frames 320x240, ultrasound in colour, ships inside pydicom
REAL_TURNS = 3  # 3.6 s, about as long as the synthetic cine
FPS = 25.0
PORT = 8420
START_S = 120.0  # a cold disk reads the inference runtime slowly
STOP_S = 15.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the options."""
    parser.add_argument("--seconds", type=positive, help="end after so long; by default at Ctrl+C")
    parser.add_argument("--host", default="127.0.0.1", help="address of the server (127.0.0.1)")
    parser.add_argument("--port", type=int, help=f"port of the server; by default {PORT}, or a free one if it is taken")
    parser.add_argument("--model", help="name or path of the model")


def run(args: argparse.Namespace) -> int:
    """Runs the demo; 0 where frames were answered and the server stopped, else 1."""
    console = Console(highlight=False, soft_wrap=True)
    port = _free_port(args.host, (PORT, 0) if args.port is None else (args.port,))
    with tempfile.TemporaryDirectory(prefix="fetalseg-demo-") as folder, _terminable():
        console.print(f"Starting the server on {args.host}:{port} ...")
        with _server(args.host, port, args.model, Path(folder, "server.log")):
            console.print(f"Viewer:  [bold cyan]http://{args.host}:{port}/[/]   (open it in a browser)")
            console.print("[yellow]Research use only. Not a medical device.[/]")
            console.print(f"A console streams a real ultrasound cine, then a synthetic one, in turn, at {FPS:g} FPS.")
            console.print("The real one, from inside pydicom, shows an adult's heart: what is found in it is wrong.")
            if args.seconds is None:
                console.print("Ctrl+C ends the demo.")
            figures = stream_and_report(
                console,
                f"ws://{args.host}:{port}/v1/stream",
                _programme(),
                fps=FPS,
                seconds=args.seconds,
            )
    console.print(summary(figures, title=f"demo at {FPS:g} FPS for {figures.elapsed_s:.1f} s"))
    console.print("The server has stopped.")
    return 0 if figures.answered else 1


def _programme() -> Iterator[Any]:
    """The real and the synthetic cine in turn, without an end."""
    cine_file = client_module(CINE_MODULE)
    with open_source(REAL_CINE) as source:
        real = list(encoded_frames(source, codec="jpeg", quality=90, title="real"))
    synthetic = cine_file.read_cine(cine_file.BUILT_IN, source="synthetic")
    while True:
        for _ in range(REAL_TURNS):
            yield from real
        yield from synthetic


@contextlib.contextmanager
def _server(host: str, port: int, model: str | None, log: Path) -> Iterator[None]:
    """A server that is ready, in a process of its own; stopped with everything it started at the end.

    Raises:
        FetalsegError: it ended or wasn't ready in time; the text has its last words.
    """
    # Little is promised to each session: on two cores the viewer would find the only place taken by the demo's console.
    command = [sys.executable, "-m", "fetalseg.cli", "serve", "--host", host, "--port", str(port), "--session-fps", "5"]
    if model is not None:
        command += ["--model", model]
    with log.open("wb") as output, _child(command, output) as process:
        deadline = time.monotonic() + START_S
        while not _is_ready(f"http://{host}:{port}/readyz"):
            if process.poll() is not None:
                raise FetalsegError(f"the server ended with exit code {process.returncode}:\n{_last_words(log)}")
            if time.monotonic() > deadline:
                raise FetalsegError(f"the server was not ready within {START_S:g} s:\n{_last_words(log)}")
            time.sleep(0.1)
        yield


@contextlib.contextmanager
def _child(command: list[str], output: IO[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    """A process with a process group of its own: Ctrl+C reaches only us, and nothing it started outlives us."""
    process: subprocess.Popen[bytes] | None = None
    try:
        with _interrupts_held():
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
            )
        yield process
    finally:
        if process is not None:
            _stop(process)


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(STOP_S)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@contextlib.contextmanager
def _interrupts_held() -> Iterator[None]:
    """An interrupt waits until the end: none falls between the birth of a process and the moment it is known here.

    Raises:
        KeyboardInterrupt: at the end, if there was one.
    """
    held: list[int] = []
    with _handled(lambda number, frame: held.append(number)):
        yield
    if held:
        raise KeyboardInterrupt


@contextlib.contextmanager
def _terminable() -> Iterator[None]:
    """SIGTERM and a closed terminal end the demo as Ctrl+C does, so that the server never stays behind."""

    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    with _handled(interrupt):
        yield


@contextlib.contextmanager
def _handled(handler: Callable[[int, Any], object]) -> Iterator[None]:
    """What asks a program to end goes to `handler`, but for what is ignored, as under nohup."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    taken = {number: old for number, old in before.items() if old is not signal.SIG_IGN}
    for number in taken:
        signal.signal(number, handler)
    try:
        yield
    finally:
        for number, old in taken.items():
            signal.signal(number, old)


def _is_ready(url: str) -> bool:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # never through a proxy: it runs here
    try:
        with opener.open(url, timeout=2) as response:
            return bool(response.status == 200)
    except OSError:
        return False


def _free_port(host: str, ports: Sequence[int]) -> int:
    """The first of these ports that is free; 0 is any.

    Raises:
        FetalsegError: none is. Another server there would be taken for ours.
    """
    for port in ports:
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
            return int(probe.getsockname()[1])
    raise FetalsegError(f"can't listen at {host}:{ports[0]}: expected an address of this computer and a free port")


def _last_words(log: Path) -> str:
    lines = log.read_text(errors="replace").strip().splitlines()
    return "\n".join(lines[-12:]) or "(it said nothing)"
