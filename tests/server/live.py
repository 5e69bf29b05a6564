"""A real server on a free port, and a client that knows only the written protocol."""

from __future__ import annotations

import asyncio
import json
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import psutil
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from fetalseg_server.reloading import reload_everything
from fetalseg_server.serving import LiveServer
from fetalseg_server.settings import Settings

JPEG, PNG, GRAY8, RGB24 = 1, 2, 3, 4


class RunningServer:
    """A server in a thread of this process; its engine has a process of its own, as always."""

    def __init__(self, settings: Settings) -> None:
        self._ready = threading.Event()
        self.server = LiveServer(settings, on_ready=lambda address: self._ready.set())
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        assert self._ready.wait(60), "the server did not become ready"

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=self.server.config.get_loop_factory()) as runner:
            self._loop = runner.get_loop()
            runner.run(self.server.serve_until_stopped())

    @property
    def http(self) -> str:
        return self.server.address

    @property
    def host(self) -> str:
        return self.server.address.rpartition("/")[2]

    @property
    def url(self) -> str:
        return f"{self.server.address.replace('http', 'ws', 1)}/v1/stream"

    def worker(self, number: int = 0) -> psutil.Process:
        """An engine's process."""
        workers = [p for p in psutil.Process().children() if "fetalseg_server.worker" in p.cmdline()]
        pid = self.server.service.pool.lanes[number].worker.pid
        return next(p for p in workers if p.pid == pid)

    @contextmanager
    def engine_paused(self, number: int = 0) -> Iterator[None]:
        """Frames are received and wait, none is worked on."""
        worker = self.worker(number)
        worker.suspend()
        try:
            yield
        finally:
            worker.resume()

    def wait_until(self, condition: Callable[[], bool], timeout_s: float = 20.0) -> None:
        """Returns as soon as the condition holds; the time only bounds a failing test."""
        end = time.monotonic() + timeout_s
        while not condition():
            assert time.monotonic() < end, "it did not happen in time"
            time.sleep(0.01)

    def reload(self) -> None:
        """What SIGHUP does, and waits for its end."""
        again = reload_everything(self.server.service, self.server.certificates)
        asyncio.run_coroutine_threadsafe(again, self._loop).result(20)

    def begin_drain(self) -> None:
        """What SIGTERM does."""
        self._loop.call_soon_threadsafe(self.server.begin_drain)

    def stop(self) -> None:
        if self.server.service.draining:  # once more would end at once
            self._thread.join(30)
        else:
            self.begin_drain()
        self._thread.join(30)
        assert not self._thread.is_alive(), "the server did not stop"


@contextmanager
def running(settings: Settings) -> Iterator[RunningServer]:
    server = RunningServer(settings)
    try:
        yield server
    finally:
        server.stop()


class Client:
    """A console in a few lines, written from the specification."""

    def __init__(self, url: str, hello: dict[str, Any] | None = None, **connect_options: Any) -> None:
        options = {"subprotocols": ["fetalseg.v1"], "compression": None, "proxy": None, "max_size": None}
        self._open = ExitStack()
        self.socket: ClientConnection = self._open.enter_context(connect(url, **{**options, **connect_options}))
        self.ready: dict[str, Any] = {}
        if hello is not None:
            self.send_json({"type": "hello", **hello})
            self.ready = self.receive()
            assert self.ready["type"] == "ready", self.ready

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def send_json(self, message: dict[str, Any]) -> None:
        self.socket.send(json.dumps(message))

    def send_frame(self, sequence: int, payload: bytes, codec: int = JPEG, **fields: Any) -> None:
        self.socket.send(frame(sequence, payload, codec, **fields))

    def receive(self) -> dict[str, Any]:
        message = self.socket.recv(timeout=20)
        assert isinstance(message, str), message[:40]
        value = json.loads(message)
        assert isinstance(value, dict)
        return value

    def receive_bytes(self) -> bytes:
        message = self.socket.recv(timeout=20)
        assert isinstance(message, bytes), message
        return message

    def ask(self, sequence: int, payload: bytes, codec: int = JPEG, **fields: Any) -> dict[str, Any]:
        self.send_frame(sequence, payload, codec, **fields)
        return self.receive()

    def end(self) -> tuple[dict[str, Any] | None, int]:
        """The last message before the connection was closed, and the close code."""
        last: dict[str, Any] | None = None
        try:
            while True:
                last = self.receive()
        except ConnectionClosed as closed:
            if closed.rcvd is None:
                raise
            return last, closed.rcvd.code


def frame(
    sequence: int,
    payload: bytes,
    codec: int = JPEG,
    *,
    magic: bytes = b"FSG1",
    flags: int = 0,
    size: tuple[int, int] = (0, 0),
    time_us: int = 0,
) -> bytes:
    """One binary message; size is (width, height)."""
    return struct.pack("<4sBBHIHHQff", magic, 1, codec, flags, sequence, *size, time_us, 0.0, 0.0) + payload


def picture(height: int = 120, width: int = 160, *, color: bool = False, seed: int = 3) -> npt.NDArray[np.uint8]:
    """Soft random texture, gray or RGB."""
    noise = np.random.default_rng(seed).normal(90, 200, (height, width, 3) if color else (height, width))
    return np.clip(cv2.GaussianBlur(noise, (0, 0), 4) * 1.0, 0, 255).astype(np.uint8)


def encoded(pixels: npt.NDArray[Any], suffix: str = ".jpg") -> bytes:
    bgr = pixels[..., ::-1] if pixels.ndim == 3 else pixels
    done, data = cv2.imencode(suffix, np.ascontiguousarray(bgr))
    assert done
    return data.tobytes()
