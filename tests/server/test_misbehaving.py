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

from benchmarks.live.console import UNANSWERED, UNSENT, ConsoleLog, Timetable, stream
from benchmarks.live.frames import Cine
from benchmarks.live.misbehaviour import MISBEHAVIOURS, Bounds, Misbehaviour, Tally, Target
from benchmarks.live.wire import session
from fetalseg_server.settings import Settings
from server.live import JPEG, RunningServer, encoded, picture, running

CINE = Cine(JPEG, 0, 0, tuple(encoded(picture(seed=seed)) for seed in range(3)))
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


def test_misbehaving_stays_on_this_machine() -> None:
    with pytest.raises(ValueError, match=r"expected a server on the loopback, got console\.example"):
        Target("ws://console.example:8420/v1/stream", CINE)
