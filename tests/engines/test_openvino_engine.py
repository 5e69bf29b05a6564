"""What only OpenVINO does: it chooses what it computes in, and tells nobody that it runs."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from crafted_model import crafted_facts, write_crafted_model

pytest.importorskip("openvino", reason="openvino is not installed")

from fetalseg.engines import load_engine
from fetalseg.engines.silent_openvino import ov
from fetalseg.errors import EngineError


def random_frames(batch: int) -> npt.NDArray[np.uint8]:
    return np.random.default_rng(3).integers(0, 256, (batch, 64, 96, 1), np.uint8)


def test_openvino_computes_in_bf16_exactly_where_the_processor_can(tiny_model: Path) -> None:
    has_units = "BF16" in ov.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    with load_engine(tiny_model, "openvino") as engine:
        assert engine.precision == ("bf16" if has_units else "fp32")
    if not has_units:
        with pytest.raises(EngineError, match="no bf16 units"):
            load_engine(tiny_model, "openvino", precision="bf16")


def test_openvino_tells_nobody_and_leaves_nothing_in_the_home_folder(tiny_model: Path, tmp_path: Path) -> None:
    script = "import sys; from fetalseg.engines import load_engine; load_engine(sys.argv[1], 'openvino'); "
    script += "print([name for name in sys.modules if name.startswith('openvino_telemetry.')])"
    command = [sys.executable, "-B", "-c", script, str(tiny_model)]
    environment = {**os.environ, "HOME": str(tmp_path)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
    assert list(tmp_path.iterdir()) == []


def test_bf16_stays_close_to_fp32(tiny_model: Path) -> None:
    with load_engine(tiny_model, "openvino") as engine:
        if engine.precision != "bf16":
            pytest.skip("this processor has no bf16 units")
        reduced = engine.infer(random_frames(1))
    with load_engine(tiny_model, "openvino", precision="fp32") as engine:
        full = engine.infer(random_frames(1))
    # bf16 keeps 8 bits: 0.4 % a step.
    assert reduced.scores.max() == pytest.approx(full.scores.max(), rel=0.05)
    assert np.abs(reduced.prototypes - full.prototypes).mean() < 0.02 * full.prototypes.std()


def test_an_int8_file_is_computed_in_int8_and_nothing_else(tmp_path: Path) -> None:
    facts = replace(crafted_facts(), precision="int8").to_json()
    path = write_crafted_model(tmp_path / "crafted.onnx", facts=facts)
    for precision in (None, "int8"):
        with load_engine(path, "openvino", precision=precision) as engine:
            assert engine.precision == "int8"
    with pytest.raises(ValueError, match=r"computes crafted\.onnx in int8; for 'fp32' load the model in fp32"):
        load_engine(path, "openvino", precision="fp32")


def test_int8_of_a_file_that_holds_no_int8_names_the_remedy(tiny_model: Path) -> None:
    with pytest.raises(ValueError, match=r"holds fp32 weights.*remedy: fetalseg export --precision int8"):
        load_engine(tiny_model, "openvino", precision="int8")


def test_an_fp16_file_is_computed_in_what_the_processor_has_units_for(tmp_path: Path) -> None:
    facts = replace(crafted_facts(), precision="fp16").to_json()
    path = write_crafted_model(tmp_path / "crafted.onnx", facts=facts)
    units = ov.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    with load_engine(path, "openvino") as engine:
        assert engine.precision == ("bf16" if "BF16" in units else "fp32")
    if "FP16" not in units:
        with pytest.raises(EngineError, match="no fp16 units; expected precision fp32"):
            load_engine(path, "openvino", precision="fp16")
