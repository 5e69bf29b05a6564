"""What only ONNX Runtime does: it can be told a device, and says which one it really uses."""

from __future__ import annotations

import platform
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from crafted_model import crafted_facts, write_crafted_model

ort = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")

from fetalseg.candidates import Candidates  # noqa: E402
from fetalseg.engines import load_engine  # noqa: E402
from fetalseg.engines.gpu import find_gpus  # noqa: E402
from fetalseg.engines.onnxruntime_gpu import (  # noqa: E402
    PROVIDERS,
    BoundSession,
    check_provider,
    gpu_providers,
    has_provider,
)
from fetalseg.errors import EngineError  # noqa: E402


def frames(batch: int) -> npt.NDArray[np.uint8]:
    return np.random.default_rng(3).integers(0, 256, (batch, 64, 96, 1), np.uint8)


@pytest.fixture
def bound(tiny_model: Path) -> BoundSession:
    """Bound to the processor's memory, where a GPU's would be."""
    return BoundSession(ort.InferenceSession(tiny_model, providers=["CPUExecutionProvider"]), "cpu")


def test_a_bound_session_gives_what_an_unbound_one_gives(bound: BoundSession, tiny_model: Path) -> None:
    unbound = ort.InferenceSession(tiny_model, providers=["CPUExecutionProvider"])
    for batch in (1, 3, 1):
        expected = unbound.run(Candidates._fields, {"images": frames(batch)})
        for found, values in zip(bound.run(frames(batch), None), expected, strict=True):
            assert np.array_equal(found, values)


def test_results_of_a_bound_session_belong_to_the_caller(bound: BoundSession) -> None:
    first = bound.run(frames(1), None)
    kept = [values.copy() for values in first]
    bound.run(255 - frames(1), None)
    for values, copy in zip(first, kept, strict=True):
        assert np.array_equal(values, copy)
        assert values.flags.writeable


def test_a_bound_session_takes_images_in_any_layout_and_more_sizes_than_it_keeps(bound: BoundSession) -> None:
    wide = np.repeat(frames(1), 2, axis=2)[:, :, ::2]
    wide.flags.writeable = False
    expected = bound.run(frames(1), None)[3]
    for batch in range(1, 11):
        bound.run(frames(batch), None)
    assert np.array_equal(bound.run(wide, None)[3], expected)


def test_a_bound_session_tells_its_three_stages(bound: BoundSession) -> None:
    stages: dict[str, float] = {}
    bound.run(frames(1), stages)
    assert list(stages) == ["upload", "infer", "copy_back"]


@pytest.mark.parametrize("device", PROVIDERS)
def test_a_gpu_gives_what_the_processor_gives(device: str, tiny_model: Path, tmp_path: Path) -> None:
    if find_gpus().count == 0:
        pytest.skip("needs an NVIDIA GPU")
    if not has_provider(device):
        pytest.skip("needs onnxruntime-gpu")
    cache = tmp_path if device == "tensorrt" else None
    with load_engine(tiny_model, "onnxruntime", device="cpu") as engine:
        expected = engine.infer(frames(2))
    with load_engine(tiny_model, "onnxruntime", device=device, engine_cache=cache) as engine:
        found = engine.infer(frames(2))
    assert engine.device.startswith("GPU")
    np.testing.assert_allclose(found.prototypes, expected.prototypes, atol=1e-3 * expected.prototypes.max())


@pytest.mark.parametrize("device", PROVIDERS)
def test_a_gpu_that_is_not_there_is_an_error_with_the_remedy(device: str, tiny_model: Path) -> None:
    if find_gpus().count > 0:
        pytest.skip("there is an NVIDIA GPU")
    with pytest.raises(EngineError, match=r"onnxruntime can't run on a GPU: .*; remedy: "):
        load_engine(tiny_model, "onnxruntime", device=device)


def test_a_session_that_went_elsewhere_is_an_error_with_what_is_missing() -> None:
    check_provider("cuda", ["CUDAExecutionProvider", "CPUExecutionProvider"], "")
    said = "Failed to load libcublas.so.13"
    with pytest.raises(EngineError, match=r"fell back to CPUExecutionProvider.*\(Failed to load libcublas.*\); remedy"):
        check_provider("cuda", ["CPUExecutionProvider"], said)
    with pytest.raises(EngineError, match=r"fell back to CUDAExecutionProvider.*pip install tensorrt-cu"):
        check_provider("tensorrt", ["CUDAExecutionProvider", "CPUExecutionProvider"], "")


def test_tensorrt_is_told_the_shapes_and_types_of_the_file_and_where_to_keep_engines(tmp_path: Path) -> None:
    facts = replace(crafted_facts(), precision="fp16")
    (first, options), (second, _) = gpu_providers("tensorrt", facts, tmp_path / "new" / "folder")
    assert (first, second) == ("TensorrtExecutionProvider", "CUDAExecutionProvider")
    assert options["trt_profile_min_shapes"] == "images:1x24x32x1"
    assert (options["trt_fp16_enable"], options["trt_int8_enable"]) == ("1", "0")
    assert options["trt_engine_cache_path"] == str(tmp_path / "new" / "folder")
    assert (tmp_path / "new" / "folder").is_dir()
    assert "trt_engine_cache_enable" not in gpu_providers("tensorrt", facts, None)[0][1]
    assert [name for name, _ in gpu_providers("cuda", facts, None)] == ["CUDAExecutionProvider"]


def test_another_precision_than_the_files_names_the_remedy(tiny_model: Path) -> None:
    with pytest.raises(ValueError, match=r"in fp32; 'int8' can't be chosen here, only with fetalseg export"):
        load_engine(tiny_model, "onnxruntime", precision="int8")


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="Arm processors have kernels for halves")
def test_an_fp16_file_is_said_to_be_computed_in_fp32_where_the_processor_has_no_other_way(tmp_path: Path) -> None:
    facts = replace(crafted_facts(), precision="fp16").to_json()
    path = write_crafted_model(tmp_path / "crafted.onnx", facts=facts)
    for precision in (None, "fp16"):
        with load_engine(path, "onnxruntime", precision=precision, device="cpu") as engine:
            assert engine.precision == "fp32"
