"""Post-training quantisation to int8: what is quantised, and how its ranges are found."""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import onnx
from onnx import GraphProto, ModelProto, NodeProto

from fetalseg.errors import MissingExtraError

__all__ = ["ACTIVATIONS", "Activations", "quantise"]

Activations = Literal["asymmetric", "symmetric"]
ACTIVATIONS: tuple[Activations, ...] = ("asymmetric", "symmetric")

# What features pass on their way between convolutions. What comes after the last of these is decided about, not
# computed with: it stays float32.
_FEATURES = frozenset({"Add", "AveragePool", "Clip", "Conv", "MaxPool", "Relu", "Resize"})
_PREPARED = ("onnx.quant.pre_process", "onnxruntime.quant")  # onnxruntime warns of a model that isn't so marked


def quantise(model: ModelProto, frames: npt.NDArray[np.uint8], activations: Activations) -> ModelProto:
    """Quantises every convolution, every product with a weight, and every sum of two features.

    Weights are int8, symmetric, with a scale for each output channel. Activations have one scale for each tensor, which
    spans all that the frames brought there: cutting off a share of 0.0001 costs fetalseg-s 0.03 AP50 of the nuchal
    translucency on real frames. They are quantised where they enter a layer, that is behind its predecessor's
    activation function; a sum quantises both of its terms. Sigmoid, softmax, ranking, the cut and the boxes stay
    float32.

    Args:
        model: in float32, with its weights as initializers; left as it is.
        frames: to find the ranges with, uint8 [N, h, w, c].
        activations: "asymmetric" is uint8 with a zero point, 256 steps for a ReLU; "symmetric" is int8 around 0, of
            which a ReLU uses half.

    Returns:
        A model of QuantizeLinear and DequantizeLinear pairs, without metadata.

    Raises:
        ValueError: no frames.
        MissingExtraError: onnxruntime isn't installed.
    """
    if len(frames) == 0:
        raise ValueError("quantisation needs at least one frame to find ranges with, got none")
    try:
        from onnxruntime.quantization import QuantType, quantize_static
    except ImportError:
        raise MissingExtraError("onnxruntime", "cpu") from None
    prepared = copy.deepcopy(model)
    prepared.metadata_props.add(key=_PREPARED[0], value=_PREPARED[1])
    symmetric = activations == "symmetric"
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "int8.onnx"
        quantize_static(
            prepared,
            out,
            _reader(frames),
            op_types_to_quantize=["Conv", "MatMul", "Add"],
            nodes_to_quantize=_layers(model.graph),
            per_channel=True,
            activation_type=QuantType.QInt8 if symmetric else QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            extra_options={
                "ActivationSymmetric": symmetric,
                "QuantizeBias": False,  # float32: TensorRT wants it so, the other runtimes take either
                # Quantised behind the activation, not before and behind it: OpenVINO takes 13.3 ms, not 18.9
                # (fetalseg-s, one thread).
                "OpTypesToExcludeOutputQuantization": ["Conv", "MatMul", "Add"],
            },
        )
        quantised = onnx.load(out)
    del quantised.metadata_props[:]
    return quantised


def _reader(frames: npt.NDArray[np.uint8]) -> Any:
    """Hands one frame after another to onnxruntime."""
    from onnxruntime.quantization import CalibrationDataReader

    class Frames(CalibrationDataReader):  # type: ignore[misc] # untyped
        def __init__(self) -> None:
            self._rest: Iterator[npt.NDArray[np.uint8]] = iter(frames)

        def get_next(self) -> dict[str, npt.NDArray[np.uint8]] | None:
            frame = next(self._rest, None)
            return None if frame is None else {"images": frame[None]}

    return Frames()


def _layers(graph: GraphProto) -> list[str]:
    """Names of the nodes to quantise."""
    made_by = {output: node for node in graph.node for output in node.output}
    weights = {tensor.name for tensor in graph.initializer}

    def chosen(node: NodeProto) -> bool:
        if node.op_type in ("Conv", "MatMul"):
            return node.input[1] in weights
        terms = [made_by.get(name) for name in node.input]
        return node.op_type == "Add" and all(term is not None and term.op_type in _FEATURES for term in terms)

    return [node.name for node in graph.node if chosen(node)]
