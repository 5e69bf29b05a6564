"""The soak's measure of memory, and a short run of it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import psutil
import pytest

from benchmarks.live.frames import Cine
from benchmarks.live.memory_slope import second_half_slope
from benchmarks.live.served import ServedProcess
from benchmarks.live.usage import Footprint
from benchmarks.soak import Soak, is_flat, passes, soak
from server.live import GRAY8, JPEG, RunningServer, encoded, picture

MB = 1_000_000


def seen(bytes_per_frame: float) -> Soak:
    """A run whose server process grows so fast."""
    found = Soak(frames=list(range(0, 100_001, 1000)))
    found.footprints = [Footprint(100 * MB + int(bytes_per_frame * n), 200 * MB, 1, 20, 4) for n in found.frames]
    return found


def test_the_slope_is_that_of_the_second_half() -> None:
    # The first half rises by 100 a frame and doesn't count; the second by 2.
    frames = [0, 10, 20, 30, 40, 50, 60, 70, 80]
    memory = [0, 1000, 2000, 3000, 4000, 4020, 4040, 4060, 4080]
    slope = second_half_slope(frames, memory)
    assert slope.bytes_per_frame == pytest.approx(2)
    assert slope.error == pytest.approx(0, abs=1e-9)
    assert slope.samples == 5


def test_the_error_of_a_slope_is_that_of_least_squares() -> None:
    # x - mean = -1, 0, 1; y = 0, 3, 0: slope 0, residuals -1, 2, -1, so s^2 = 6 / (3 - 2), error = sqrt(6 / 2).
    slope = second_half_slope([2, 3, 4], [0, 3, 0])
    assert slope.bytes_per_frame == pytest.approx(0)
    assert slope.error == pytest.approx(3**0.5)


def test_too_few_samples_are_no_slope() -> None:
    with pytest.raises(ValueError, match="expected at least three samples in the second half, got 0"):
        second_half_slope([], [])


def test_a_flat_run_passes_only_beside_a_control_run_whose_leak_was_seen() -> None:
    assert passes(seen(5), seen(1024), leak=1024)
    assert not passes(seen(5), seen(300), leak=1024)  # the leak was not seen
    assert not passes(seen(600), seen(1024), leak=1024)  # the server itself grows
    assert is_flat(seen(100).slopes["server"])
    assert not is_flat(seen(101).slopes["server"])


def test_a_flat_run_with_an_unanswered_frame_fails() -> None:
    found = seen(0)
    found.unanswered = 1
    assert not passes(found, None, leak=1024)


def test_a_benchmark_that_is_told_to_end_takes_its_server_with_it() -> None:
    command = [sys.executable, "-m", "benchmarks.soak", "--frames", "1000000", "--control-frames", "0"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as benchmark:
        assert benchmark.stderr is not None
        assert "soak: 1000000 frames" in benchmark.stderr.readline()  # the server is ready
        started = psutil.Process(benchmark.pid).children(recursive=True)
        assert started
        benchmark.terminate()
        assert benchmark.wait(60) == 128 + signal.SIGTERM
    gone, alive = psutil.wait_procs(started, timeout=20)
    assert gone
    assert not alive


async def test_a_short_soak_answers_every_frame_on_every_connection(server: RunningServer) -> None:
    pixels = picture()
    cines = [
        Cine(JPEG, 0, 0, (encoded(pixels),)),
        Cine(GRAY8, 160, 120, (pixels.tobytes(),)),
    ]
    served = ServedProcess(server.http, os.getpid())
    found = await soak(served, cines, frames=120, connections=12, parallel=3)
    assert found.outcomes.total() == 120
    assert set(found.outcomes) <= {"result", "superseded"}
    assert (found.connections, found.broken_off, found.unanswered) == (11, 1, 0)
    assert found.frames == list(range(1, 121))
    assert found.footprints[0].server_rss > MB
    assert found.footprints[0].workers >= 1
