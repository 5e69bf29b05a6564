"""Misbehaving consoles in their short mode: whatever they do, the console beside them gets all its answers.

The long mode, which also measures how late these answers are, is `python -m benchmarks.misbehaving`.
"""

from __future__ import annotations

import asyncio
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import replace

import pytest

from benchmarks.live.console import RESULT, UNANSWERED, UNSENT, ConsoleLog, FrameLog, Timetable, stream
from benchmarks.live.figures import Budget
from benchmarks.live.frames import Cine
from benchmarks.live.misbehaviour import MISBEHAVIOURS, Bounds, Misbehaviour, Tally, Target
from benchmarks.live.wire import session
from benchmarks.misbehaving import ALONE, BESIDE_A_GOOD_ONE, Case, passes, rows_of
from fetalseg_server.settings import Settings
from server.live import JPEG, RunningServer, encoded, picture, running

CINE = Cine(JPEG, 0, 0, tuple(encoded(picture(seed=seed)) for seed in range(3)))
TIMING = (1.0, 1.0, 1.0, 4.0, 1.0, 1.0, 10.0)  # queue, decode, preprocess, infer, postprocess, encode, total
BOUNDS = Bounds(seconds=0.8, attempts=25, pause_s=0.01, seed=1)


@pytest.fixture(scope="module")
def server(crafted_settings: Settings) -> Iterator[RunningServer]:
    """A server that gives up early on who doesn't read."""
    with running(replace(crafted_settings, write_timeout_s=0.3, send_buffer_bytes=4096)) as live:
        yield live


async def beside(server: RunningServer, kind: Misbehaviour) -> tuple[ConsoleLog, Tally]:
    """A well-behaved console and the misbehaving one at the same time."""
    tally = Tally()

    async def behave() -> ConsoleLog:
        moments = Timetable(fps=25, seconds=BOUNDS.seconds, jitter_ms=5).due_s()
        async with session(server.url) as (socket, ready):
            start = time.monotonic()
            return await stream(socket, CINE, moments, start=start, window=ready["limits"]["window"])

    log, _ = await asyncio.gather(behave(), kind.run(Target(server.url, CINE), BOUNDS, tally))
    return log, tally


@pytest.mark.parametrize("kind", MISBEHAVIOURS, ids=lambda kind: kind.name)
async def test_everything_is_answered_beside_a_misbehaving_console(server: RunningServer, kind: Misbehaviour) -> None:
    log, tally = await beside(server, kind)
    assert not log.faults
    assert log.close_code == 1000
    assert not {UNANSWERED, UNSENT} & {frame.outcome for frame in log.frames}
    assert tally.did.total() > 0
    assert tally.unanswered == 0
    assert not tally.faults
    await asyncio.to_thread(server.wait_until, lambda: not server.server.service.sessions)
    with urllib.request.urlopen(f"{server.http}/readyz") as response:
        assert response.status == 200


def seen(beside: str, *latencies_ms: float | None) -> Case:
    """A case of frames after the warm-up; None: superseded."""
    log = ConsoleLog([FrameLog(0.0, 0.0, 0.02, RESULT, 10.0, TIMING)])
    for number, latency in enumerate(latencies_ms):
        due, outcome = 10.0 + number, "superseded" if latency is None else RESULT
        log.frames.append(FrameLog(due, due, due + (latency or 1.0) / 1000, outcome, 10.0, TIMING))
    return Case(beside, [log], Tally())


def verdict(reader: Case) -> bool:
    return passes(rows_of([seen(ALONE, *[20.0] * 100), seen(BESIDE_A_GOOD_ONE, *[30.0] * 100), reader], Budget()))


def test_a_reader_may_move_the_p99_beside_it_by_a_fifth_of_that_beside_a_good_console() -> None:
    assert verdict(seen("dead reader", *[36.0] * 100))
    assert not verdict(seen("dead reader", *[36.1] * 100))
    assert verdict(seen("half-sent frames", *[100.0] * 100))  # no reader


def test_frames_without_a_result_count_against_a_reader_though_the_p99_stays() -> None:
    assert verdict(seen("slow reader", *[30.0] * 199, None))
    assert not verdict(seen("slow reader", *[30.0] * 197, None, None, None))
    assert not verdict(seen("slow reader", *[None] * 100))


def test_an_unanswered_frame_fails_the_run_even_during_the_warm_up() -> None:
    case = seen("stalls", *[30.0] * 100)
    assert verdict(case)
    case.logs[0].frames[0].outcome = UNANSWERED
    assert not verdict(case)


def test_misbehaving_stays_on_this_machine() -> None:
    with pytest.raises(ValueError, match=r"expected a server on the loopback, got console\.example"):
        Target("ws://console.example:8420/v1/stream", CINE)
