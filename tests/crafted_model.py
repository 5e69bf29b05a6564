"""ONNX files whose candidates are known beforehand, to see what engines and the segmenter make of them."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, helper, numpy_helper

from fetalseg.anatomy import structure_names
from fetalseg.candidates import Candidates
from fetalseg.model_file import METADATA_KEY, ModelFacts
from fetalseg.preprocess import InputRule

Flaw = Literal["nan", "inf", "minus inf and inf"]


def crafted_candidates() -> Candidates:
    """A cranium (score 0.9) in the box 8, 4, 24, 20 of a 32 x 24 input, whose mask fills its box, and padding."""
    scores = np.zeros((1, 4, 17), np.float32)
    scores[0, 0, 0] = 0.9
    boxes = np.zeros((1, 4, 4), np.float32)
    boxes[0, 0] = 8, 4, 24, 20
    coefficients = np.zeros((1, 4, 2), np.float32)
    coefficients[0, 0] = 1, -1
    prototypes = np.zeros((1, 2, 6, 8), np.float32)
    prototypes[0, 0, 1:5, 2:6] = 5
    prototypes[0, 1] = 5 - prototypes[0, 0]
    return Candidates(scores, boxes, coefficients, prototypes)


def crafted_facts(
    *, postprocess: dict[str, object] | None = None, structures: tuple[str, ...] | None = None
) -> ModelFacts:
    return ModelFacts(
        name="crafted",
        version="1.0.0",
        structures=structures or structure_names(),
        input=InputRule(height=24, width=32, channels=1),
        candidates=4,
        prototypes=(2, 6, 8),
        postprocess=postprocess or {},
    )


def _nodes_of_flaw(flaw: Flaw | None) -> list[NodeProto]:
    """What makes the value `flaw` of a frame: 0 where it is dark, the flaw where it is bright."""
    return [
        helper.make_node("Shape", ["images"], ["batch"], start=0, end=1),
        helper.make_node("Cast", ["images"], ["levels"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["levels", "pixel_axes"], ["mean"], keepdims=0),
        helper.make_node("Mul", ["mean", "ten"], ["tenfold"]),
        helper.make_node("Sub", ["tenfold", "limit"], ["beyond"]),
        helper.make_node("Exp", ["beyond"], ["blown"]),  # 0 for dark frames, infinite for bright ones
        helper.make_node("Sub", ["blown", "blown"], ["undefined"]),  # 0 for dark frames, NaN for bright ones
        helper.make_node("Reshape", ["undefined" if flaw == "nan" else "blown", "column"], ["flaw"]),
    ]


def write_crafted_model(
    path: Path,
    *,
    candidates: Candidates | None = None,
    facts: str | None = None,
    flaw: Flaw | None = None,
    flaw_above: float = 128,
    output_names: tuple[str, ...] = Candidates._fields,
) -> Path:
    """Writes a model that answers every frame with the same candidates.

    Args:
        path: the file to write.
        candidates: a batch of one; None: `crafted_candidates`.
        facts: the metadata; None: those of `crafted_facts`.
        flaw: what appears in the scores of bright frames.
        flaw_above: the mean of a frame from which on it is bright.
        output_names: of the four outputs.
    """
    values = candidates or crafted_candidates()
    nodes = _nodes_of_flaw(flaw)
    constants = {"pixel_axes": np.array([1, 2, 3]), "column": np.array([-1, 1, 1])}
    constants |= {"ten": np.float32(10), "limit": np.float32(10 * flaw_above), "sign": np.ones((1, 1, 17), np.float32)}
    if flaw == "minus inf and inf":
        constants["sign"][0, 0, 0] = -1
    outputs = []
    for name, value in zip(output_names, values, strict=True):
        constants[f"{name}_value"] = value
        constants[f"{name}_shape"] = np.array(value.shape[1:])
        nodes += [
            helper.make_node("Concat", ["batch", f"{name}_shape"], [f"{name}_full"], axis=0),
            helper.make_node("Expand", [f"{name}_value", f"{name}_full"], [f"{name}_plain"]),
        ]
        if flaw is not None and name == "scores":
            nodes.append(helper.make_node("Mul", ["flaw", "sign"], ["signed_flaw"]))
            nodes.append(helper.make_node("Add", [f"{name}_plain", "signed_flaw"], [name]))
        else:
            nodes.append(helper.make_node("Identity", [f"{name}_plain"], [name]))
        outputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, ["B", *value.shape[1:]]))
    graph = helper.make_graph(
        nodes,
        "crafted",
        [helper.make_tensor_value_info("images", TensorProto.UINT8, ["B", 24, 32, 1])],
        outputs,
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    text = crafted_facts().to_json() if facts is None else facts
    if text:
        helper.set_model_props(model, {METADATA_KEY: text})
    onnx.checker.check_model(model)
    onnx.save(model, path)
    return path
