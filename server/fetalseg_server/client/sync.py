"""The client for programs without an event loop: the same one, in a thread that has one."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterable, Iterator
from contextlib import AbstractAsyncContextManager, AbstractContextManager, contextmanager
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from fetalseg_server.client.answers import Answer, Ready
from fetalseg_server.client.clock import ClockEstimate
from fetalseg_server.client.endpoint import Tls
from fetalseg_server.client.events import SessionState
from fetalseg_server.client.reconnect import Reconnect
from fetalseg_server.client.session import AnyFrame, StreamClient, connect
from fetalseg_server.options import SessionOptions
from fetalseg_server.protocol import FrameFlag

__all__ = ["SyncStreamClient", "connect_sync", "segment_frames"]

T = TypeVar("T")
P = ParamSpec("P")


class _LoopThread:
    """An event loop that runs in a thread of its own, so that answers and pings go on between two calls."""

    def __init__(self) -> None:
        self._runner = asyncio.Runner()
        self._loop = self._runner.get_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="fetalseg stream", daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Waits for a coroutine; an interrupt (Ctrl+C) cancels it."""
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        finally:
            future.cancel()

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._runner.close()


class SyncStreamClient:
    """A `StreamClient` whose methods wait; made by `connect_sync`.

    One thread may send while another one iterates.
    """

    def __init__(self, client: StreamClient, thread: _LoopThread) -> None:
        self._client = client
        self._thread = thread

    def send(
        self,
        frame: AnyFrame,
        *,
        capture_time_us: int = 0,
        flags: FrameFlag = FrameFlag(0),  # noqa: B008 - an immutable number
        wait: bool = False,
    ) -> int | None:
        """Sends one frame, or drops it (None) where there is no room; see `StreamClient.send`."""
        return self._thread.run(self._client.send(frame, capture_time_us=capture_time_us, flags=flags, wait=wait))

    def poll(self) -> list[Answer]:
        """The answers that have come and were not read yet, without waiting; see `StreamClient.poll`."""

        async def poll() -> list[Answer]:
            return self._client.poll()

        return self._thread.run(poll())

    def configure(self, **changes: Any) -> SessionOptions:
        """Changes options of the session; see `StreamClient.configure`."""
        return self._thread.run(self._client.configure(**changes))

    def bye(self) -> None:
        """Says that no frame follows; see `StreamClient.bye`."""
        self._thread.run(self._client.bye())

    def __iter__(self) -> Iterator[Answer]:
        return self

    def __next__(self) -> Answer:
        try:
            return self._thread.run(self._client.__anext__())
        except StopAsyncIteration:
            raise StopIteration from None

    @property
    def ready(self) -> Ready:
        """See `StreamClient.ready`."""
        return self._client.ready

    @property
    def options(self) -> SessionOptions:
        """See `StreamClient.options`."""
        return self._client.options

    @property
    def state(self) -> SessionState:
        """See `StreamClient.state`."""
        return self._client.state

    @property
    def clock(self) -> ClockEstimate | None:
        """See `StreamClient.clock`."""
        return self._client.clock

    @property
    def unanswered(self) -> int:
        """See `StreamClient.unanswered`."""
        return self._client.unanswered

    @property
    def sent(self) -> int:
        """See `StreamClient.sent`."""
        return self._client.sent

    @property
    def dropped(self) -> int:
        """See `StreamClient.dropped`."""
        return self._client.dropped

    @property
    def lost(self) -> int:
        """See `StreamClient.lost`."""
        return self._client.lost

    @property
    def reconnects(self) -> int:
        """See `StreamClient.reconnects`."""
        return self._client.reconnects

    @property
    def resumed(self) -> bool:
        """See `StreamClient.resumed`."""
        return self._client.resumed


def _waiting(
    connect: Callable[P, AbstractAsyncContextManager[StreamClient]],
) -> Callable[P, AbstractContextManager[SyncStreamClient]]:
    """Makes `connect_sync` of `connect`, with the same arguments."""

    @wraps(connect)
    @contextmanager
    def connect_and_wait(*args: P.args, **kwargs: P.kwargs) -> Iterator[SyncStreamClient]:
        thread = _LoopThread()
        try:
            session = connect(*args, **kwargs)
            client = thread.run(session.__aenter__())
            try:
                yield SyncStreamClient(client, thread)
            finally:
                thread.run(session.__aexit__(None, None, None))
        finally:
            thread.stop()

    return connect_and_wait


connect_sync = _waiting(connect)


def segment_frames(
    url: str,
    frames: Iterable[AnyFrame],
    *,
    token: str | Path | None = None,
    tls: Tls | None = None,
    options: SessionOptions | None = None,
    reconnect: Reconnect | None = Reconnect(),  # noqa: B008 - immutable
) -> Iterator[Answer]:
    """Streams a recording and yields the answer to every frame, in order.

    Nothing is dropped: a frame waits for room. Where a connection breaks, the frames in flight come as `Lost`.

    Raises:
        ConnectionFailedError, StreamError: as `connect` and `StreamClient.send`.
    """
    with connect_sync(url, token=token, tls=tls, options=options, reconnect=reconnect) as client:
        for frame in frames:
            client.send(frame, wait=True)
            yield from client.poll()
        client.bye()
        yield from client
