"""uvicorn's HTTP, with the bounds that it lacks: nobody holds a connection by being slow, large or many."""

from __future__ import annotations

import asyncio
import functools
import json
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from fetalseg_server.access.security import SECURE_HEADERS
from fetalseg_server.transport.doorkeeper import Doorkeeper, Visit
from fetalseg_server.transport.websocket import LiveWebSocket

__all__ = ["MAX_HEAD_BYTES", "LiveHttp"]

# Request line and headers together. The parser has no limit of its own, and collects a header until its line ends.
MAX_HEAD_BYTES = 16 * 1024
# Requests that wait behind one that is being answered; browsers send none so.
_MAX_PIPELINED = 8
# Bytes that a slow reader takes in each time-out at least: a report of many megabytes may take its time, a stranger's
# drop by drop may not.
_LEAST_TAKEN = 64 * 1024
_CODES = {
    400: ("bad_request", "this is no HTTP request"),
    408: ("timeout", "the request didn't arrive in time"),
    431: ("too_large", f"expected at most {MAX_HEAD_BYTES} bytes of request line and headers"),
}


class LiveHttp(HttpToolsProtocol):
    """One connection.

    - A request, its upgrade included, arrives within a time, or the connection ends with 408.
    - Its head has a largest size, else 431.
    - A reader that takes next to nothing of its answer for the same time is cut off.
    - Each address has a number of connections; see `Doorkeeper`.

    Args:
        doorkeeper: decides who may connect.
        timeout_s: for a request to arrive, and for a reader to take bytes.
    """

    def __init__(self, *args: Any, doorkeeper: Doorkeeper, timeout_s: float, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._doorkeeper = doorkeeper
        self._timeout_s = timeout_s
        self._visit: Visit | None = None
        self._arrival: asyncio.TimerHandle | None = None  # until the request is complete
        self._departure: asyncio.TimerHandle | None = None  # until the reader takes bytes
        self._in_head = True
        self._head_bytes = 0
        self._handed_over = False  # to a WebSocket

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Counts the connection, or ends it."""
        super().connection_made(transport)  # type: ignore[arg-type]
        self._visit = self._doorkeeper.enter(self.client[0] if self.client else "")
        if self._visit is None:
            self.transport.abort()
            return
        self.ws_protocol_class = functools.partial(LiveWebSocket, visit=self._visit)  # type: ignore[assignment]
        self._await_request()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        self._stop_timers()
        if self._visit is not None:
            self._visit.leave()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Takes bytes off the socket."""
        if self.transport.is_closing():
            return
        super().data_received(data)
        if self._handed_over:
            return
        if self._in_head:
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES:
                self.send_400_response("")
        # A stray line end stops uvicorn's own timer between two requests, and starts none.
        if self._arrival is None and not self._busy and not self.transport.is_closing():
            self._await_request()

    def on_message_begin(self) -> None:
        """A request's first byte."""
        super().on_message_begin()
        assert self._visit is not None
        self.scope["state"]["vouch"] = self._visit.leave
        if len(self.pipeline) >= _MAX_PIPELINED:
            raise ValueError("too many requests at once")
        self._in_head = True
        self._head_bytes = 0
        if self._arrival is None:
            self._await_request()

    def on_url(self, url: bytes) -> None:
        """A piece of the request line."""
        self._count_head(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """A complete header."""
        self._count_head(len(name) + len(value) + len(b": \r\n"))
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The head is here; the application starts."""
        self._in_head = False
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """The request is here."""
        if self._arrival is not None:
            self._arrival.cancel()
            self._arrival = None
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """The answer is written, as far as the application is concerned."""
        super().on_response_complete()
        if self.transport.is_closing():
            self._expect_departure()

    def handle_websocket_upgrade(self) -> None:
        """The connection is handed over; from here on the WebSocket's own times count."""
        self._stop_timers()
        self._handed_over = True
        super().handle_websocket_upgrade()

    def send_400_response(self, msg: str) -> None:
        """Refuses what can't be read, or is too large to be."""
        self._refuse(431 if self._head_bytes > MAX_HEAD_BYTES else 400)

    def timeout_keep_alive_handler(self) -> None:
        """No further request came."""
        super().timeout_keep_alive_handler()
        self._expect_departure()

    def pause_writing(self) -> None:
        """The reader is slow."""
        super().pause_writing()
        self._expect_departure()

    def resume_writing(self) -> None:
        """The reader has caught up."""
        super().resume_writing()
        if self._departure is not None:
            self._departure.cancel()
            self._departure = None

    @property
    def _busy(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _count_head(self, count: int) -> None:
        self._head_bytes += count
        if self._head_bytes > MAX_HEAD_BYTES:
            raise ValueError("the head is too large")  # the parser stops, and `send_400_response` follows

    def _await_request(self) -> None:
        self._arrival = self.loop.call_later(self._timeout_s, self._refuse, 408)

    def _expect_departure(self) -> None:
        if self._departure is None:
            left = self.transport.get_write_buffer_size()
            self._departure = self.loop.call_later(self._timeout_s, self._depart, left)

    def _depart(self, left_before: int) -> None:
        self._departure = None
        if left_before - self.transport.get_write_buffer_size() >= _LEAST_TAKEN:
            self._expect_departure()
        else:
            self.transport.abort()

    def _refuse(self, status: int) -> None:
        if self.transport.is_closing():
            return
        if self._busy:
            # Another answer is under way, or the application waits for the rest of this request: no place for words.
            self.transport.abort()
            return
        code, message = _CODES[status]
        body = json.dumps({"error": {"code": code, "message": message}}).encode()
        headers = [
            *self.server_state.default_headers,
            *SECURE_HEADERS,
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
            (b"connection", b"close"),
        ]
        lines = b"".join(name + b": " + value + b"\r\n" for name, value in headers)
        self.transport.write(STATUS_LINE[status] + lines + b"\r\n" + body)
        self.transport.close()
        self._expect_departure()

    def _stop_timers(self) -> None:
        for timer in (self._arrival, self._departure):
            if timer is not None:
                timer.cancel()
        self._arrival = self._departure = None
