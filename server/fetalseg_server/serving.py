"""Runs the application with uvicorn, set up for live video, until a signal ends it in good order."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import uvicorn

from fetalseg.errors import EngineError
from fetalseg_server.app import create_app
from fetalseg_server.logs import configure_logs
from fetalseg_server.reloading import reload_everything
from fetalseg_server.service import Service
from fetalseg_server.settings import Settings
from fetalseg_server.transport.doorkeeper import Doorkeeper, parse_networks, socket_names
from fetalseg_server.transport.live_http import LiveHttp
from fetalseg_server.transport.tls import Certificates
from fetalseg_server.transport.websocket import LiveWebSocket

__all__ = ["LiveServer", "listen", "serve"]

log = logging.getLogger(__name__)

_MESSAGE_MARGIN = 64 * 1024  # above max_frame_bytes; beyond it a message ends the connection with 1009


def listen(settings: Settings) -> socket.socket:
    """A bound socket whose connections have small kernel buffers.

    Buffers are inherited by every connection that the socket accepts, and must be set before it listens. With the
    system's own sizes the kernel would hold up to half a minute of frames for a server that falls behind.

    Raises:
        ValueError: the address can't be had.
    """
    try:
        family, *_ = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, socket.SOCK_STREAM)
    except OSError as error:
        raise ValueError(f"can't resolve {settings.host}: {error.strerror}") from None
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, settings.receive_buffer_bytes)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, settings.send_buffer_bytes)
    try:
        listener.bind((settings.host, settings.port))
    except OSError as error:
        listener.close()
        raise ValueError(f"can't listen at {settings.host} port {settings.port}: {error.strerror}") from None
    return listener


def _certificates(settings: Settings) -> Certificates | None:
    if settings.tls_cert is None or settings.tls_key is None:
        return None
    client_ca = None if settings.tls_client_ca is None else Path(settings.tls_client_ca)
    return Certificates(Path(settings.tls_cert), Path(settings.tls_key), client_ca)


def _configuration(app: Callable[..., Any], settings: Settings) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=LiveHttp,
        ws=LiveWebSocket,
        ws_max_size=settings.max_frame_bytes + _MESSAGE_MARGIN,
        # JPEG doesn't shrink; deflating results costs more time than loopback and LAN save.
        ws_per_message_deflate=False,
        # A dead client is found by the protocol's idle rule and by blocked writes, each with a close code of its own.
        ws_ping_interval=None,
        # Who is called must be what connected, not what a header claims, unless a proxy of ours says so.
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=socket_names(parse_networks(settings.trusted_proxies)),
        server_header=False,
        access_log=False,
        log_config=None,
        lifespan="on",
        timeout_graceful_shutdown=2,
    )


class LiveServer(uvicorn.Server):
    """A uvicorn server that drains before it stops.

    uvicorn's own handler closes every WebSocket with 1012 before any application code runs, and answers in flight are
    lost. Here the first signal drains the sessions (see `Service.drain`), a second one ends at once.

    Args:
        settings: see there.
        on_ready: called once with the address when a model is warm.

    Raises:
        ValueError, ModelFileError: see `Service`, and certificates or proxies that can't be used.
    """

    def __init__(self, settings: Settings, on_ready: Callable[[str], None] | None = None) -> None:
        proxies = parse_networks(settings.trusted_proxies)
        self.certificates = _certificates(settings)
        self.doorkeeper = Doorkeeper(
            max_pending=settings.max_pending, proxies=proxies, tls=self.certificates is not None
        )
        self.service = Service(settings)
        self.service.metrics.watch_doorkeeper(self.doorkeeper)
        self.address = ""
        self._settings = settings
        self._on_ready = on_ready
        self._drain: asyncio.Task[None] | None = None
        self._reload: asyncio.Task[None] | None = None
        super().__init__(_configuration(create_app(self.service), settings))

    async def serve_until_stopped(self) -> None:
        """Listens, says so when ready, and returns after a drain.

        Raises:
            ValueError: the address can't be had.
            EngineError: the model can't be loaded.
        """
        self._loop = asyncio.get_running_loop()
        listener = listen(self._settings)
        host, port = listener.getsockname()[:2]
        scheme = "http" if self.certificates is None else "https"
        self.address = f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"
        announce = asyncio.create_task(self._announce())
        if threading.current_thread() is threading.main_thread():
            self._loop.add_signal_handler(signal.SIGHUP, self._on_hangup)
        try:
            await self.serve(sockets=[listener])
        finally:
            announce.cancel()
            await asyncio.gather(announce, return_exceptions=True)
            listener.close()
        if self.service.failure is not None:
            raise EngineError(str(self.service.failure))

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listens as uvicorn would, with `LiveHttp` and with a bound on the TLS handshake (the library's is 60 s)."""
        assert sockets is not None
        await self.lifespan.startup()
        context = None if self.certificates is None else self.certificates.context
        for listener in sockets:
            self.servers = [
                await self._loop.create_server(
                    self._connection,
                    sock=listener,
                    ssl=context,
                    ssl_handshake_timeout=None if context is None else self._settings.request_timeout_s,
                    backlog=self.config.backlog,
                )
            ]
        self.started = True

    def _connection(self) -> LiveHttp:
        return LiveHttp(
            config=self.config,
            server_state=self.server_state,
            app_state=self.lifespan.state,
            doorkeeper=self.doorkeeper,
            timeout_s=self._settings.request_timeout_s,
        )

    async def _announce(self) -> None:
        await self.service.started.wait()
        if self.service.failure is not None:
            self.should_exit = True
        elif self._on_ready is not None:
            self._on_ready(self.address)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Takes SIGTERM and SIGINT."""
        self._loop.call_soon_threadsafe(self.begin_drain)

    def begin_drain(self) -> None:
        """Starts to end in good order; called again, ends at once. To be called on the server's event loop."""
        if self._drain is None:
            self._drain = asyncio.ensure_future(self._drain_and_exit())
        else:
            self.should_exit = self.force_exit = True

    def begin_reload(self) -> None:
        """Reads the files again that may change while sessions go on; what becomes of it is in the log."""
        if self._reload is not None and not self._reload.done():
            log.warning("nothing is reloaded: the reload before is still going on")
            return
        self._reload = asyncio.ensure_future(reload_everything(self.service, self.certificates))

    def _on_hangup(self) -> None:
        """In a terminal SIGHUP says that it was closed, and the server must not stay behind."""
        if os.isatty(0):
            self.begin_drain()
        else:
            self.begin_reload()

    async def _drain_and_exit(self) -> None:
        try:
            await self.service.drain()
        finally:
            self.should_exit = True


def serve(settings: Settings, on_ready: Callable[[str], None] | None = None) -> None:
    """Runs a server in this process until SIGTERM or SIGINT.

    Args:
        settings: see there.
        on_ready: called once with the address, "http://127.0.0.1:8420" or "https://...", when a model is warm.

    Raises:
        ValueError, ModelFileError, EngineError: why it can't start; the text can be shown to a user.
    """
    configure_logs(settings.log_format, settings.log_level)
    server = LiveServer(settings, on_ready)
    with asyncio.Runner(loop_factory=server.config.get_loop_factory()) as runner:
        runner.run(server.serve_until_stopped())
