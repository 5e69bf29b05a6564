"""uvicorn's WebSocket, made fit for live video and for strangers in the places where it isn't.

Of uvicorn's implementations, `websockets-sansio` is the one to build on: it hands on every message as it is read (the
application here takes each at once, so nothing collects in the kernel), and it makes `send` wait for a slow reader.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.http11 import Request

from fetalseg_server.protocol import MAX_TEXT_BYTES
from fetalseg_server.transport.doorkeeper import Visit

__all__ = ["LiveWebSocket"]

_DISCARD_S = 2.0  # for the rest of a message that is refused
_CLOSE_S = 10.0  # for the other side's half of the closing handshake, or for a slow reader to find out why


class LiveWebSocket(WebSocketsSansIOProtocol):
    """One connection.

    - A message that is too large is refused with 1009, but closing a socket with unread bytes resets it, and the other
      side would never see the code: what it still sends is thrown away for a moment instead.
    - A close frame doesn't wait for a slow reader: the reader is what it is about.
    - A connection whose application has ended is cut off after a while, even if the other side reads nothing more.
    - An upgrade that can't be read is answered and closed, not kept.
    - Until the application vouches for the other side (`scope["state"]["vouch"]`), messages may only be as large as a
      `hello`, and the connection counts as pending.

    Args:
        visit: see `Doorkeeper`.
    """

    def __init__(self, *args: Any, visit: Visit, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.close_timeout = _CLOSE_S
        self._discarding = False
        self._visit = visit
        self.conn.max_message_size = min(MAX_TEXT_BYTES, self.config.ws_max_size)

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        self._visit.leave()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Takes bytes off the socket; the first ones are the whole upgrade."""
        if self._discarding:
            return
        super().data_received(data)
        if not self.handshake_initiated:
            self.transport.write(b"".join(self.conn.data_to_send()))
            self.transport.close()
            self.loop.call_later(_DISCARD_S, self.transport.abort)

    def handle_connect(self, event: Request) -> None:
        """Takes the upgrade; the application starts at the next turn of the event loop."""
        super().handle_connect(event)
        if self.response.status_code == 101:
            self.scope.setdefault("state", {})["vouch"] = self._vouched
        else:
            self.loop.call_later(_DISCARD_S, self.transport.abort)

    def handle_parser_exception(self) -> None:
        """Closes as the parser says: 1009 too large, 1002 broken framing, 1007 no UTF-8."""
        close = self.conn.close_sent
        assert close is not None
        self.queue.put_nowait({"type": "websocket.disconnect", "code": close.code, "reason": close.reason})
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        self._discarding = True
        if self.transport.can_write_eof():
            self.transport.write_eof()  # the other side needn't wait for more, and closes as soon as it has sent all
        self.transport.resume_reading()
        self.close_timer = self.loop.call_later(_DISCARD_S, self.transport.abort)

    async def send(self, message: Any) -> None:
        """Takes one ASGI message of the application."""
        if message["type"] == "websocket.close":
            self.writable.set()
        await super().send(message)

    def on_task_complete(self, task: asyncio.Task[None]) -> None:
        """The application has ended."""
        super().on_task_complete(task)
        self.loop.call_later(_CLOSE_S, self._cut_off)

    def _vouched(self) -> None:
        self._visit.leave()
        self.conn.max_message_size = self.config.ws_max_size

    def _cut_off(self) -> None:
        if not self.disconnected:
            self.transport.abort()
