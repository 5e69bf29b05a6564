"""The tolerances find engines that compute something else, on the models that ship."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from onnx import numpy_helper

from fetalseg.errors import ModelFileError
from fetalseg.model_file import find_model
from fetalseg.segmenter import Segmenter
from fetalseg.verification.frames import default_frames
from fetalseg.verification.verifier import Row, Verifier

Weights = npt.NDArray[np.generic]


@pytest.fixture(scope="module")
def verifier(default_model: Path) -> Verifier:
    with Segmenter.load(default_model, "onnxruntime", threads=1) as reference:
        return Verifier(reference, default_frames(7))


@pytest.fixture(scope="module")
def int8_model() -> Path:
    try:
        return find_model("fetalseg-s-int8")
    except ModelFileError as error:
        pytest.skip(str(error))


def check(verifier: Verifier, path: Path) -> Row:
    with Segmenter.load(path, "onnxruntime", threads=1) as segmenter:
        return verifier.check(segmenter, path.name)


def changed(model: Path, path: Path, name: str, change: Callable[[Weights], Weights]) -> Path:
    """A model with the weights of all its convolutions changed whose name ends so."""
    proto = onnx.load(model)
    chosen = [one for one in proto.graph.initializer if len(one.dims) == 4 and one.name.endswith(name)]
    assert chosen
    for tensor in chosen:
        values = change(numpy_helper.to_array(tensor))
        tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    onnx.save(proto, path)
    return path


def test_two_channels_of_one_layer_swapped_are_found_in_fp32(
    verifier: Verifier, default_model: Path, tmp_path: Path
) -> None:
    def swap(weights: Weights) -> Weights:
        return weights[:, [1, 0, *range(2, weights.shape[1])]]

    path = changed(default_model, tmp_path / "swapped.onnx", "stages.3.1.conv.2.weight", swap)  # two of 960
    row = check(verifier, path)
    assert row.tolerance == "fp32"
    assert any("instances differ beyond the tolerance" in fault for fault in row.faults)


def test_weights_of_four_bits_are_found_in_int8_and_those_of_eight_pass(
    verifier: Verifier, int8_model: Path, tmp_path: Path
) -> None:
    assert check(verifier, int8_model).passed

    def round_to_four_bits(weights: Weights) -> Weights:
        step = 127 / 7
        return (np.round(weights.astype(np.float32) / step) * step).astype(np.int8)

    row = check(verifier, changed(int8_model, tmp_path / "four.onnx", "_quantized", round_to_four_bits))
    assert row.tolerance == "int8"
    faults = " ".join(row.faults)
    for words in ("instances differ beyond the tolerance", "the mean mask IoU is", "candidates differ by more than"):
        assert words in faults
