"""A console in software: frames at an exact pace, answers measured.

The pace is a fixed grid of moments, so a late frame doesn't shift those after it. Frames are read and coded ahead in a
thread. Latency runs from handing a frame to the socket to having its whole answer.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import math
import queue
import threading
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from fetalseg_server.client import Answer, EncodedFrame, Lost, Reconnect, Result, StreamClient, Tls, connect
from fetalseg_server.options import SessionOptions

__all__ = ["Figures", "Latency", "looped", "run_console"]

FRAMES_AHEAD = 16  # coded and waiting, so that a slow read now and then doesn't break the pace
READ_S = 5.0  # how long reading one frame may take at the end of a stream
MAX_KEPT_BYTES = 256 * 1024 * 1024  # of a looped source; a longer one is read anew each time


@dataclass(frozen=True)
class Latency:
    """Percentiles in ms, from the socket to the whole answer."""

    p50: float
    p95: float
    p99: float
    max: float

    @classmethod
    def of(cls, latencies_ms: list[float]) -> Latency | None:
        """None without values."""
        if not latencies_ms:
            return None
        p50, p95, p99, most = np.percentile(latencies_ms, [50, 95, 99, 100]).tolist()
        return cls(p50, p95, p99, most)


@dataclass
class Figures:
    """What happened in a span of time: one second, or the whole run.

    Attributes:
        elapsed_s: length of the span.
        sent: frames handed to the socket.
        answered: frames that came back with a result.
        skipped: frames by the server's reason.
        dropped: frames given up here, because the window was full or the connection broken.
        lost: frames sent whose connection broke before the answer.
        reconnects: connections made anew, of the whole run.
        late: moments of the grid at which no frame was ready in time.
        latency: of the results, None without any.
        structures: results in which each structure was seen.
        views: results by view.
        source: what the newest frame shows.
        model_structures: names of all that the model finds, in id order.
    """

    elapsed_s: float = 0.0
    sent: int = 0
    answered: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    dropped: int = 0
    lost: int = 0
    reconnects: int = 0
    late: int = 0
    latency: Latency | None = None
    structures: Counter[str] = field(default_factory=Counter)
    views: Counter[str] = field(default_factory=Counter)
    source: str = ""
    model_structures: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """All figures by name, ready for JSON."""
        counters = {name: dict(getattr(self, name)) for name in ("skipped", "structures", "views")}
        return {**vars(self), **counters, "latency": asdict(self.latency) if self.latency else None}


class _Tally:
    """Counts into the second that runs and into the whole."""

    def __init__(self, model_structures: tuple[str, ...]) -> None:
        self.started = self._second_started = time.monotonic()
        self._model_structures = model_structures
        # The second, the whole.
        self._spans = (Figures(model_structures=model_structures), Figures(model_structures=model_structures))
        self._latencies_ms: tuple[list[float], list[float]] = ([], [])

    def sent(self, frame: EncodedFrame, *, dropped: bool, late: int) -> None:
        for span in self._spans:
            span.late += late
            span.source = frame.source
            if dropped:
                span.dropped += 1
            else:
                span.sent += 1

    def answered(self, answer: Answer) -> None:
        for span, latencies_ms in zip(self._spans, self._latencies_ms, strict=True):
            if isinstance(answer, Result):
                span.answered += 1
                latencies_ms.append(answer.latency_ms)
                span.structures.update({found.structure for found in answer.instances})
                if answer.view:
                    span.views[answer.view[0]] += 1
            elif isinstance(answer, Lost):
                span.lost += 1
            else:
                span.skipped[answer.reason] += 1

    def end_second(self) -> Figures:
        """The second that ran; another begins."""
        now = time.monotonic()
        second, whole = self._spans
        second.elapsed_s = now - self._second_started
        second.latency = Latency.of(self._latencies_ms[0])
        self._spans = (Figures(source=second.source, model_structures=self._model_structures), whole)
        self._latencies_ms = ([], self._latencies_ms[1])
        self._second_started = now
        return second

    def whole(self, client: StreamClient) -> Figures:
        whole = self._spans[1]
        whole.reconnects = client.reconnects
        whole.elapsed_s = time.monotonic() - self.started
        whole.latency = Latency.of(self._latencies_ms[1])
        return whole


async def run_console(
    url: str,
    frames: Iterable[EncodedFrame],
    *,
    fps: float,
    seconds: float | None = None,
    token: str | Path | None = None,
    tls: Tls | None = None,
    options: SessionOptions | None = None,
    reconnect: Reconnect | None = None,
    on_second: Callable[[Figures], None] = lambda figures: None,
    stop: asyncio.Event | None = None,
) -> Figures:
    """Streams frames at `fps` until they end, the time is over or `stop` is set; then waits for the last answers.

    Args:
        url: of the stream.
        frames: read in a thread.
        fps: moments a second, above 0.
        seconds: at most so long; None until the frames end.
        token: of the server, if it wants one; see `connect`, also for the next one.
        tls: certificates.
        options: of the session.
        reconnect: how a broken connection is made anew; None ends the run with an error instead.
        on_second: told the figures of each second.
        stop: ends the stream early when it is set.

    Returns:
        The figures of the whole run.

    Raises:
        ConnectionFailedError, StreamError: see `fetalseg_server.client.connect`.
        Exception: whatever reading the frames raises.
    """
    feeder = _Feeder(frames)
    try:
        # Before connecting: a source that can't be read shall not cost the server a session.
        first = await feeder.next()
        moments = math.inf if seconds is None else round(seconds * fps)
        async with connect(url, token=token, tls=tls, options=options, reconnect=reconnect) as client:
            tally = _Tally(tuple(client.ready.model["structures"]))
            pace = _pace(client, tally, feeder, first, fps=fps, moments=moments)
            await _stream(client, tally, pace, on_second, stop or asyncio.Event())
            return tally.whole(client)
    finally:
        feeder.stop()


async def _stream(
    client: StreamClient,
    tally: _Tally,
    pace: Coroutine[Any, Any, None],
    on_second: Callable[[Figures], None],
    stop: asyncio.Event,
) -> None:
    """Sends, receives and reports until the frames have their last answers."""
    pacing = asyncio.create_task(pace)
    receiving = asyncio.create_task(_receive(client, tally))
    reporting = asyncio.create_task(_report(tally, on_second))
    stopping = asyncio.create_task(stop.wait())
    tasks = (pacing, receiving, reporting, stopping)
    try:
        await asyncio.wait([pacing, receiving, stopping], return_when=asyncio.FIRST_COMPLETED)
        if pacing.done():
            pacing.result()
        pacing.cancel()
        if not receiving.done():
            await client.bye()
        await receiving  # if the session ended under us, its error says why
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _pace(
    client: StreamClient, tally: _Tally, feeder: _Feeder, frame: EncodedFrame | None, *, fps: float, moments: float
) -> None:
    """Sends frame k at k / fps after the start, while k is below `moments`."""
    started = time.monotonic()
    moment = 0
    while frame is not None and moment < moments:
        wait_s = started + moment / fps - time.monotonic()
        if wait_s > 0:
            await asyncio.sleep(wait_s)
        # A console doesn't send in a burst what it missed: moments that are over are left out.
        late = int(min(max(0, -wait_s * fps), moments - moment - 1))
        moment += 1 + late
        sequence = await client.send(frame, capture_time_us=time.monotonic_ns() // 1000)
        tally.sent(frame, dropped=sequence is None, late=late)
        frame = await feeder.next()


async def _receive(client: StreamClient, tally: _Tally) -> None:
    async for answer in client:
        tally.answered(answer)


async def _report(tally: _Tally, on_second: Callable[[Figures], None]) -> None:
    for second in itertools.count(1):
        await asyncio.sleep(tally.started + second - time.monotonic())
        on_second(tally.end_second())


class _Feeder:
    """Takes frames from an iterable in a thread of its own, a few ahead."""

    def __init__(self, frames: Iterable[EncodedFrame]) -> None:
        self._queue: queue.Queue[EncodedFrame | BaseException | None] = queue.Queue(FRAMES_AHEAD)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(frames,), name="console frames", daemon=True)
        self._thread.start()

    async def next(self) -> EncodedFrame | None:
        """The next frame, None at the end.

        Raises:
            Exception: what the iterable raised.
        """
        try:
            item = self._queue.get_nowait()
        except queue.Empty:
            item = await asyncio.to_thread(self._queue.get)
        if isinstance(item, BaseException):
            raise item
        return item

    def stop(self) -> None:
        """Wakes a `next` that waits, and waits until the thread has read the frame that it is at.

        A thread inside OpenCV when the interpreter ends aborts the process; a camera that gives nothing is left.
        """
        self._stopped.set()
        with contextlib.suppress(queue.Full):
            self._queue.put_nowait(None)
        self._thread.join(READ_S)

    def _run(self, frames: Iterable[EncodedFrame]) -> None:
        last: BaseException | None = None
        try:
            for frame in frames:
                if not self._put(frame):
                    return
        except Exception as error:
            last = error
        self._put(last)

    def _put(self, item: EncodedFrame | BaseException | None) -> bool:
        while not self._stopped.is_set():
            try:
                self._queue.put(item, timeout=0.1)
            except queue.Full:
                continue
            return True
        return False


def looped(read: Callable[[], Iterable[EncodedFrame]]) -> Iterator[EncodedFrame]:
    """The frames of a source again and again; coded once if they fit into memory.

    Args:
        read: gives the source's frames from the start.
    """
    kept: list[EncodedFrame] | None = []
    kept_bytes = 0
    while True:
        count = 0
        for frame in read():
            count += 1
            yield frame
            if kept is not None:
                kept.append(frame)
                kept_bytes += len(frame.payload)
                if kept_bytes > MAX_KEPT_BYTES:
                    kept = None
        if count == 0:
            return
        if kept is not None:
            yield from itertools.cycle(kept)
