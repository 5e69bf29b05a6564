"""One worker process and its watchdog, where the machine makes it hard to start or to end one."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import subprocess
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fetalseg.errors import EngineError
from fetalseg_server.pool.calibration import probe
from fetalseg_server.pool.probe import Probe
from fetalseg_server.pool.process import WorkerProcess, restart_pause_s
from fetalseg_server.settings import Settings
from fetalseg_server.worker.jobs import Answer, EngineSettings


def worker_of(settings: Settings) -> WorkerProcess:
    return WorkerProcess(
        EngineSettings(model=settings.model, threads=1, max_pixels=settings.max_pixels),
        probe=Probe(settings.max_pixels, settings.max_frame_bytes),
        arena_bytes=settings.shared_memory_bytes,
        timeout_s=2.0,
        start_timeout_s=settings.start_timeout_s,
        on_change=lambda: None,
    )


@pytest.fixture
async def worker(crafted_settings: Settings, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[WorkerProcess]:
    """A worker that is warm, of a server with tokens in its environment."""
    monkeypatch.setenv("FETALSEG_TOKENS", "console:3f8c0b6a5d2e4f719c80b1d2e3f4a5b6")
    process = worker_of(crafted_settings)
    await process.start()
    yield process
    await process.stop()


def kill(worker: WorkerProcess) -> None:
    assert worker.pid is not None
    os.kill(worker.pid, signal.SIGKILL)


async def until(condition: Callable[[], bool]) -> None:
    """Returns as soon as the condition holds; the time only bounds a failing test."""
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.01)


async def test_a_worker_is_started_as_soon_as_the_machine_has_room_for_it(
    worker: WorkerProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[bool] = []

    class Popen(subprocess.Popen[bytes]):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            started.append(len(started) == 2)
            if not started[-1]:
                raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))
            super().__init__(*args, **kwargs)

    monkeypatch.setattr(subprocess, "Popen", Popen)
    kill(worker)
    await until(lambda: len(started) == 3 and worker.ready)
    assert worker.restarts == 3
    assert (await probe(worker)).outcome == "result"


@pytest.mark.filterwarnings("ignore:subprocess .* is still running:ResourceWarning")
async def test_nobody_waits_for_a_hanging_worker_that_cannot_even_be_killed(
    worker: WorkerProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    kill_process, stuck = subprocess.Popen.kill, worker.pid

    def kill_others(process: subprocess.Popen[bytes]) -> None:
        if process.pid != stuck:
            kill_process(process)

    def wait(process: subprocess.Popen[bytes]) -> int:
        raise AssertionError("this would hold up the event loop")

    monkeypatch.setattr(subprocess.Popen, "kill", kill_others)
    monkeypatch.setattr(subprocess.Popen, "wait", wait)
    assert stuck is not None
    os.kill(stuck, signal.SIGSTOP)
    try:
        assert (await probe(worker)).detail == "the engine stopped; it is being started again"
        await until(lambda: worker.ready)
        assert worker.pid != stuck
        assert (await probe(worker)).outcome == "result"
    finally:
        os.kill(stuck, signal.SIGKILL)


async def test_a_fault_of_who_takes_an_answer_skips_that_frame_and_the_worker_stays(
    worker: WorkerProcess, caplog: pytest.LogCaptureFixture
) -> None:
    pid, given = worker.pid, list[Answer]()

    def take(answer: Answer) -> None:
        given.append(answer)
        if answer.outcome == "result":
            raise KeyError("a mistake of the server")

    frame = Probe(640 * 480, 1024 * 1024)
    assert worker.submit(replace(frame.job(), output="message"), frame.payload, take)
    await until(lambda: len(given) == 2)
    assert [answer.outcome for answer in given] == ["result", "engine_error"]
    assert given[1].detail == "the server failed over the engine's answer"
    assert "KeyError: 'a mistake of the server'" in caplog.text
    assert (await probe(worker)).outcome == "result"
    assert (worker.pid, worker.restarts) == (pid, 0)


async def test_a_worker_whose_last_answers_nobody_can_take_is_started_again_all_the_same(worker: WorkerProcess) -> None:
    lost: list[str] = []

    def take(answer: Answer) -> None:
        lost.append(answer.detail)
        raise KeyError("a mistake of the server")

    assert worker.pid is not None
    os.kill(worker.pid, signal.SIGSTOP)
    frame = Probe(640 * 480, 1024 * 1024)
    assert worker.submit(frame.job(), frame.payload, take)
    kill(worker)
    await until(lambda: worker.restarts == 1 and worker.ready)
    assert lost == ["the engine stopped; it is being started again", "the server failed over the engine's answer"]


async def test_a_worker_that_never_worked_is_not_started_again(
    crafted_settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    process = worker_of(replace(crafted_settings, model="no-such-model"))
    with pytest.raises(EngineError, match="no-such-model"):
        await process.start()
    await until(lambda: process.pid is None)
    await process.stop()
    assert process.restarts == 0
    assert [record.getMessage().partition(":")[0] for record in caplog.records] == ["the engine can't start"]


async def test_a_worker_knows_no_token(worker: WorkerProcess) -> None:
    environment = Path(f"/proc/{worker.pid}/environ").read_bytes()
    assert b"OPENBLAS_NUM_THREADS=1" in environment
    assert b"FETALSEG_TOKENS" not in environment


@pytest.mark.parametrize(("failures", "pause_s"), [(0, 0.05), (1, 0.1), (6, 3.2), (7, 5.0), (5000, 5.0)])
def test_pauses_between_starts_double_up_to_a_bound(failures: int, pause_s: float) -> None:
    assert restart_pause_s(failures) == pytest.approx(pause_s)
