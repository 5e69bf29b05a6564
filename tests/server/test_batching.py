from __future__ import annotations

import queue
from itertools import cycle
from pathlib import Path

import numpy as np
import pytest
from crafted_model import write_crafted_model

from fetalseg.candidates import Candidates
from fetalseg.errors import EngineError
from fetalseg_server.pool.probe import Probe
from fetalseg_server.worker.batching import fastest_batch, take_batch
from fetalseg_server.worker.jobs import EngineSettings
from fetalseg_server.worker.networks import Networks


class Machine:
    """A network whose batches take known times, and a clock that they move."""

    def __init__(self, times: dict[int, float | list[float]]) -> None:
        self.tried: list[int] = []
        self._times = {size: cycle([time] if isinstance(time, float) else time) for size, time in times.items()}
        self._now = 0.0

    def run(self, size: int) -> None:
        self.tried.append(size)
        self._now += next(self._times[size])

    def clock(self) -> float:
        return self._now


@pytest.mark.parametrize(
    ("times", "size"),
    [
        ({1: 12.0, 2: 24.2}, 1),
        ({1: 10.0, 2: 17.2}, 1),  # too little for frames to wait for each other
        ({1: 10.0, 2: 16.8, 4: 33.6}, 2),
        ({1: 10.0, 2: 12.0, 4: 16.0}, 4),
        ({1: 10.0, 2: 12.0, 4: 28.0}, 2),
        ({1: 10.0, 2: [12.0, 12.0, 12.0, 12.0, 19.0]}, 1),  # luck, four times in a row
    ],
)
def test_a_batch_is_used_only_where_it_saves_a_seventh_of_the_time_each_time(
    times: dict[int, float | list[float]], size: int
) -> None:
    machine = Machine(times)
    assert fastest_batch(machine.run, machine.clock) == size


def test_where_batches_do_not_pay_finding_out_takes_three_runs() -> None:
    machine = Machine({1: 12.0, 2: 24.0})
    fastest_batch(machine.run, machine.clock)
    assert machine.tried == [2, 2, 1]


def test_what_is_ready_is_taken_together_up_to_the_size_and_in_order() -> None:
    ready: queue.Queue[int] = queue.Queue()
    for number in range(5):
        ready.put(number)
    taken = [take_batch(ready, 2, lambda a, b: True) for _ in range(3)]
    assert taken == [([0, 1], None), ([2, 3], None), ([4], None)]


def test_what_does_not_belong_to_a_batch_comes_right_behind_it() -> None:
    ready: queue.Queue[int] = queue.Queue()
    for number in (1, 3, 4, 5):
        ready.put(number)
    both_odd = lambda a, b: a % 2 == b % 2 == 1  # noqa: E731
    assert take_batch(ready, 4, both_odd) == ([1, 3], 4)
    assert take_batch(ready, 4, both_odd) == ([5], None)


@pytest.fixture(scope="module")
def networks(tmp_path_factory: pytest.TempPathFactory) -> Networks:
    model = write_crafted_model(tmp_path_factory.mktemp("model") / "crafted.onnx", flaw="nan")
    return Networks(EngineSettings(str(model), "onnxruntime", threads=1, batch=3))


def test_a_frame_whose_output_is_bad_spoils_no_other_of_its_batch(networks: Networks) -> None:
    dark, bright = np.full((24, 32, 1), 50, np.uint8), np.full((24, 32, 1), 200, np.uint8)
    found = networks.infer([dark, bright, dark], Probe(4096, 4096).job())
    assert [type(one) for one in found] == [Candidates, EngineError, Candidates]
    for index in (0, 2):
        candidates = found[index]
        assert isinstance(candidates, Candidates)
        assert candidates.scores.max() == pytest.approx(0.9)


def test_frames_of_one_batch_come_back_in_order(default_model: Path) -> None:
    networks = Networks(EngineSettings(str(default_model), "onnxruntime", threads=1, batch=2))
    job = Probe(4096, 4096).job()
    frames = [networks.prepare(np.full((48, 64), level, np.uint8), job)[0] for level in (0, 90)]
    together, alone = networks.infer(frames, job), [networks.infer([frame], job)[0] for frame in frames]
    for first, second in zip(together, alone, strict=True):
        assert isinstance(first, Candidates)
        assert isinstance(second, Candidates)
        np.testing.assert_allclose(first.prototypes, second.prototypes, atol=1e-3)
    assert not np.allclose(together[0].prototypes, together[1].prototypes, atol=1e-1)  # type: ignore[union-attr]
