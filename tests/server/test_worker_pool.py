"""Several workers: who gets which, what one's end means for the others, and how full a server is."""

from __future__ import annotations

import asyncio
import os
import re
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from crafted_model import write_crafted_model

from fetalseg.errors import EngineError
from fetalseg_server.pool.calibration import probe
from fetalseg_server.pool.lane import Lane
from fetalseg_server.pool.pool import NoCapacityError, WorkerPool
from fetalseg_server.settings import Settings
from server.live import Client, RunningServer, encoded, picture, running
from server.test_http import JPEG_TYPE, ask

JPEG_BYTES = encoded(picture())


@pytest.fixture(scope="module")
def server(crafted_settings: Settings) -> Iterator[RunningServer]:
    with running(replace(crafted_settings, workers=2)) as live:
        yield live


def lanes(server: RunningServer) -> list[Lane]:
    return server.server.service.pool.lanes


def test_sessions_go_to_the_least_loaded_worker_and_stay(server: RunningServer) -> None:
    with Client(server.url, {}) as first, Client(server.url, {}) as second:
        assert [len(lane.seats) for lane in lanes(server)] == [1, 1]
        for sequence in (1, 2, 3):
            for client in (first, second):
                assert client.ask(sequence, JPEG_BYTES)["type"] == "result"
        assert [len(lane.seats) for lane in lanes(server)] == [1, 1]
    server.wait_until(lambda: not any(lane.seats for lane in lanes(server)))


def test_a_crashed_worker_concerns_its_own_sessions_only(server: RunningServer) -> None:
    with Client(server.url, {}) as first, Client(server.url, {}) as second:
        (worker, other) = (server.worker(0), server.worker(1))
        restarts = lanes(server)[0].worker.restarts
        worker.suspend()
        first.send_frame(1, JPEG_BYTES)
        assert second.ask(1, JPEG_BYTES)["type"] == "result"
        worker.kill()
        answer = first.receive()
        assert (answer["type"], answer["reason"]) == ("skipped", "engine_error")
        assert second.ask(2, JPEG_BYTES)["type"] == "result"
        server.wait_until(lambda: lanes(server)[0].worker.ready)
        assert first.ask(2, JPEG_BYTES)["type"] == "result"
        assert lanes(server)[0].worker.restarts == restarts + 1
        assert server.worker(1).pid == other.pid


def test_single_images_go_where_nothing_waits(server: RunningServer) -> None:
    with Client(server.url, {}) as client, server.engine_paused(0):
        client.send_frame(1, JPEG_BYTES)
        server.wait_until(lambda: lanes(server)[0].worker.in_flight == 1)
        for _ in range(3):
            assert ask(server, "POST", "/v1/segment", JPEG_BYTES, JPEG_TYPE).status == 200


def test_what_the_workers_do_is_in_the_metrics(server: RunningServer) -> None:
    with Client(server.url, {}) as client:
        client.ask(1, JPEG_BYTES)
        text = ask(server, "GET", "/metrics").body.decode()
    values = {name: float(value) for name, value in re.findall(r"^(fetalseg_\S+) (\S+)$", text, re.MULTILINE)}
    assert values['fetalseg_worker_ready{worker="0"}'] == values['fetalseg_worker_ready{worker="1"}'] == 1
    assert values['fetalseg_worker_sessions{worker="0"}'] + values['fetalseg_worker_sessions{worker="1"}'] == 1
    assert values['fetalseg_worker_capacity_fps{worker="1"}'] > 0
    assert values['fetalseg_rung_sessions{rung="0"}'] == 1
    assert values["fetalseg_batch_frames_count"] >= 1


def test_an_idle_worker_that_hangs_is_found_without_a_frame(crafted_settings: Settings) -> None:
    with running(replace(crafted_settings, probe_interval_s=1, engine_timeout_s=0.5)) as server:
        hanging = server.worker()
        hanging.suspend()
        server.wait_until(lambda: lanes(server)[0].worker.restarts == 1 and lanes(server)[0].worker.ready)
        assert not hanging.is_running()


def pool_of(settings: Settings, *, cost_ms: float) -> WorkerPool:
    """A pool that has not started, and knows what a frame costs."""
    pool = WorkerPool(settings, settings.model, lambda: None)
    for lane in pool.lanes:
        for rung in range(len(lane.rungs)):
            lane.load.cost.calibrate(rung, cost_ms)
    return pool


async def test_a_server_takes_as_many_sessions_as_it_can_serve(crafted_settings: Settings) -> None:
    pool = pool_of(replace(crafted_settings, workers=2), cost_ms=10.0)  # 2 x 85 frames a second
    seats = [pool.admit(25, 1) for _ in range(6)]
    assert [seat.lane.number for seat in seats] == [0, 1, 0, 1, 0, 1]
    with pytest.raises(NoCapacityError, match=r"150 of 170 frames a second are promised .* no worker has room for 25"):
        pool.admit(25, 1)
    seats[3].leave()
    assert pool.admit(25, 1).lane.number == 1
    await pool.stop()


async def test_the_first_session_is_taken_however_slow_the_machine_is(crafted_settings: Settings) -> None:
    pool = pool_of(crafted_settings, cost_ms=100.0)  # 8.5 frames a second
    seat = pool.admit(25, 1)
    with pytest.raises(NoCapacityError):
        pool.admit(5, 1)
    seat.leave()
    pool.admit(25, 1)
    await pool.stop()


async def test_workers_lend_each_other_what_they_leave_of_the_machine(crafted_settings: Settings) -> None:
    pool = pool_of(replace(crafted_settings, workers=3), cost_ms=50.0)  # 3 x 17 = 51 frames a second
    assert [pool.admit(25, 1).lane.number for _ in range(2)] == [0, 1]
    with pytest.raises(NoCapacityError):
        pool.admit(25, 1)
    await pool.stop()


async def test_with_a_ladder_the_last_rung_says_what_can_be_promised(crafted_settings: Settings) -> None:
    pool = pool_of(replace(crafted_settings, ladder=("detections=5", "half_rate")), cost_ms=20.0)
    pool.lanes[0].load.cost.calibrate(2, 10.0)
    for _ in range(6):  # 85 frames of 10 ms are worked on, which is every other one of 170
        pool.admit(25, 1)
    with pytest.raises(NoCapacityError):
        pool.admit(25, 1)
    await pool.stop()


def test_a_session_that_would_be_too_much_is_refused_and_those_that_are_here_stay(crafted_settings: Settings) -> None:
    with running(replace(crafted_settings, session_fps=1e6)) as server, Client(server.url, {}) as first:
        with Client(server.url) as second:
            second.send_json({"type": "hello"})
            error, code = second.end()
        assert error is not None
        assert (error["code"], code) == ("overloaded", 4003)
        assert re.search(r"1000000 of \d+ frames a second are promised to other sessions", error["message"])
        assert first.ask(1, JPEG_BYTES)["type"] == "result"


def test_the_weight_of_a_token_counts_for_what_is_promised(crafted_settings: Settings, tmp_path: Path) -> None:
    tokens = tmp_path / "tokens.toml"
    tokens.write_text('[heavy]\ntoken = "h"\nweight = 3\n[capped]\ntoken = "c"\nweight = 3\nmax_fps = 2\n')
    tokens.chmod(0o600)
    with running(replace(crafted_settings, tokens_file=str(tokens), session_fps=1.5)) as server:
        for token, promised in (("h", 4.5), ("c", 2)):
            with Client(server.url, {"token": token}):
                assert lanes(server)[0].promised_fps == promised
            server.wait_until(lambda: not lanes(server)[0].seats)


async def test_an_engine_that_loads_and_fails_at_the_probe_does_not_start(
    crafted_settings: Settings, tmp_path: Path
) -> None:
    model = write_crafted_model(tmp_path / "crafted.onnx", flaw="nan", flaw_above=20)  # warming up is with black frames
    pool = WorkerPool(crafted_settings, str(model), lambda: None)
    with pytest.raises(EngineError, match="can't answer a probe: the network returned scores that are not finite"):
        await pool.start()
    assert not pool.ready
    await pool.stop()


async def test_a_worker_that_cannot_be_brought_back_loses_its_sessions_to_the_others(
    crafted_settings: Settings, tmp_path: Path
) -> None:
    model = write_crafted_model(tmp_path / "crafted.onnx")
    pool = WorkerPool(replace(crafted_settings, workers=2), str(model), lambda: None)
    await pool.start()
    seat = pool.admit(1, 1)
    assert seat.lane is pool.lanes[0]
    model.write_bytes(b"no model any more")
    pid = pool.lanes[0].worker.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    async with asyncio.timeout(60):
        while seat.lane is pool.lanes[0]:
            await asyncio.sleep(0.05)
    assert seat.lane is pool.lanes[1]
    assert (await probe(seat.lane.worker)).outcome == "result"
    await pool.stop()
