"""What the speed benchmarks are made of: turns, percentiles, intervals, made-up candidates, meters of energy."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from crafted_model import write_crafted_model

from benchmarks.speed.energy import Meter, ProcessorEnergy
from benchmarks.speed.gpu import Gpu, SampledPower, open_gpu
from benchmarks.speed.intervals import change
from benchmarks.speed.percentiles import percentiles
from benchmarks.speed.pipeline import Pipelined
from benchmarks.speed.stages import OneAfterAnother, batch_of, stage_times
from benchmarks.speed.stand_in import INSTANCES, stand_in_for
from benchmarks.speed.turns import Samples, Untimed, take_turns
from fetalseg.anatomy import structure_names
from fetalseg.errors import EngineError
from fetalseg.model_file import ModelFacts
from fetalseg.postprocess import PostprocessOptions, Postprocessor
from fetalseg.preprocess import FrameGeometry, InputRule
from fetalseg.segmenter import Segmenter


def test_contestants_take_turns_in_alternating_order_on_the_same_batches() -> None:
    order: list[str] = []

    def contestant(name: str) -> Callable[[range], dict[str, list[float]]]:
        def run(batches: range) -> dict[str, list[float]]:
            order.append(f"{name} {batches.start}..{batches.stop - 1}")
            return {"total": [float(len(batches))] * len(batches)}

        return run

    samples = take_turns(
        [contestant("a"), contestant("b")], [5, 2], blocks=2, warm_up=Untimed(9), settle=Untimed(batches=1)
    )

    # 5 batches in blocks of 2 and 3, 2 in blocks of 1 and 1; the second round goes backwards
    first_round = ["a -1..-1", "a 0..1", "b -1..-1", "b 0..0"]
    second_round = ["b 0..0", "b 1..1", "a 1..1", "a 2..4"]
    assert order == ["a -9..-1", "b -9..-1", *first_round, *second_round]
    assert samples[0].all("total") == [2, 2, 3, 3, 3]
    assert samples[0].medians("total") == [2, 3]


def test_a_contestant_alone_has_nothing_to_settle_after() -> None:
    ran: list[range] = []

    def contestant(batches: range) -> dict[str, list[float]]:
        ran.append(batches)
        return {"total": [1.0] * len(batches)}

    take_turns([contestant], [4], blocks=2, warm_up=Untimed(3), settle=Untimed(7))

    assert ran == [range(-3, 0), range(2), range(2, 4)]


def test_a_warm_up_goes_on_until_its_time_has_passed() -> None:
    calls: list[float] = []

    def contestant(batches: range) -> dict[str, list[float]]:
        calls.append(time.perf_counter())
        time.sleep(0.005)
        return {}

    Untimed(batches=1, seconds=0.05).run(contestant, before=0)

    assert len(calls) > 1
    assert time.perf_counter() - calls[0] >= 0.05


def test_energy_is_counted_in_timed_blocks_only() -> None:
    counted = 0.0

    def contestant(batches: range) -> dict[str, list[float]]:
        nonlocal counted
        counted += len(batches)
        return {"total": [1.0] * len(batches)}

    samples = take_turns(
        [contestant, contestant],
        [4, 6],
        blocks=2,
        warm_up=Untimed(100),
        settle=Untimed(10),
        meters=[lambda: counted, None],
    )

    assert (samples[0].joules, samples[1].joules) == (4, 0)
    assert samples[0].seconds > 0


def test_batches_repeat_the_frames_in_both_directions() -> None:
    frames = [np.full((1, 1), value, np.uint8) for value in range(3)]

    assert [int(frame[0, 0]) for frame in batch_of(frames, 2, 1)] == [2, 0]
    assert [int(frame[0, 0]) for frame in batch_of(frames, 2, -1)] == [1, 2]


def test_percentiles_beyond_which_no_measurement_lies_are_not_told() -> None:
    assert percentiles([3.0]) == {"p50": 3, "p95": None, "p99": None}
    assert percentiles(range(20)) == {"p50": 9.5, "p95": 18.05, "p99": None}  # 0.95 * 19
    assert percentiles(range(101)) == {"p50": 50, "p95": 95, "p99": 99}


def test_both_ways_find_the_same_in_frames_of_several_sizes(tmp_path: Path) -> None:
    frames = [np.full(shape, 60, np.uint8) for shape in ((48, 64), (30, 50), (64, 64))]
    with Segmenter.load(write_crafted_model(tmp_path / "crafted.onnx"), "onnxruntime", threads=1) as segmenter:
        plain = OneAfterAnother(segmenter, frames, batch=2)(range(3))
        piped = Pipelined(segmenter, frames, batch=2, finishers=2)(range(3))

    assert plain["instances"] == [2, 2, 2]
    parts = [plain[name] for name in plain if name not in ("total", "instances")]
    stages = [sum(values) for values in zip(*parts, strict=True)]
    assert stages == pytest.approx(plain["total"])
    assert piped["frames"] == [16], "at least 8 batches, those that fill the pipeline not among them"
    assert piped["seconds"][0] > 0


def test_blocks_that_are_alike_are_no_change() -> None:
    held = change([10, 11, 9, 10, 12, 10], [10, 9, 11, 12, 10, 10], paired=False)

    assert (held.before, held.after, held.ratio, held.verdict) == (10, 10, 1, "no change")


def test_twice_the_time_is_slower_and_half_is_faster() -> None:
    before, after = [10.0, 10.1, 9.9, 10.0, 10.2, 9.8], [20.0, 20.2, 19.8, 20.0, 20.4, 19.6]

    slower, faster = change(before, after, paired=True), change(after, before, paired=True)

    assert [slower.ratio, slower.low, slower.high] == pytest.approx([2, 2, 2])
    assert (slower.verdict, faster.verdict) == ("slower", "faster")


def test_pairs_see_through_noise_that_both_share() -> None:
    before = [10.0, 30.0, 12.0, 50.0, 11.0, 20.0]
    after = [value * 1.1 for value in before]

    assert change(before, after, paired=True).verdict == "slower"
    assert change(before, after, paired=False).verdict == "no change"


@pytest.mark.parametrize(("level", "blocks"), [(0.95, 6), (0.99, 8)])
def test_a_few_blocks_tell_nothing(level: float, blocks: int) -> None:
    few, enough = [1.0] * (blocks - 1), [1.0] * blocks

    assert change(few, [2.0] * 9, paired=False, level=level).verdict == "too few blocks"
    assert change(enough, [2.0] * 9, paired=False, level=level).verdict == "slower"


def test_a_stage_whose_time_the_clock_calls_nothing_is_no_division_by_it() -> None:
    held = change([0.0] * 6, [0.0] * 6, paired=True)

    assert (held.ratio, held.verdict) == (1, "no change")


def test_pairs_of_different_numbers_are_refused() -> None:
    with pytest.raises(ValueError, match="got 2 before and 3 after"):
        change([1, 1], [1, 1, 1], paired=True)


@pytest.mark.parametrize("prototypes", [32, 8])
@pytest.mark.parametrize("resize", ["letterbox", "stretch"])
def test_made_up_candidates_become_twelve_instances_of_one_and_a_half_frames(prototypes: int, resize: str) -> None:
    rule = InputRule(height=288, width=416, channels=1, resize=resize)  # type: ignore[arg-type]
    facts = ModelFacts(
        name="any",
        version="0",
        structures=structure_names(),
        input=rule,
        candidates=300,
        prototypes=(prototypes, 72, 104),
    )
    geometry = FrameGeometry.of((768, 1024), rule)

    candidates = stand_in_for(facts, geometry)
    candidates.check()
    found = Postprocessor(structure_names())(candidates, geometry, PostprocessOptions())

    assert len(found) == INSTANCES == 12
    areas = (found.boxes[:, 2] - found.boxes[:, 0]) * (found.boxes[:, 3] - found.boxes[:, 1])
    assert areas.sum() / (768 * 1024) == pytest.approx(1.5, abs=0.15)
    filled = [float(crop.mean()) for crop in found.crops]
    assert min(filled) > 0.3, "masks fill ellipses, about 0.79 of a box"


def _counter(folder: Path, zone: str, name: str, microjoules: int) -> Path:
    path = folder / zone
    path.mkdir(exist_ok=True)
    (path / "name").write_text(f"{name}\n")
    (path / "max_energy_range_uj").write_text("9999999\n")
    (path / "energy_uj").write_text(f"{microjoules}\n")
    return path / "energy_uj"


def test_energy_of_all_packages_is_added_up_past_the_end_of_a_counter(tmp_path: Path) -> None:
    first = _counter(tmp_path, "intel-rapl:0", "package-0", 9_000_000)
    second = _counter(tmp_path, "intel-rapl:1", "package-1", 0)
    _counter(tmp_path, "intel-rapl:0:0", "core", 5)

    meter = ProcessorEnergy(tmp_path)
    first.write_text("1000000\n")  # 1 J to the counter's end and one more from 0
    second.write_text("500000\n")

    assert meter.joules() == pytest.approx(2.5)
    second.write_text("1500000\n")
    assert meter.joules() == pytest.approx(3.5)


def test_power_is_told_where_blocks_are_long_enough_for_the_meter(caplog: pytest.LogCaptureFixture) -> None:
    samples = Samples(blocks=[{}, {}], seconds=4, joules=100)  # blocks of 2 s

    assert Meter(lambda: 0, shortest_s=2).watts(samples) == 25
    assert not caplog.text
    assert Meter(lambda: 0, shortest_s=3).watts(samples) is None
    assert "a block took 2 s, and the meter needs 3; remedy: more --frames" in caplog.text


def test_a_machine_without_counters_of_energy_is_an_error_of_the_system(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="no counter"):
        ProcessorEnergy(tmp_path)


def test_sampled_power_adds_up_to_energy() -> None:
    start = time.perf_counter()
    meter = SampledPower(lambda: 100.0)
    try:
        while meter.joules() == 0:
            assert time.perf_counter() - start < 60
            time.sleep(0.01)
        joules = meter.joules()
        seconds = time.perf_counter() - start
    finally:
        meter.close()

    assert 0 < joules <= 100 * seconds
    assert np.isfinite(joules)


def test_stages_of_an_engine_on_the_processor_add_up() -> None:
    times = stage_times([1, 10, 2, 3, 4], {"infer": 9})

    assert times == {"preprocess": 1, "infer": 10, "nms": 2, "masks": 3, "encode": 4, "total": 20}


def test_stages_of_an_engine_with_memory_of_its_own_add_up() -> None:
    times = stage_times([1, 10, 2, 3, 4], {"upload": 2, "infer": 5, "copy_back": 1})

    # what the call took besides, checking and widening what came back, belongs to copy_back
    assert times == {
        "preprocess": 1, "infer": 5, "upload": 2, "copy_back": 3, "nms": 2, "masks": 3, "encode": 4, "total": 20
    }  # fmt: skip


class _Nvml:
    """NVIDIA's management library as its documentation describes it: mJ, mW, bytes, and 13020 for CUDA 13.2."""

    class NVMLError(Exception):
        """As theirs."""

    def __init__(self, *, counts_energy: bool) -> None:
        self.counts_energy = counts_energy
        self.is_open = True
        self.asked_for = ""

    def nvmlInit(self) -> None:  # noqa: N802 - theirs
        self.is_open = True

    def nvmlDeviceGetHandleByPciBusId(self, address: str) -> object:  # noqa: N802
        self.asked_for = address
        return object()

    def nvmlDeviceGetName(self, handle: object) -> str:  # noqa: N802 - theirs
        return "NVIDIA H200"

    def nvmlSystemGetDriverVersion(self) -> str:  # noqa: N802
        return "580.65"

    def nvmlSystemGetCudaDriverVersion(self) -> int:  # noqa: N802
        return 13020

    def nvmlDeviceGetMemoryInfo(self, handle: object) -> SimpleNamespace:  # noqa: N802
        return SimpleNamespace(used=3 * 2**20)

    def nvmlDeviceGetTotalEnergyConsumption(self, handle: object) -> int:  # noqa: N802
        if not self.counts_energy:
            raise self.NVMLError
        return 5_000

    def nvmlDeviceGetPowerUsage(self, handle: object) -> int:  # noqa: N802
        return 200_000

    def nvmlShutdown(self) -> None:  # noqa: N802
        self.is_open = False


def test_a_gpu_tells_its_memory_and_energy() -> None:
    nvml = _Nvml(counts_energy=True)

    gpu = Gpu(nvml, object())

    assert str(gpu) == "NVIDIA H200, driver 580.65 (CUDA 13.2)"
    assert (gpu.memory_mb(), gpu.tells_power, gpu.joules()) == (3, True, 5)
    gpu.close()
    assert not nvml.is_open


def test_a_gpu_without_a_counter_of_energy_is_sampled() -> None:
    start = time.perf_counter()
    gpu = Gpu(_Nvml(counts_energy=False), object())
    while gpu.joules() == 0:
        assert time.perf_counter() - start < 60
        time.sleep(0.01)
    joules = gpu.joules()
    seconds = time.perf_counter() - start
    gpu.close()

    assert 0 < joules <= 200 * seconds


_DRIVER = """
#include <string.h>
int cuInit(unsigned flags) { return INIT; }
int cuDeviceGet(int *device, int ordinal) { *device = 7 + ordinal; return 0; }
int cuDeviceGetPCIBusId(char *text, int size, int device) {
    strncpy(text, device == 7 ? "0000:3B:00.0" : "another", size);
    return 0;
}
"""


def _driver(folder: Path, init: int) -> str:
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("a driver to ask needs a C compiler")
    source, library = folder / "driver.c", folder / f"watched-{init}.so"
    source.write_text(_DRIVER)
    subprocess.run([compiler, "-shared", "-fPIC", f"-DINIT={init}", "-o", library, source], check=True)
    return str(library)


def test_the_gpu_that_is_watched_is_the_first_that_cuda_shows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nvml = _Nvml(counts_energy=True)
    monkeypatch.setitem(sys.modules, "pynvml", nvml)  # type: ignore[arg-type]

    open_gpu(_driver(tmp_path, init=0)).close()

    assert nvml.asked_for == "0000:3B:00.0"


def test_a_driver_that_fails_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", _Nvml(counts_energy=True))  # type: ignore[arg-type]

    with pytest.raises(EngineError, match="error 803"):
        open_gpu(_driver(tmp_path, init=803))
    with pytest.raises(EngineError, match=r"can't be loaded: .*no-such-driver"):
        open_gpu("libno-such-driver.so.1")
