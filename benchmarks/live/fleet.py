"""Consoles in processes of their own, so that what they cost isn't the server's, nor one another's."""

from __future__ import annotations

import asyncio
import gc
import random
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection
from typing import Any

from benchmarks.live.apart import Apart
from benchmarks.live.console import ConsoleLog, Timetable, precise_loop, stream
from benchmarks.live.frames import Cine
from benchmarks.live.wire import session

__all__ = ["Fleet", "StreamPlan", "consoles"]

_CONNECT_S = 120.0  # for a console to start and be greeted, on a busy machine
_SPARE_S = 60.0  # beyond its timetable
_LEAD_S = 0.3  # between the last greeting and the first frame


@dataclass(frozen=True)
class StreamPlan:
    """What every console of a fleet does.

    Attributes:
        url: of the stream.
        cine: what is sent; each console begins at another frame.
        timetable: each console has its own phase and jitter.
        options: of `hello`.
        token: of `hello`.
        window: frames that may be unanswered; None as the server says.
    """

    url: str
    cine: Cine
    timetable: Timetable
    options: Mapping[str, Any] = field(default_factory=dict)
    token: str | None = None
    window: int | None = None


class Fleet:
    """Consoles that have been greeted and wait for the start.

    Attributes:
        ready: the server's greeting, as the first console got it.
    """

    def __init__(self, ready: Mapping[str, Any], members: list[Apart], seconds: float) -> None:
        self.ready = ready
        self._members = members
        self._seconds = seconds

    def start(self) -> float:
        """Gives the start; returns its moment, on the monotonic clock."""
        start = time.monotonic() + _LEAD_S
        for member in self._members:
            member.tell(start)
        return start

    def logs(self) -> list[ConsoleLog]:
        """Waits for the end; one log for each console.

        Raises:
            FetalsegError: a console failed or hangs.
        """
        return [member.hear(self._seconds + _SPARE_S) for member in self._members]


@contextmanager
def consoles(plan: StreamPlan, count: int) -> Iterator[Fleet]:
    """Starts consoles; they are gone when the block ends.

    Raises:
        RefusedError: the server doesn't want one of them.
        FetalsegError: one of them can't reach the server.
    """
    members: list[Apart] = []
    try:
        for number in range(count):
            members.append(Apart(_run_console, _own(plan, number)))  # noqa: PERF401 - each is ended, if the next fails
        greetings = [member.hear(_CONNECT_S) for member in members]
        yield Fleet(greetings[0], members, plan.timetable.seconds)
    finally:
        for member in members:
            member.end()


def _own(plan: StreamPlan, number: int) -> StreamPlan:
    """The plan of one console: consoles of a hospital don't keep step."""
    timetable, cine = plan.timetable, plan.cine
    phase_ms = random.Random(number).uniform(0, 1000 / timetable.fps) if number else 0.0
    first = number * len(cine.payloads) // 7 % len(cine.payloads)
    turned = replace(
        cine,
        payloads=cine.payloads[first:] + cine.payloads[:first],
        cuts=frozenset((cut - first) % len(cine.payloads) for cut in cine.cuts) | {0},
    )
    return replace(plan, cine=turned, timetable=replace(timetable, phase_ms=phase_ms, seed=timetable.seed + number))


def _run_console(plan: StreamPlan, pipe: Connection) -> None:
    """A console's process: greeted, it says so; told the start, it streams; at the end it hands its log over."""
    with asyncio.Runner(loop_factory=precise_loop) as runner:
        pipe.send(runner.run(_console(plan, pipe)))


async def _console(plan: StreamPlan, pipe: Connection) -> ConsoleLog:
    async with session(plan.url, plan.options, token=plan.token) as (socket, ready):
        pipe.send(ready)
        start = await asyncio.to_thread(pipe.recv)
        gc.freeze()  # nothing of the start is looked through again while frames travel
        window = ready["limits"]["window"] if plan.window is None else plan.window
        labelmaps = plan.options.get("masks") == "labelmap"
        due = plan.timetable.due_s()
        return await stream(socket, plan.cine, due, start=start, window=window, labelmaps=labelmaps)
