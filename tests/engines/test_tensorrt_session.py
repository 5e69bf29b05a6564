"""What the engine holds, records and keeps: on a simulated GPU, which counts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from crafted_model import crafted_candidates, write_crafted_model

pytest.importorskip("cuda.bindings", reason="needs cuda-bindings (the extra tensorrt)")

from simulated_gpu import as_plan, simulate

from fetalseg.candidates import Candidates
from fetalseg.engines.sealed_file import write_sealed
from fetalseg.engines.tensorrt_builder import BuildSettings, build_engine
from fetalseg.engines.tensorrt_engine import TensorRtEngine
from fetalseg.engines.tensorrt_library import LibraryName
from fetalseg.errors import EngineError, ModelFileError

DARK = np.zeros((1, 24, 32, 1), np.uint8)


@pytest.fixture(scope="module")
def crafted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_crafted_model(tmp_path_factory.mktemp("crafted") / "crafted.onnx")


def assert_crafted(found: Candidates) -> None:
    for name, values in crafted_candidates()._asdict().items():
        np.testing.assert_array_equal(getattr(found, name), values, err_msg=name)


@pytest.mark.parametrize("name", ["tensorrt", "tensorrt_rtx"])
def test_nothing_is_left_on_the_gpu(
    name: LibraryName, crafted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cuda = simulate(monkeypatch, name)
    path = as_plan(crafted, tmp_path / "a.engine", name)
    with TensorRtEngine.load(path) as engine:
        for batch in (1, 2, 1, 2):
            engine.infer(np.repeat(DARK, batch, axis=0))
        assert len(cuda.held) > 10  # a stream, five tensors on both sides, and for one library graphs and memory
    assert cuda.held == {}
    forgotten = TensorRtEngine.load(path)
    forgotten.infer(DARK)
    del forgotten
    assert cuda.held == {}


def test_tensorrt_runs_once_then_records_then_replays_for_each_size_of_batch(
    crafted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cuda = simulate(monkeypatch, "tensorrt")
    with TensorRtEngine.load(as_plan(crafted, tmp_path / "a.engine", "tensorrt")) as engine:
        for batch in (1, 1, 1, 2, 2, 1):
            engine.infer(np.repeat(DARK, batch, axis=0))
    work = [call for call in cuda.calls if call not in ("HostToDevice", "DeviceToHost")]
    assert work == ["infer", "record infer", "launch", "launch", "infer", "record infer", "launch", "launch"]


def test_work_that_cannot_be_recorded_is_done_each_time_with_one_warning(
    crafted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    cuda = simulate(monkeypatch, "tensorrt")
    cuda.capturable = False
    with TensorRtEngine.load(as_plan(crafted, tmp_path / "a.engine", "tensorrt")) as engine:
        for _ in range(4):
            assert_crafted(engine.infer(DARK))
    (warning,) = caplog.messages
    assert warning.startswith("batches of 1 run without a CUDA graph: cudaStreamEndCapture failed: ")
    assert cuda.held == {}


@pytest.mark.parametrize("name", ["tensorrt", "tensorrt_rtx"])
@pytest.mark.parametrize("free_bytes", [100, 7_000])
def test_a_gpu_without_memory_left_is_told_and_nothing_stays_on_it(
    free_bytes: int, name: LibraryName, crafted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cuda = simulate(monkeypatch, name)
    cuda.free_bytes = free_bytes
    with pytest.raises(
        EngineError, match=r"^the GPU is out of memory: .*; remedy: end other programs on this GPU, or bu"
    ):
        TensorRtEngine.load(as_plan(crafted, tmp_path / "a.engine", name))
    assert cuda.held == {}


def test_a_plan_that_tensorrt_refuses_is_told_and_nothing_stays_on_the_gpu(
    crafted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cuda = simulate(monkeypatch, "tensorrt")
    with pytest.raises(EngineError, match=r"^TensorRT can't load a\.engine: simulated failure$"):
        TensorRtEngine.load(as_plan(crafted, tmp_path / "a.engine", "tensorrt", plan=b"refused"))
    assert cuda.held == {}


def test_a_failure_on_the_gpu_is_an_error_of_the_engine(
    crafted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cuda = simulate(monkeypatch, "tensorrt")
    with TensorRtEngine.load(as_plan(crafted, tmp_path / "a.engine", "tensorrt")) as engine:
        cuda.failing = True
        with pytest.raises(EngineError, match=r"^cudaStreamSynchronize failed: cudaErrorLaunchFailure, "):
            engine.infer(DARK)
    assert cuda.held == {}


@pytest.mark.parametrize("name", ["tensorrt", "tensorrt_rtx"])
def test_work_that_an_error_left_on_the_stream_is_waited_for_before_anything_is_given_back(
    name: LibraryName, crafted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cuda = simulate(monkeypatch, name)
    with TensorRtEngine.load(as_plan(crafted, tmp_path / "a.engine", name)) as engine:
        cuda.refused = "DeviceToHost"
        with pytest.raises(EngineError, match=r"^cudaMemcpyAsync failed: cudaErrorLaunchFailure, "):
            engine.infer(DARK)
    assert cuda.held == {}


def test_an_engine_whose_frames_are_of_another_size_than_its_facts_is_refused(
    crafted: Path, default_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cuda = simulate(monkeypatch, "tensorrt")
    path = as_plan(crafted, tmp_path / "a.engine", "tensorrt", plan=default_model.read_bytes())
    with pytest.raises(
        ModelFileError, match=r"^a\.engine has the tensors images uint8 .*; expected images uint8 \(24, "
    ):
        TensorRtEngine.load(path)
    assert cuda.held == {}


def test_what_rtx_compiles_is_kept_in_the_folder_for_the_next_start(
    crafted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cuda = simulate(monkeypatch, "tensorrt_rtx")
    path, folder = as_plan(crafted, tmp_path / "a.engine", "tensorrt_rtx"), tmp_path / "kept"
    for _ in range(2):
        with TensorRtEngine.load(path, engine_cache=folder) as engine:
            engine.infer(DARK)
    assert cuda.calls.count("compile") == 1
    (kept,) = folder.iterdir()
    assert kept.name.endswith("-batch8.kernels")


@pytest.mark.parametrize("content", [b"", b"FSKERNEL" + bytes(40), b"base"])
def test_kept_kernels_that_are_damaged_are_compiled_anew_with_a_warning(
    content: bytes, crafted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    cuda = simulate(monkeypatch, "tensorrt_rtx")
    path, folder = as_plan(crafted, tmp_path / "a.engine", "tensorrt_rtx"), tmp_path / "kept"
    TensorRtEngine.load(path, engine_cache=folder).close()
    (kept,) = folder.iterdir()
    whole = kept.read_bytes()
    kept.write_bytes(content)
    TensorRtEngine.load(path, engine_cache=folder).close()
    assert cuda.calls.count("compile") == 2
    assert caplog.messages[0].startswith(f"the kept kernels can't be used and are compiled anew: {kept.name} is ")
    assert kept.read_bytes() == whole


def test_kernels_of_another_gpu_are_compiled_anew(
    crafted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cuda = simulate(monkeypatch, "tensorrt_rtx")
    path, folder = as_plan(crafted, tmp_path / "a.engine", "tensorrt_rtx"), tmp_path / "kept"
    TensorRtEngine.load(path, engine_cache=folder).close()
    (kept,) = folder.iterdir()
    whole = kept.read_bytes()
    write_sealed(kept, b"FSKERNEL", b"of another GPU")
    TensorRtEngine.load(path, engine_cache=folder).close()
    assert cuda.calls.count("compile") == 2
    assert kept.read_bytes() == whole


def test_kernels_that_cannot_be_written_cost_only_the_next_start(
    crafted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    simulate(monkeypatch, "tensorrt_rtx")
    path, blocked = as_plan(crafted, tmp_path / "a.engine", "tensorrt_rtx"), tmp_path / "a file"
    blocked.write_text("in the way")
    with TensorRtEngine.load(path, engine_cache=blocked) as engine:
        assert_crafted(engine.infer(DARK))
    (warning,) = caplog.messages
    assert warning.startswith("the kernels are not kept for the next start: can't write ")


def test_tensorrt_builds_at_start_and_says_how_to_spare_the_next_start_that(
    crafted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    simulate(monkeypatch, "tensorrt")
    with TensorRtEngine.load(crafted) as engine:
        assert_crafted(engine.infer(DARK))
    assert caplog.messages == [
        "TensorRT builds an engine of crafted.onnx, which can take minutes; "
        "engine_cache=FOLDER (--engine-cache) keeps it for the next start"
    ]
    caplog.clear()
    with TensorRtEngine.load(crafted, engine_cache=tmp_path / "kept") as engine:
        assert_crafted(engine.infer(DARK))
    assert caplog.messages == []
    (kept,) = (tmp_path / "kept").iterdir()
    assert kept.suffix == ".engine"


def test_a_timing_cache_is_made_read_and_extended(
    crafted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    simulate(monkeypatch, "tensorrt")
    times = tmp_path / "times"
    build_engine(crafted, BuildSettings(timing_cache=times))
    assert times.read_bytes() == b" and of this one"
    build_engine(crafted, BuildSettings(timing_cache=times))
    assert times.read_bytes() == b" and of this one and of this one"


@pytest.mark.parametrize("old", [b"garbage", b"times of another GPU"])
def test_a_timing_cache_that_is_of_no_use_here_is_written_anew_with_a_warning(
    old: bytes, crafted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    simulate(monkeypatch, "tensorrt")
    times = tmp_path / "times"
    times.write_bytes(old)
    build_engine(crafted, BuildSettings(timing_cache=times))
    assert times.read_bytes() == b" and of this one"
    assert caplog.messages == [f"the timing cache {times} is of another GPU or TensorRT; it is written anew"]


def test_tensorrt_builds_only_for_the_gpu_of_its_machine(crafted: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    simulate(monkeypatch, "tensorrt")
    message = "^tensorrt builds for the GPU of this machine; a compute capability is a choice of tensorrt_rtx$"
    with pytest.raises(ValueError, match=message):
        build_engine(crafted, BuildSettings(compute_capability="8.9"))
    header = build_engine(crafted).header
    assert (header.library, header.gpu, header.compute_capability) == ("tensorrt", "simulated", "8.9")
