"""TensorRT-RTX builds for real, without a GPU: what it takes, and what it says where it doesn't."""

from __future__ import annotations

import logging
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from crafted_model import write_crafted_model
from onnx import helper

pytest.importorskip("tensorrt_rtx", reason="needs TensorRT-RTX (Linux or Windows on x86-64)")

from fetalseg.candidates import Candidates
from fetalseg.engines.gpu import find_gpus
from fetalseg.engines.tensorrt_builder import BuildSettings, build_engine
from fetalseg.engines.tensorrt_graph import takeable_graph
from fetalseg.engines.tensorrt_library import load_library
from fetalseg.errors import EngineError, MissingExtraError, ModelFileError
from fetalseg.model_file import file_digest, read_facts

ADA = BuildSettings(library="tensorrt_rtx", compute_capability="8.9")


def test_the_default_model_builds_for_an_ada_card_without_a_gpu(default_model: Path) -> None:
    engine = build_engine(default_model, ADA)
    header = engine.header
    assert header.facts == read_facts(default_model)
    assert header.model_sha256 == file_digest(default_model)
    assert (header.library, header.library_version) == ("tensorrt_rtx", load_library("tensorrt_rtx").version)
    assert (header.compute_capability, header.gpu, header.max_batch) == ("8.9", "", 8)
    # The plan holds the weights as they are: 2.4 million numbers of 4 bytes.
    assert len(engine.plan) > 9e6


def test_a_graph_that_casts_first_computes_the_very_same(default_model: Path) -> None:
    rule = read_facts(default_model).input
    images = np.random.default_rng(0).integers(0, 256, (2, rule.height, rule.width, rule.channels), np.uint8)
    plain = onnxruntime.SessionOptions()  # optimised, the two would be fused differently and sum in another order
    plain.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    expected, found = (
        onnxruntime.InferenceSession(data, plain, providers=["CPUExecutionProvider"]).run(
            list(Candidates._fields), {"images": images}
        )
        for data in (default_model.read_bytes(), takeable_graph(default_model))
    )
    for before, after in zip(expected, found, strict=True):
        np.testing.assert_array_equal(after, before)


def test_a_graph_that_needs_no_change_stays_as_it_is(tmp_path: Path) -> None:
    path = write_crafted_model(tmp_path / "crafted.onnx")  # only the shape of its frames counts
    assert onnx.load_from_string(takeable_graph(path)) == onnx.load(path)


def test_an_operation_that_tensorrt_does_not_know_is_named_with_its_node(tmp_path: Path) -> None:
    path = write_crafted_model(tmp_path / "coin.onnx")
    model = onnx.load(path)
    (last,) = [node for node in model.graph.node if "scores" in node.output]
    last.output[0] = "certain"
    model.graph.node.append(helper.make_node("Bernoulli", ["certain"], ["scores"], name="coin"))
    onnx.save(model, path)
    with pytest.raises(
        ModelFileError, match=r"^TensorRT-RTX can't take coin\.onnx: node 20, Bernoulli 'coin': unsupported node: "
    ):
        build_engine(path, ADA)


def test_a_graph_that_does_not_end_at_candidates_is_refused(tmp_path: Path) -> None:
    names = ("scores", "boxes", "coefficients", "masks")
    path = write_crafted_model(tmp_path / "masks.onnx", output_names=names)
    with pytest.raises(ModelFileError, match=r"^masks\.onnx maps images to scores, boxes, coefficients, masks; expect"):
        build_engine(path, ADA)


def test_an_engine_is_not_built_from_an_engine(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match=r"^an engine is built from an exported \.onnx file; got a\.engine$"):
        build_engine(tmp_path / "a.engine", ADA)


def test_a_file_that_was_not_exported_here_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "text.onnx"
    path.write_text("no model")
    with pytest.raises(ModelFileError, match=r"text\.onnx"):
        build_engine(path, ADA)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"max_batch": 0}, "max_batch must be at least 1, got 0"),
        (
            {"compute_capability": "9.0"},
            "TensorRT-RTX builds for compute capability 7.5, 8.0, 8.6, 8.9, 12.0, 12.1; got 9.0; "
            "for any other GPU install the library tensorrt on its machine: pip install tensorrt-cu13",
        ),
        (
            {"timing_cache": Path("times.bin")},
            "a timing cache is for tensorrt; tensorrt_rtx measures nothing while it builds",
        ),
    ],
)
def test_settings_that_the_library_has_not_got_are_refused(
    default_model: Path, change: dict[str, object], message: str
) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        build_engine(default_model, replace(ADA, **change))  # type: ignore[arg-type]


def test_a_turing_card_is_told_that_it_needs_half_precision(default_model: Path) -> None:
    with pytest.raises(EngineError, match=r"FP32 GEMM is not supported.*; remedy: .* 7\.5 export .* --precision fp16$"):
        build_engine(default_model, replace(ADA, compute_capability="7.5"))


@pytest.mark.skipif(find_gpus().count > 0, reason="needs a machine without an NVIDIA GPU")
def test_without_a_gpu_it_asks_for_which_one_to_build(default_model: Path) -> None:
    with pytest.raises(EngineError) as caught:
        build_engine(default_model, replace(ADA, compute_capability=None))
    assert str(caught.value).startswith("the engine tensorrt needs an NVIDIA GPU: ")
    assert str(caught.value).endswith(
        "; or say for which GPU to build: --compute-capability, one of 7.5, 8.0, 8.6, 8.9, 12.0, 12.1"
    )


def test_a_data_centre_gpu_is_told_which_library_it_needs() -> None:
    with pytest.raises(EngineError) as caught:
        load_library("tensorrt_rtx").check_capability("9.0", "NVIDIA H200")
    assert str(caught.value) == (
        "TensorRT-RTX runs on GPUs of compute capability 7.5, 8.0, 8.6, 8.9, 12.0, 12.1; NVIDIA H200 has 9.0; "
        "remedy: install the library for data-centre GPUs: pip install tensorrt-cu13"
    )


def test_a_library_has_one_log_however_it_is_asked_for() -> None:
    library = load_library()
    assert load_library(library.name).log is library.log


ABSENT = """
import sys
sys.modules["tensorrt"] = sys.modules["tensorrt_rtx"] = None
from fetalseg.engines.tensorrt_library import load_library
for name in (None, "tensorrt_rtx", "tensorrt"):
    try:
        load_library(name)
    except Exception as error:
        print(f"{type(error).__name__}: {error}")
"""


def test_a_library_that_is_not_installed_is_named_with_how_to_install_it() -> None:
    done = subprocess.run([sys.executable, "-c", ABSENT], capture_output=True, text=True, check=True)
    missing = f"MissingExtraError: {MissingExtraError('tensorrt_rtx', 'tensorrt')}"
    other = "EngineError: tensorrt is not installed; install it with: pip install tensorrt-cu13"
    assert done.stdout.splitlines() == [missing, missing, other]


BUILDING = """
import sys
from pathlib import Path
from fetalseg.engines.tensorrt_builder import BuildSettings, build_engine
build_engine(sys.argv[1], BuildSettings(library="tensorrt_rtx", compute_capability="8.9"))
assert "torch" not in sys.modules
"""


def test_building_from_an_onnx_file_needs_no_torch_and_prints_nothing(tmp_path: Path) -> None:
    model = write_crafted_model(tmp_path / "crafted.onnx", flaw="nan")
    command = [sys.executable, "-W", "error", "-c", BUILDING, str(model)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_library_speaks_through_our_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    model = write_crafted_model(tmp_path / "crafted.onnx", flaw="nan")
    with caplog.at_level(logging.DEBUG, logger="fetalseg.engines"):
        build_engine(model, ADA)
    words = [(record.levelname, record.getMessage()) for record in caplog.records]
    version = load_library("tensorrt_rtx").version
    started = f"TensorRT-RTX {version} builds an engine of crafted.onnx for compute capability 8.9"
    assert words[0] == ("INFO", started)
    assert ("DEBUG", "Detected 1 inputs and 4 output network tensors.") in words
    assert words[-1][1].startswith("built an engine of crafted.onnx in ")
