"""Which engine `auto` takes, and what it says of those it couldn't take."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest
from crafted_model import write_crafted_model
from cuda_driver import build_driver

from fetalseg.engines import ENGINES, available_engines, load_engine
from fetalseg.engines.gpu import find_gpus
from fetalseg.errors import EngineError, ModelFileError

SCRIPT = """
import logging, sys
from pathlib import Path
logging.basicConfig(format="%(levelname)s %(message)s", stream=sys.stdout)
from fetalseg.engines import load_engine
model, kind, *cache = sys.argv[1:]
with load_engine(model, kind, engine_cache=Path(*cache) if cache else None) as engine:
    print("took", engine.name, "on", engine.device)
"""


@pytest.fixture
def no_gpu() -> None:
    if find_gpus().count > 0:
        pytest.skip("there is an NVIDIA GPU")


def said_with_driver(model: Path, folder: Path, kind: str = "auto", cache: Path | None = None) -> list[str]:
    """The lines of a process that loads a model where `folder` holds the CUDA driver."""
    environment = {**os.environ, "LD_LIBRARY_PATH": str(folder)}
    command = [sys.executable, "-W", "error", "-c", SCRIPT, str(model), kind, *([str(cache)] if cache else [])]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.skipif("openvino" not in available_engines(), reason="openvino is not installed")
def test_a_gpu_that_no_runtime_can_use_is_told_with_what_each_of_them_lacks(
    no_gpu: None, tiny_model: Path, tmp_path: Path
) -> None:
    build_driver(tmp_path, count=1)
    *warnings, last = said_with_driver(tiny_model, tmp_path)
    assert last.startswith("took openvino on CPU")
    told = [line.split(":")[0] for line in warnings]
    tried = [word for word in ("onnxruntime", "torch", "tensorrt") if word in available_engines()]
    assert told == [f"WARNING openvino runs, not {word} on cuda" for word in tried]
    assert all("remedy: " in line for line in warnings)


@pytest.mark.skipif("tensorrt" not in available_engines(), reason="TensorRT is not installed")
def test_tensorrt_comes_first_where_its_engines_are_kept(no_gpu: None, tiny_model: Path, tmp_path: Path) -> None:
    build_driver(tmp_path, count=1)
    first, *_ = said_with_driver(tiny_model, tmp_path, cache=tmp_path / "engines")
    assert first.startswith("WARNING openvino runs, not tensorrt on cuda"), "or it would be built at each start"


@pytest.mark.parametrize("kind", ["onnxruntime", "torch"])
def test_a_named_engine_that_leaves_a_gpu_alone_says_why(
    no_gpu: None, kind: str, tiny_model: Path, tmp_path: Path
) -> None:
    if kind not in available_engines():
        pytest.skip(f"{kind} is not installed")
    build_driver(tmp_path, count=1)
    warning, last = said_with_driver(tiny_model, tmp_path, kind)
    assert warning.startswith(f"WARNING {kind} runs on the processor: ")
    assert "remedy: " in warning
    assert last.startswith(f"took {kind} on CPU")


def test_a_driver_that_fails_is_told_and_the_processor_used(no_gpu: None, tiny_model: Path, tmp_path: Path) -> None:
    build_driver(tmp_path, init=803)
    warning, last = said_with_driver(tiny_model, tmp_path)
    assert warning.startswith("WARNING the processor is used: the NVIDIA driver failed: system has unsupported")
    assert " on CPU" in last


def test_a_machine_without_a_gpu_has_nothing_to_be_told(
    no_gpu: None, tiny_model: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, logger="fetalseg"), load_engine(tiny_model) as engine:
        assert engine.device.startswith("CPU")
    assert caplog.messages == []


@pytest.mark.parametrize("device", ["cuda", "tensorrt"])
def test_a_gpu_that_was_asked_for_is_one_or_an_error(no_gpu: None, device: str, tiny_model: Path) -> None:
    with pytest.raises(EngineError, match=rf"no engine can run on {device}: .*; remedy: "):
        load_engine(tiny_model, device=device)


def test_the_processor_can_be_asked_for(tiny_model: Path) -> None:
    with load_engine(tiny_model, device="cpu", threads=1) as engine:
        assert engine.device == "CPU, 1 thread"


@pytest.mark.skipif(
    not {"openvino", "onnxruntime", "torch"} <= set(available_engines()), reason="not every runtime is installed"
)
def test_what_one_engine_has_not_got_the_next_may_have(
    no_gpu: None, tmp_path: Path, tiny_model: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)  # makes it look absent
    with caplog.at_level(logging.WARNING, logger="fetalseg"):
        engine = load_engine(tiny_model, precision="bf16")
    assert (engine.name, engine.precision) == ("torch", "bf16")
    assert [message.partition(":")[0] for message in caplog.messages] == ["torch runs, not onnxruntime on cpu"]


def test_if_none_can_everything_that_was_said_is_repeated(no_gpu: None, tmp_path: Path) -> None:
    path = write_crafted_model(tmp_path / "other.onnx", output_names=("scores", "boxes", "masks", "prototypes"))
    tried = [word for word in available_engines() if word != "tensorrt"]
    with pytest.raises(ModelFileError) as told:
        load_engine(path)
    assert str(told.value).startswith("no engine can run other.onnx: ")
    assert all(f"{word} on cpu: " in str(told.value) for word in tried)


def test_a_foreign_file_is_refused_once() -> None:
    with pytest.raises(ModelFileError, match=r"^\w+\.py is not an ONNX file$|was not exported by fetalseg$"):
        load_engine(Path(__file__))


@pytest.mark.parametrize("kind", [word for word in ENGINES if word != "tensorrt"])
def test_an_engine_file_is_for_tensorrt_alone(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "fetalseg-s.engine"
    path.write_bytes(b"")
    with pytest.raises(ModelFileError, match=rf"a TensorRT engine, which the engine tensorrt runs; the engine {kind} "):
        load_engine(path, kind)


@pytest.mark.parametrize(
    ("kind", "device", "words"),
    [
        ("openvino", "cuda", "cpu"),
        ("torch", "tensorrt", "cpu, cuda"),
        ("tensorrt", "cpu", "cuda"),
        ("auto", "gpu", "cuda, cpu, tensorrt"),
    ],
)
def test_an_unknown_device_lists_the_known_ones(kind: str, device: str, words: str, tiny_model: Path) -> None:
    with pytest.raises(ValueError, match=f"unknown device '{device}' for the engine {kind}; expected one of {words}$"):
        load_engine(tiny_model, kind, device=device)


@pytest.mark.parametrize(("kind", "device"), [("openvino", None), ("onnxruntime", "cuda"), ("torch", None)])
def test_a_folder_for_built_engines_is_refused_where_none_is_built(
    kind: str, device: str | None, tiny_model: Path, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=f"engine_cache is for tensorrt; the engine {kind} builds nothing to keep"):
        load_engine(tiny_model, kind, device=device, engine_cache=tmp_path)


def test_auto_takes_the_folder_for_the_case_that_it_comes_to_tensorrt(tiny_model: Path, tmp_path: Path) -> None:
    with load_engine(tiny_model, engine_cache=tmp_path) as engine:
        assert engine.facts.name == "fetalseg-test"
