"""Consoles in processes of their own, so that what they cost isn't the server's, nor one another's."""

from __future__ import annotations

import asyncio
import gc
import multiprocessing
import random
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

from benchmarks.live.console import ConsoleLog, Timetable, precise_loop, stream
from benchmarks.live.frames import Cine
from benchmarks.live.wire import RefusedError, session
from fetalseg.errors import FetalsegError

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

    def __init__(self, ready: Mapping[str, Any], pipes: list[Connection], seconds: float) -> None:
        self.ready = ready
        self._pipes = pipes
        self._seconds = seconds

    def start(self) -> float:
        """Gives the start; returns its moment, on the monotonic clock."""
        start = time.monotonic() + _LEAD_S
        for pipe in self._pipes:
            pipe.send(start)
        return start

    def logs(self) -> list[ConsoleLog]:
        """Waits for the end; one log for each console.

        Raises:
            FetalsegError: a console failed or hangs.
        """
        return [_expect(pipe, self._seconds + _SPARE_S) for pipe in self._pipes]


@contextmanager
def consoles(plan: StreamPlan, count: int) -> Iterator[Fleet]:
    """Starts consoles, one after another; they are gone when the block ends.

    Raises:
        RefusedError: the server doesn't want one of them.
        FetalsegError: one of them can't reach the server.
    """
    context = multiprocessing.get_context("spawn")  # a fork would copy what the parent's threads hold
    pipes: list[Connection] = []
    processes: list[BaseProcess] = []
    try:
        for number in range(count):
            ours, theirs = context.Pipe()
            process = context.Process(target=_run_console, args=(_own(plan, number), theirs), daemon=True)
            process.start()
            theirs.close()
            pipes.append(ours)
            processes.append(process)
        greetings = [_expect(pipe, _CONNECT_S) for pipe in pipes]
        yield Fleet(greetings[0], pipes, plan.timetable.seconds)
    finally:
        for running in processes:
            running.terminate()
            running.join()
        for pipe in pipes:
            pipe.close()


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
        try:
            runner.run(_console(plan, pipe))
        except Exception as error:
            pipe.send(error if isinstance(error, RefusedError) else FetalsegError(f"{type(error).__name__}: {error}"))


async def _console(plan: StreamPlan, pipe: Connection) -> None:
    async with session(plan.url, plan.options, token=plan.token) as (socket, ready):
        pipe.send(ready)
        start = await asyncio.to_thread(pipe.recv)
        gc.freeze()  # nothing of the start is looked through again while frames travel
        window = ready["limits"]["window"] if plan.window is None else plan.window
        labelmaps = plan.options.get("masks") == "labelmap"
        log = await stream(socket, plan.cine, plan.timetable, start=start, window=window, labelmaps=labelmaps)
    pipe.send(log)


def _expect(pipe: Connection, timeout_s: float) -> Any:
    if not pipe.poll(timeout_s):
        raise FetalsegError(f"a console said nothing for {timeout_s:g} s")
    try:
        said = pipe.recv()
    except EOFError:
        raise FetalsegError("a console's process ended without a word") from None
    if isinstance(said, Exception):
        raise said
    return said
