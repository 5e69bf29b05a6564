"""What only OpenVINO does: it chooses what it computes in, and tells nobody that it runs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

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
