"""The engine on a GPU against ONNX Runtime and crafted answers; and what it says where there is no GPU.

What every engine must do is in test_engines.py.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from crafted_model import crafted_candidates, write_crafted_model

pytest.importorskip("tensorrt_rtx", reason="needs TensorRT-RTX (Linux or Windows on x86-64)")

from simulated_gpu import as_plan, simulate

from fetalseg.candidates import Candidates
from fetalseg.engines.cuda_runtime import find_gpu
from fetalseg.engines.gpu import find_gpus
from fetalseg.engines.onnxruntime_engine import OnnxRuntimeEngine
from fetalseg.engines.tensorrt_builder import BuildSettings, build_engine
from fetalseg.engines.tensorrt_engine import TensorRtEngine
from fetalseg.engines.tensorrt_file import read_engine, write_engine
from fetalseg.engines.tensorrt_library import load_library
from fetalseg.errors import EngineError, FetalsegError, ModelFileError
from fetalseg.segmenter import Segmenter

Load = Callable[[Path], TensorRtEngine]

ADA = BuildSettings(library="tensorrt_rtx", compute_capability="8.9")
DARK = np.zeros((1, 24, 32, 1), np.uint8)


@pytest.fixture
def gpu() -> None:
    """Skips where no TensorRT can run."""
    if find_gpus().count == 0:
        pytest.skip("needs an NVIDIA GPU")
    try:
        found = find_gpu()
        load_library().check_capability(found.capability, found.name)
    except FetalsegError as error:
        pytest.skip(str(error))


@pytest.fixture(params=["tensorrt", "tensorrt_rtx", "gpu"])
def load(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Load:
    """Loads a model: on either simulated library, and on the GPU of this machine."""
    if request.param == "gpu":
        request.getfixturevalue("gpu")
        return TensorRtEngine.load
    simulate(monkeypatch, request.param)
    return lambda model: TensorRtEngine.load(as_plan(model, tmp_path / "a.engine", request.param))


@pytest.fixture(scope="module")
def crafted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that answers bright frames with numbers that aren't any."""
    return write_crafted_model(tmp_path_factory.mktemp("crafted") / "crafted.onnx", flaw="nan")


@pytest.fixture(scope="module")
def for_ada(crafted: Path) -> Path:
    """Its engine for a card that this machine may not have."""
    path = crafted.with_name("ada.engine")
    write_engine(path, build_engine(crafted, ADA))
    return path


def assert_crafted(found: Candidates, batch: int) -> None:
    for name, values in crafted_candidates()._asdict().items():
        np.testing.assert_array_equal(getattr(found, name), np.repeat(values, batch, axis=0), err_msg=name)


def frames_of(path: Path, batch: int) -> np.ndarray:
    with OnnxRuntimeEngine.load(path) as engine:
        rule = engine.facts.input
    return np.random.default_rng(5).integers(0, 256, (batch, rule.height, rule.width, rule.channels), np.uint8)


no_gpu_here = pytest.mark.skipif(find_gpus().count > 0, reason="needs a machine without an NVIDIA GPU")


@no_gpu_here
def test_without_a_gpu_a_model_is_not_even_built() -> None:
    with pytest.raises(EngineError) as caught:
        Segmenter.load("fetalseg-s", "tensorrt")
    assert str(caught.value) == f"the engine tensorrt needs an NVIDIA GPU: {find_gpus().problem}"
    assert "remedy: " in str(caught.value)


@no_gpu_here
def test_without_a_gpu_an_engine_file_is_checked_and_goes_no_further(for_ada: Path) -> None:
    with pytest.raises(EngineError) as caught:
        Segmenter.load(for_ada, "tensorrt")
    assert str(caught.value) == f"the engine tensorrt needs an NVIDIA GPU: {find_gpus().problem}"


def test_an_engine_of_another_version_is_refused_before_tensorrt_sees_it(for_ada: Path, tmp_path: Path) -> None:
    engine = read_engine(for_ada)
    path = tmp_path / "old.engine"
    write_engine(path, replace(engine, header=replace(engine.header, library_version="1.0.0.21"), plan=b"poison"))
    with pytest.raises(ModelFileError) as caught:
        Segmenter.load(path, "tensorrt")
    assert str(caught.value) == (
        f"old.engine was built with TensorRT-RTX 1.0.0.21; here is {load_library('tensorrt_rtx').version}; "
        "remedy: build it again with: fetalseg export crafted --format tensorrt --out old.engine"
    )


def test_a_damaged_engine_is_refused(for_ada: Path, tmp_path: Path) -> None:
    path = tmp_path / "damaged.engine"
    path.write_bytes(for_ada.read_bytes()[:-7])
    with pytest.raises(ModelFileError, match=r"^damaged\.engine is damaged or cut short: its SHA-256 is another one; "):
        Segmenter.load(path, "tensorrt")


@pytest.mark.parametrize("file", ["crafted", "for_ada"])
def test_only_the_precision_of_the_file_can_be_asked_for(file: str, request: pytest.FixtureRequest) -> None:
    path: Path = request.getfixturevalue(file)
    message = f"^tensorrt computes {path.name} in fp32; 'fp16' can't be chosen$"
    with pytest.raises(ValueError, match=message):
        TensorRtEngine.load(path, precision="fp16")


def test_an_engine_of_the_wrong_card_is_refused_on_another_one(gpu: None, for_ada: Path) -> None:
    if find_gpu().capability == "8.9":
        pytest.skip("needs a GPU of another compute capability than 8.9")
    with pytest.raises(ModelFileError, match=r"built for compute capability 8\.9; .* has .*; remedy: build it again"):
        TensorRtEngine.load(for_ada)


def test_the_default_model_computes_what_onnxruntime_computes(load: Load, default_model: Path) -> None:
    images = frames_of(default_model, 2)
    with OnnxRuntimeEngine.load(default_model) as reference, load(default_model) as engine:
        expected, found = reference.infer(images), engine.infer(images)
    size = np.abs(expected.prototypes).max()
    np.testing.assert_allclose(found.prototypes / size, expected.prototypes / size, atol=1e-3)
    # Rows of nearly equal rank may change places: what is compared is sorted.
    for name in ("scores", "coefficients"):
        a, b = (np.sort(getattr(result, name), axis=1) for result in (found, expected))
        np.testing.assert_allclose(a, b, atol=2e-3)
    best = [np.argsort(-result.scores.max(axis=2), axis=1)[:, :5] for result in (found, expected)]
    boxes = [np.take_along_axis(r.boxes, i[..., None], axis=1) for r, i in zip((found, expected), best, strict=True)]
    np.testing.assert_allclose(*boxes, atol=0.1)


def test_each_size_of_batch_gives_the_same_again_and_again(load: Load, crafted: Path) -> None:
    with load(crafted) as engine:
        for batch in (1, 3, 1, 3, 8, 1, 3, 8, 1, 8):  # plain, captured and replayed work of three sizes, mixed
            assert_crafted(engine.infer(np.repeat(DARK, batch, axis=0)), batch)


def test_more_frames_than_the_engine_takes_run_in_parts(load: Load, crafted: Path) -> None:
    with load(crafted) as engine:
        stages: dict[str, float] = {}
        assert_crafted(engine.infer(np.repeat(DARK, 19, axis=0), stages=stages), 19)
    assert list(stages) == ["upload", "infer", "copy_back"]


def test_the_stages_are_timed_where_asked(load: Load, crafted: Path) -> None:
    stages: dict[str, float] = {}
    with load(crafted) as engine:
        engine.infer(DARK, stages=stages)
    assert list(stages) == ["upload", "infer", "copy_back"]
    assert all(ms > 0 for ms in stages.values())


def test_a_result_stays_as_it_is_when_the_next_frame_comes(load: Load, default_model: Path) -> None:
    first, second = frames_of(default_model, 2)[:, None]
    with load(default_model) as engine:
        kept = engine.infer(first)
        copies = [values.copy() for values in kept]
        engine.infer(second)
    for values, copy in zip(kept, copies, strict=True):
        np.testing.assert_array_equal(values, copy)


def test_threads_take_turns(load: Load, crafted: Path) -> None:
    results: list[Candidates] = []
    with load(crafted) as engine:

        def work() -> None:
            results.extend(engine.infer(DARK) for _ in range(20))

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(results) == 80
    for result in results:
        assert_crafted(result, 1)


def test_numbers_that_are_none_are_an_error_and_the_next_frame_is_fine(load: Load, crafted: Path) -> None:
    with load(crafted) as engine:
        with pytest.raises(EngineError, match="not finite"):
            engine.infer(DARK + np.uint8(255))
        assert_crafted(engine.infer(DARK), 1)


def test_a_closed_engine_says_so_and_can_be_closed_again(load: Load, crafted: Path) -> None:
    engine = load(crafted)
    engine.close()
    engine.close()
    with pytest.raises(EngineError, match="the engine is closed"):
        engine.infer(DARK)


def test_a_built_file_runs_and_tells_the_card(gpu: None, crafted: Path, tmp_path: Path) -> None:
    path = tmp_path / "here.engine"
    write_engine(path, build_engine(crafted))
    with Segmenter.load(path) as segmenter:
        assert segmenter.engine.name == "tensorrt"
        assert segmenter.engine.device.startswith(find_gpu().name)
        assert_crafted(segmenter.infer(DARK), 1)


def test_a_folder_for_engines_spares_the_second_start_the_build(
    gpu: None, crafted: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="fetalseg.engines")
    for words in ("built an engine of", "took the engine of"):
        with Segmenter.load(crafted, "tensorrt", engine_cache=tmp_path / "engines") as segmenter:
            assert_crafted(segmenter.infer(DARK), 1)
        assert any(message.startswith(words) for message in caplog.messages)
        caplog.clear()
