"""A model whose failures are asked for by how bright a frame is: it finds nothing, or fails on demand.

It needs `onnxruntime`, which stops at an index out of range and computes a loop until its end; other runtimes needn't.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from fetalseg.anatomy import structure_names
from fetalseg.errors import MissingExtraError
from fetalseg.model_file import METADATA_KEY, ModelFacts
from fetalseg.preprocess import InputRule

try:
    import onnx
    from onnx import TensorProto, helper, numpy_helper
except ModuleNotFoundError:
    raise MissingExtraError("onnx", "train") from None

__all__ = ["FAULT_LEVELS", "FINE_LEVEL", "write_faulty_model"]

FINE_LEVEL = 60
# By fault: the gray level of a frame that brings it on.
FAULT_LEVELS = {"returns NaN": 130, "raises": 180, "hangs": 230}
_WIDTH = 20  # of the band around a level
_HEIGHT, _WIDE = 24, 32
_FOREVER = 2**62


def write_faulty_model(path: Path) -> Path:
    """Writes the model; frames of 64 x 48 keep their level on the way to it."""
    shapes = {"scores": (4, 17), "boxes": (4, 4), "coefficients": (4, 2), "prototypes": (2, 6, 8)}
    constants: dict[str, np.ndarray] = {
        "axes": np.array([1, 2, 3]),
        "first_axis": np.array([0]),
        "one": np.array(1.0, np.float32),
        "zero": np.array(0.0, np.float32),
        "nan": np.array(np.nan, np.float32),
        "table": np.zeros(1, np.float32),
        "inside": np.array(0),
        "outside": np.array(1000),
        "never": np.array(0),
        "forever": np.array(_FOREVER),
        "go_on": np.array(True),
    }
    nodes = [
        helper.make_node("Shape", ["images"], ["batch"], start=0, end=1),
        helper.make_node("Cast", ["images"], ["levels"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["levels", "axes"], ["means"], keepdims=0),
        helper.make_node("ReduceMax", ["means", "first_axis"], ["level"], keepdims=0),
    ]
    for fault, level in FAULT_LEVELS.items():
        name = fault.replace(" ", "_")
        constants[f"{name}_low"] = np.array(level - _WIDTH, np.float32)
        constants[f"{name}_high"] = np.array(level + _WIDTH, np.float32)
        nodes += [
            helper.make_node("Greater", ["level", f"{name}_low"], [f"{name}_above"]),
            helper.make_node("Less", ["level", f"{name}_high"], [f"{name}_below"]),
            helper.make_node("And", [f"{name}_above", f"{name}_below"], [name]),
        ]
    nodes += [
        helper.make_node("Where", ["returns_NaN", "nan", "zero"], ["flaw"]),
        helper.make_node("Where", ["raises", "outside", "inside"], ["index"]),
        helper.make_node("Gather", ["table", "index"], ["looked_up"]),
        helper.make_node("Where", ["hangs", "forever", "never"], ["turns"]),
        helper.make_node("Loop", ["turns", "go_on", "zero"], ["turned"], body=_turn()),
        helper.make_node("Sum", ["flaw", "looked_up", "turned"], ["trouble"]),
    ]
    outputs = []
    for name, shape in shapes.items():
        constants[f"{name}_plain"] = np.zeros((1, *shape), np.float32)
        constants[f"{name}_shape"] = np.array(shape)
        trouble = "trouble" if name == "scores" else "zero"
        nodes += [
            helper.make_node("Concat", ["batch", f"{name}_shape"], [f"{name}_full"], axis=0),
            helper.make_node("Expand", [f"{name}_plain", f"{name}_full"], [f"{name}_fine"]),
            helper.make_node("Add", [f"{name}_fine", trouble], [name]),
        ]
        outputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, ["B", *shape]))
    images = helper.make_tensor_value_info("images", TensorProto.UINT8, ["B", _HEIGHT, _WIDE, 1])
    initializers = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "faulty", [images], outputs, initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    helper.set_model_props(model, {METADATA_KEY: _facts().to_json()})
    onnx.save(model, path)
    return path


def _turn() -> onnx.GraphProto:
    """One turn of a loop that changes nothing."""
    number = helper.make_tensor_value_info("turn", TensorProto.INT64, [])
    go_on = helper.make_tensor_value_info("still", TensorProto.BOOL, [])
    value = helper.make_tensor_value_info("value", TensorProto.FLOAT, [])
    go_on_out = helper.make_tensor_value_info("still_out", TensorProto.BOOL, [])
    value_out = helper.make_tensor_value_info("value_out", TensorProto.FLOAT, [])
    nodes = [
        helper.make_node("Identity", ["still"], ["still_out"]),
        helper.make_node("Mul", ["value", "value"], ["value_out"]),
    ]
    return helper.make_graph(nodes, "turn", [number, go_on, value], [go_on_out, value_out])


def _facts() -> ModelFacts:
    return ModelFacts(
        name="faulty",
        version="1.0.0",
        structures=structure_names(),
        input=InputRule(height=_HEIGHT, width=_WIDE, channels=1),
        candidates=4,
        prototypes=(2, 6, 8),
        postprocess={},
    )
