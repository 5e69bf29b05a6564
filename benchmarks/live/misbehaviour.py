"""Consoles that a server must survive, each bounded in count and in time, over loopback only.

Frames of a session that stays owe answers, and a misbehaving console checks its own as a good one does. Sessions that
it breaks itself owe nothing; the server may close them with any code of the protocol but never with 1011, which says
that the application failed.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from random import Random

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed, WebSocketException

from benchmarks.live.console import UNSENT, honest_clock, stream
from benchmarks.live.frames import Cine
from benchmarks.live.mutation import VALID_TEXTS, mutated, mutated_text, odd_text, valid_frame
from benchmarks.live.rude_connections import (
    Tally,
    Target,
    farewell,
    masked,
    raw_bytes,
    small_socket,
    tcp_bytes,
    whole_messages,
)
from benchmarks.live.wire import RefusedError, session
from fetalseg_server.messages import hello_message
from fetalseg_server.protocol import MAX_CAPTURE_TIME_US

__all__ = ["MISBEHAVIOURS", "Bounds", "Misbehaviour", "Tally", "Target"]

_FPS = 25
_LIFE_S = 8.0  # of a reader that reads badly, unless it is closed earlier


@dataclass(frozen=True)
class Bounds:
    """Where misbehaving ends, whichever comes first.

    Attributes:
        seconds: no new attempt begins afterwards.
        attempts: at most so many.
        pause_s: between two.
        seed: of all that is random.
    """

    seconds: float = 10.0
    attempts: int = 1000
    pause_s: float = 0.02
    seed: int = 0


Task = Callable[[Target, Bounds, Tally], Awaitable[None]]


@dataclass(frozen=True)
class Misbehaviour:
    """One way to misbehave.

    Attributes:
        name: for the table.
        run: does it.
        load: it also makes the engine work as a good console at 25 FPS does.
    """

    name: str
    run: Task
    load: bool


async def stalls(target: Target, bounds: Bounds, tally: Tally) -> None:
    """25 FPS for half a second, then silence for half a second."""
    moments = [k / _FPS for k in range(_frames(bounds)) if k % _FPS < _FPS // 2]
    await _stream(target, moments, tally, "frames with stalls", window=2)


async def bursts(target: Target, bounds: Bounds, tally: Tally) -> None:
    """A second's frames at once, every second, whatever the window is."""
    moments = [float(k // _FPS) for k in range(_frames(bounds))]
    await _stream(target, moments, tally, "frames in bursts", window=0)


async def clock_jumps(target: Target, bounds: Bounds, tally: Tally) -> None:
    """Capture times that stand, jump back, and go to the ends of what they can be."""
    random = Random(bounds.seed)

    def clock(moment: float) -> int:
        choices = (0, 1, MAX_CAPTURE_TIME_US, round(moment * 1e6), random.randrange(MAX_CAPTURE_TIME_US))
        return random.choice(choices)

    moments = [k / _FPS for k in range(_frames(bounds))]
    await _stream(target, moments, tally, "frames with wrong clocks", window=2, clock=clock)


async def half_sent(target: Target, bounds: Bounds, tally: Tally) -> None:
    """Messages and requests of which only the first half comes; then the connection is held for a while and broken."""
    random = Random(bounds.seed)
    for number in _attempts(bounds):
        message = target.cine.message(number)
        match number % 3:
            case 0:
                tally.did["half a frame"] += 1
                await raw_bytes(target, tally, masked(message)[: random.randrange(2, len(message))], greeted=True)
            case 1:
                tally.did["a first fragment"] += 1
                await raw_bytes(target, tally, masked(message, last=False), greeted=True)
            case _:
                tally.did["half a request"] += 1
                request = b"GET /v1/stream HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upg"
                await tcp_bytes(target, tally, request[: random.randrange(1, len(request))])
        await asyncio.sleep(bounds.pause_s)


async def reconnect_storm(target: Target, bounds: Bounds, tally: Tally) -> None:
    """Sessions that send one frame and vanish without a word."""
    for number in _attempts(bounds):
        tally.did["reconnect"] += 1
        try:
            async with session(target.url, {"masks": "none"}) as (connection, _):
                await connection.send(target.cine.message(number))
                connection.transport.abort()
            tally.closes["broken by the console"] += 1
        except RefusedError as error:
            tally.ended(error.close_code)
        except (OSError, WebSocketException) as error:
            tally.closes[type(error).__name__] += 1
        await asyncio.sleep(bounds.pause_s)


async def slow_reader(target: Target, bounds: Bounds, tally: Tally) -> None:
    """Sends at 25 FPS and reads five answers a second."""
    await _read_badly(target, bounds, tally, every_s=0.2)


async def dead_reader(target: Target, bounds: Bounds, tally: Tally) -> None:
    """Sends at 25 FPS and reads nothing."""
    await _read_badly(target, bounds, tally, every_s=None)


async def random_bytes(target: Target, bounds: Bounds, tally: Tally) -> None:
    """Noise and nearly right messages, on the socket, in the framing, before and after `hello`."""
    random = Random(bounds.seed)
    for number in _attempts(bounds):
        match number % 5:
            case 0:
                tally.did["noise for a request"] += 1
                await tcp_bytes(target, tally, random.randbytes(random.randrange(1, 2048)))
            case 1:
                tally.did["noise for framing"] += 1
                await raw_bytes(
                    target, tally, random.randbytes(random.randrange(1, 2048)), greeted=random.random() < 0.5
                )
            case 2:
                tally.did["noise for hello"] += 1
                await whole_messages(target, tally, [_noise(random)])
            case 3:
                tally.did["odd hello"] += 1
                await whole_messages(target, tally, [mutated_text(random.choice(VALID_TEXTS[:4]), random)])
            case _:
                tally.did["odd messages"] += 1
                await whole_messages(target, tally, [hello_message(), *_conversation(random)])
        await asyncio.sleep(bounds.pause_s)


MISBEHAVIOURS = (
    Misbehaviour("stalls", stalls, load=True),
    Misbehaviour("bursts", bursts, load=True),
    Misbehaviour("half-sent frames", half_sent, load=False),
    Misbehaviour("clock jumps", clock_jumps, load=True),
    Misbehaviour("reconnect storm", reconnect_storm, load=True),
    Misbehaviour("slow reader", slow_reader, load=True),
    Misbehaviour("dead reader", dead_reader, load=True),
    Misbehaviour("random bytes", random_bytes, load=False),
)


def _frames(bounds: Bounds) -> int:
    return max(1, min(bounds.attempts, round(bounds.seconds * _FPS)))


def _attempts(bounds: Bounds) -> Iterator[int]:
    end = time.monotonic() + bounds.seconds
    return itertools.takewhile(lambda _: time.monotonic() < end, range(bounds.attempts))


async def _stream(
    target: Target,
    moments: Sequence[float],
    tally: Tally,
    what: str,
    *,
    window: int,
    clock: Callable[[float], int] = honest_clock,
) -> None:
    """One session by an odd timetable or an odd clock, whose every frame must be answered."""
    async with session(target.url) as (connection, _):
        log = await stream(connection, target.cine, moments, start=time.monotonic(), window=window, clock=clock)
    tally.did[what] += len(moments)
    tally.outcomes.update(entry.outcome for entry in log.frames)
    tally.sent += sum(entry.sent == entry.sent for entry in log.frames)  # NaN where it never was
    tally.faults += log.faults
    if tally.outcomes[UNSENT]:
        tally.faults.append(f"the session ended with {log.close_code} before its last frame")
    tally.ended(log.close_code)


async def _read_badly(target: Target, bounds: Bounds, tally: Tally, *, every_s: float | None) -> None:
    """Lives of a console that sends at 25 FPS and reads an answer now and then, or never; then it comes back."""
    end = time.monotonic() + bounds.seconds
    while time.monotonic() < end:
        tally.did["session"] += 1
        try:
            async with (
                small_socket(target) as small,
                session(target.url, {"masks": "labelmap"}, sock=small, max_queue=1, close_timeout=1) as (connection, _),
            ):
                reading = asyncio.create_task(_read_now_and_then(connection, every_s))
                await _send_until(connection, target.cine, tally, min(end, time.monotonic() + _LIFE_S), bounds)
                reading.cancel()
                await asyncio.wait([reading])
                await farewell(connection, tally)
        except RefusedError as error:
            tally.ended(error.close_code)
            await asyncio.sleep(bounds.pause_s)
        except (OSError, WebSocketException) as error:
            tally.closes[type(error).__name__] += 1


async def _send_until(connection: ClientConnection, cine: Cine, tally: Tally, end: float, bounds: Bounds) -> None:
    start = time.monotonic()
    for sequence in range(bounds.attempts):
        due = start + sequence / _FPS
        if due > end:
            return
        await asyncio.sleep(due - time.monotonic())
        try:
            await connection.send(cine.message(sequence))
        except ConnectionClosed:
            return
        tally.did["frame"] += 1


async def _read_now_and_then(connection: ClientConnection, every_s: float | None) -> None:
    if every_s is None:
        return
    try:
        while True:
            await connection.recv()
            await asyncio.sleep(every_s)
    except ConnectionClosed:
        return


def _conversation(random: Random) -> Iterator[str | bytes]:
    """Frames and texts that are right, nearly right, or noise."""
    sequence = 0
    for _ in range(random.randrange(1, 10)):
        sequence += random.randrange(1, 3)
        match random.randrange(5):
            case 0:
                yield valid_frame(sequence, random)
            case 1:
                yield mutated(valid_frame(sequence, random), random)
            case 2:
                yield mutated_text(random.choice(VALID_TEXTS), random)
            case 3:
                yield odd_text(random)
            case _:
                yield _noise(random)


def _noise(random: Random) -> str | bytes:
    data = random.randbytes(random.randrange(0, 512))
    return data if random.random() < 0.5 else data.decode("latin-1")
