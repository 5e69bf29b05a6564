"""What the speed benchmarks are made of: turns, intervals, made-up candidates, meters of energy."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from benchmarks.speed.energy import ProcessorEnergy
from benchmarks.speed.gpu import Gpu, SampledPower
from benchmarks.speed.intervals import change
from benchmarks.speed.stages import stage_times
from benchmarks.speed.stand_in import INSTANCES, stand_in_for
from benchmarks.speed.turns import take_turns
from fetalseg.anatomy import structure_names
from fetalseg.model_file import ModelFacts
from fetalseg.postprocess import PostprocessOptions, Postprocessor
from fetalseg.preprocess import FrameGeometry, InputRule


def test_contestants_take_turns_in_alternating_order() -> None:
    order: list[str] = []

    def contestant(name: str) -> Callable[[int], dict[str, list[float]]]:
        def run(batches: int) -> dict[str, list[float]]:
            order.append(f"{name}{batches}")
            return {"total": [float(batches)] * batches}

        return run

    samples = take_turns([contestant("a"), contestant("b")], [5, 2], blocks=2, warm_up=9, settle=7)

    # 5 batches in blocks of 3 and 2, 2 in blocks of 1 and 1; the second round goes backwards
    assert order == ["a9", "b9", "a7", "a3", "b7", "b1", "b7", "b1", "a7", "a2"]
    assert samples[0].all("total") == [3, 3, 3, 2, 2]
    assert samples[0].medians("total") == [3, 2]


def test_energy_is_counted_in_timed_blocks_only() -> None:
    counted = 0.0

    def contestant(batches: int) -> dict[str, list[float]]:
        nonlocal counted
        counted += batches
        return {"total": [1.0] * batches}

    samples = take_turns(
        [contestant, contestant], [4, 6], blocks=2, warm_up=100, settle=10, meters=[lambda: counted, None]
    )

    assert (samples[0].joules, samples[1].joules) == (4, 0)
    assert samples[0].seconds > 0


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
