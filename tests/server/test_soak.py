"""The soak's measure of memory, and a short run of it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tracemalloc
from dataclasses import replace

import psutil
import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.typing import Subprotocol

from benchmarks.live.frames import Cine
from benchmarks.live.leaking_server import main as leaking_server
from benchmarks.live.memory_slope import Slope, second_half_slope
from benchmarks.live.served import ServedProcess
from benchmarks.live.usage import Footprint
from benchmarks.soak import Soak, growth, soak, verdict
from fetalseg_server.protocol import Connection, FrameHeader
from server.live import GRAY8, JPEG, RunningServer, encoded, frame, picture

MB = 1_000_000


def seen(bytes_per_frame: float, frames: int = 100_000) -> Soak:
    """A run whose server process grows so fast, from 100 MB, beside workers of 200 MB."""
    found = Soak(frames=list(range(0, frames + 1, frames // 100)))
    found.footprints = [Footprint(100 * MB + int(bytes_per_frame * n), 200 * MB, 1, 20, 4) for n in found.frames]
    return found


def test_the_slope_is_that_of_the_second_half() -> None:
    # The first half rises by 100 a frame and doesn't count; the second by 2.
    frames = range(0, 200, 10)
    memory = [100 * min(n, 95) + 2 * max(0, n - 95) for n in frames]
    slope = second_half_slope(frames, memory)
    assert slope.bytes_per_frame == pytest.approx(2)
    assert slope.margin == pytest.approx(0, abs=1e-9)
    assert slope.frames == 90  # 100 to 190


def test_the_margin_of_a_slope_is_that_of_a_line_through_ten_stretches() -> None:
    # Two samples a stretch, 4 and 0 in turn by stretch: x - mean = -4.5 .. 4.5 of a stretch of 2 frames.
    # sum of squares of x: 82.5 * 4 = 330; slope = sum(x y) / 330 = 2 * (-4.5 + 3.5 - 2.5 + ...) * 2 / 330 = -20 / 330.
    # Residuals: 10 * 4 - 400 / 330 = 38.788; error = sqrt(38.788 / 8 / 330) = 0.12121; times 2.306 = 0.27952.
    slope = second_half_slope(range(20, 40), [4, 4, 0, 0] * 5)
    assert slope.bytes_per_frame == pytest.approx(-20 / 330)
    assert slope.margin == pytest.approx(0.27952, abs=1e-4)


def test_too_few_samples_are_no_slope() -> None:
    with pytest.raises(ValueError, match="expected at least 10 samples in the second half, got 0"):
        second_half_slope([], [])


def test_memory_is_flat_up_to_ten_megabytes_in_a_hundred_thousand_frames() -> None:
    assert growth(Slope(100, 0, 50_000)) == "flat"
    assert growth(Slope(80, 20, 50_000)) == "flat"
    assert growth(Slope(101, 0, 50_000)) == "grows"


def test_a_slope_that_may_lie_on_either_side_decides_nothing() -> None:
    assert growth(Slope(80, 21, 50_000)) == "too short to tell"
    assert growth(Slope(120, 30, 50_000)) == "too short to tell"


def test_one_step_of_an_allocator_in_a_short_run_is_not_taken_for_a_leak() -> None:
    # Half a megabyte in the middle of the second half of 14,000 frames looks like more than 100 bytes a frame.
    frames = range(0, 14_001, 35)
    slope = second_half_slope(frames, [100 * MB + (MB // 2 if n > 10_500 else 0) for n in frames])
    assert slope.bytes_per_frame > 100
    assert growth(slope) == "too short to tell"
    # The same step in a run of 100,000 frames is nothing.
    frames = range(0, 100_001, 250)
    assert growth(second_half_slope(frames, [100 * MB + (MB // 2 if n > 75_000 else 0) for n in frames])) == "flat"


def test_a_flat_run_passes_only_beside_a_control_run_whose_leak_was_seen() -> None:
    assert verdict(seen(5), seen(1024)) == "pass"
    assert verdict(seen(5), None) == "pass"
    assert verdict(seen(5), seen(5)) == "FAIL"  # the leak was not seen
    assert verdict(seen(5), seen(1024, frames=5000)) == "undecided"  # it may be one
    assert verdict(seen(600), seen(1024)) == "FAIL"  # the server itself grows
    assert verdict(seen(110, frames=5000), seen(1024)) == "undecided"


def test_a_flat_run_fails_by_an_unanswered_frame_a_fault_or_its_size() -> None:
    assert verdict(replace(seen(0), unanswered=1), None) == "FAIL"
    assert verdict(replace(seen(0), faults=["connection 3 ended with 4004, 0 frames unanswered"]), None) == "FAIL"
    assert verdict(seen(0), None, most_bytes=300 * MB) == "pass"  # 100 and 200 MB
    assert verdict(seen(0), None, most_bytes=299 * MB) == "FAIL"


def test_the_leaking_server_keeps_what_it_was_told_to_of_every_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FrameHeader, "parse", FrameHeader.parse)  # put back afterwards
    with pytest.raises(SystemExit):
        leaking_server(["1024", "--help"])
    connection = Connection()
    connection.receive_text('{"type":"hello"}')
    tracemalloc.start()
    try:
        for number in range(200):
            connection.receive_bytes(frame(number, b"", JPEG))
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept >= 200 * 1024


@pytest.mark.parametrize(("then", "end"), [("silence", None), ("1011", 1011)])
async def test_frames_without_an_answer_and_connections_that_end_badly_are_found(then: str, end: int | None) -> None:
    async def answers_once(socket: ServerConnection) -> None:
        await socket.recv()
        await socket.send(json.dumps({"type": "ready", "limits": {"window": 2}}))
        await socket.recv()
        await socket.send(json.dumps({"type": "result"}))
        if end is not None:
            await socket.close(end)
        await socket.wait_closed()

    cine = Cine(GRAY8, 1, 1, (b"a",))
    async with serve(answers_once, "127.0.0.1", 0, subprotocols=[Subprotocol("fetalseg.v1")]) as server:
        port = server.sockets[0].getsockname()[1]
        served = ServedProcess(f"http://127.0.0.1:{port}", os.getpid())
        found = await soak(served, [cine], frames=3, connections=1, parallel=1, patience_s=0.2)
    assert (found.outcomes, found.unanswered, found.connections) == ({"result": 1}, 2, 0)
    assert found.faults == [f"connection 0 ended with {end}, 2 frames unanswered"]


def test_a_benchmark_that_is_told_to_end_takes_its_server_with_it() -> None:
    command = [sys.executable, "-m", "benchmarks.soak", "--frames", "1000000", "--control-frames", "0"]
    command += ["--size", "160x120"]
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
