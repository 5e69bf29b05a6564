"""From a network to one ONNX file in lower precision: fp16 or int8."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
from onnx import ModelProto, checker

from fetalseg.export.detection_shift import Shift, check_found, check_shifts, detection_shifts
from fetalseg.export.graph import CandidateGraph
from fetalseg.export.half import half_graph
from fetalseg.export.onnx import run_file, run_network, to_onnx, write_checked
from fetalseg.export.quantise import ACTIVATIONS, Activations, quantise
from fetalseg.model.yolact import Yolact
from fetalseg.model_file import METADATA_KEY, ModelFacts

__all__ = ["LOWER_PRECISIONS", "LowerPrecision", "export_reduced"]

LowerPrecision = Literal["fp16", "int8"]
LOWER_PRECISIONS: tuple[LowerPrecision, ...] = ("fp16", "int8")

CHECKED = 16  # frames on which the file is held against the network


def export_reduced(
    network: Yolact,
    out: str | Path,
    facts: ModelFacts,
    precision: LowerPrecision,
    frames: npt.NDArray[np.uint8],
    *,
    activations: Activations = "asymmetric",
) -> list[Shift]:
    """Writes a network in lower precision, and holds the file against the network before it gets its name.

    Args:
        network: in fp32; left as it is.
        out: where to write; a file there is replaced.
        facts: of the network; those in the file differ in `precision` alone.
        precision: of the file. Scores and boxes are float32 in both; the outputs that masks are made of are float16 in
            an fp16 file.
        frames: uint8 [N, h, w, c] in which the network finds something. The last 16, at most half of them, are those
            of the comparison; the ranges of int8 are found on the others (a single frame serves for both).
        activations: of int8, see `fetalseg.export.quantise.quantise`.

    Returns:
        How far the detections of the file, as onnxruntime runs it, lie from the network's.

    Raises:
        ValueError: an unknown word, no frames, or frames that don't fit the network.
        EngineError: the detections lie too far away, or there are none; nothing was written.
    """
    _check(facts, precision, frames, activations)
    checked = max(1, min(CHECKED, len(frames) // 2))
    graph = CandidateGraph(copy.deepcopy(network).cpu().fuse(), facts.candidates).eval()
    reference = run_network(graph, frames[-checked:])
    check_found(reference)
    facts = replace(facts, precision=precision)
    if precision == "fp16":
        model = to_onnx(half_graph(graph), facts)
    else:
        model = _quantised(graph, facts, frames[:-checked] if len(frames) > 1 else frames, activations)
    with write_checked(model, out) as written:
        actual = run_file(written, frames[-checked:])
        shifts = detection_shifts(reference, actual, (facts.input.height, facts.input.width))
        check_shifts(shifts, precision)
    return shifts


def _quantised(
    graph: CandidateGraph, facts: ModelFacts, frames: npt.NDArray[np.uint8], activations: Activations
) -> ModelProto:
    model = quantise(to_onnx(graph, facts), frames, activations)
    model.metadata_props.add(key=METADATA_KEY, value=facts.to_json())
    checker.check_model(model)
    return model


def _check(facts: ModelFacts, precision: str, frames: npt.NDArray[np.uint8], activations: str) -> None:
    if precision not in LOWER_PRECISIONS:
        raise ValueError(f"unknown precision {precision!r}; expected {' or '.join(LOWER_PRECISIONS)}")
    if activations not in ACTIVATIONS:
        raise ValueError(f"unknown activations {activations!r}; expected {' or '.join(ACTIVATIONS)}")
    expected = (facts.input.height, facts.input.width, facts.input.channels)
    if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[1:] != expected or len(frames) == 0:
        raise ValueError(
            f"frames must be uint8 [N, {', '.join(map(str, expected))}], got {frames.dtype} {frames.shape}"
        )
