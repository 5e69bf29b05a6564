"""A TCP proxy between a client and a server that can be made as bad as a real line."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["BrokenLink"]


class BrokenLink:
    """Forwards bytes both ways, in threads.

    Attributes:
        port: to connect to.
        connections: how many came.
        target_port: where the next connection leads.
        cut_after: bytes from the client after which the connection is reset, None never.
        chunk: bytes that travel at a time.
    """

    def __init__(self, target_port: int) -> None:
        self.connections = 0
        self.cut_after: int | None = None
        self.chunk = 65536
        self.target_port = target_port
        self._flowing = threading.Event()
        self._flowing.set()
        self._open: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._refusing = False
        self._start(self._accept, self._listener)

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/v1/stream"

    def cut(self) -> None:
        """Resets all connections, as a pulled plug on the server's side does; new ones are still taken."""
        connections, self._open = self._open, []
        for connection in connections:
            with contextlib.suppress(OSError):
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()
        self._flowing.set()

    @contextmanager
    def stalled(self) -> Iterator[None]:
        """Nothing passes and nothing is said about it, as with a cable that was pulled."""
        self._flowing.clear()
        try:
            yield
        finally:
            self._flowing.set()

    @contextmanager
    def refusing(self) -> Iterator[None]:
        """Connections are cut, and new ones end before the first byte."""
        self._refusing = True
        self.cut()
        try:
            yield
        finally:
            self._refusing = False

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()
        for thread in self._threads:
            thread.join(10)
            assert not thread.is_alive()

    def _start(self, target: object, *arguments: object) -> None:
        thread = threading.Thread(target=target, args=arguments)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            self.connections += 1
            if self._refusing:
                client.close()
                continue
            try:
                server = socket.create_connection(("127.0.0.1", self.target_port))
            except OSError:  # nobody listens there just now
                client.close()
                continue
            for connection in (client, server):
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._open += [client, server]
            self._start(self._forward, client, server, True)
            self._start(self._forward, server, client, False)

    def _forward(self, source: socket.socket, target: socket.socket, upstream: bool) -> None:
        passed = 0
        with contextlib.suppress(OSError):
            while content := source.recv(65536):
                for start in range(0, len(content), self.chunk):
                    self._flowing.wait()
                    piece = content[start : start + self.chunk]
                    if upstream and self.cut_after is not None and passed + len(piece) > self.cut_after:
                        target.sendall(piece[: max(0, self.cut_after - passed)])
                        self.cut_after = None  # once
                        self.cut()
                        return
                    target.sendall(piece)
                    passed += len(piece)
        for connection in (source, target):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
