"""From a network to one ONNX file that serves without anything beside it."""

from __future__ import annotations

import copy
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from onnx import ModelProto, checker
from onnx import save_model as save_proto
from onnxscript import optimizer

from fetalseg.candidates import Candidates
from fetalseg.errors import MissingExtraError
from fetalseg.export.describe import describe
from fetalseg.export.graph import CandidateGraph, CandidateTensors
from fetalseg.export.source import load_source
from fetalseg.export.verify import Difference, check_differences, compare, noise_frames, structured_frames
from fetalseg.model.yolact import Yolact
from fetalseg.model_file import METADATA_KEY, ModelFacts

__all__ = ["describe", "export_network", "export_onnx", "run_file", "run_network", "to_onnx", "write_checked"]

OPSET = 18
OUTPUTS = CandidateTensors._fields


def export_onnx(
    source: str | Path,
    out: str | Path,
    *,
    candidates: int | None = None,
    name: str | None = None,
    version: str | None = None,
    licence: str | None = None,
) -> list[Difference]:
    """Writes a network as an ONNX file in fp32, and runs the file against the network before it gets its name.

    Args:
        source: a .safetensors checkpoint, or an .onnx file in fp32.
        out: where to write; a file there is replaced.
        candidates: n, rows that the graph returns for a frame; what is None here and below is as `load_source` says.
        name: how users call the model.
        version: of the weights.
        licence: of the weights.

    Returns:
        The differences between the network and the file as onnxruntime runs it, by kind of frame and output.

    Raises:
        ModelFileError: the source can't be read, isn't in fp32, or doesn't name its structures.
        EngineError: the file computes something else than the network; nothing was written.
    """
    network, facts = load_source(source, candidates=candidates, name=name, version=version, licence=licence)
    return export_network(network, out, facts)


def export_network(network: Yolact, out: str | Path, facts: ModelFacts) -> list[Difference]:
    """As `export_onnx`, for a network in memory (which is left as it is)."""
    graph = CandidateGraph(copy.deepcopy(network).cpu().fuse(), facts.candidates).eval()
    with write_checked(to_onnx(graph, facts), out) as written:
        differences = _verify(written, graph)
        check_differences(differences)
    return differences


@contextmanager
def write_checked(model: ModelProto, out: str | Path) -> Iterator[Path]:
    """Writes a file under a passing name; it gets its own only if the block that checks it doesn't fail."""
    out = Path(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    partial = out.with_name(f".{out.name}.{os.getpid()}")
    try:
        save_proto(model, partial)
        yield partial
        partial.replace(out)
    finally:
        partial.unlink(missing_ok=True)


def to_onnx(graph: CandidateGraph, facts: ModelFacts) -> ModelProto:
    """The graph with the facts, each weight under the name that it has in the network."""
    # Two frames: a batch of one would be taken for a constant.
    example = torch.from_numpy(noise_frames(facts.input, 2))
    program = torch.onnx.export(
        graph,
        (example,),
        dynamo=True,
        input_names=["images"],
        output_names=list(OUTPUTS),
        dynamic_shapes={"images": {0: torch.export.Dim("batch", min=1)}},
        opset_version=OPSET,
        optimize=False,
        verbose=False,
    )
    assert program is not None
    # Not the exporter's own clean-up: that drops biases that are 0 and merges equal tensors, and with them the names by
    # which the torch engine reads the weights back.
    optimizer.inline(program.model)
    optimizer.fold_constants(program.model)
    optimizer.remove_unused_nodes(program.model)
    model: ModelProto = program.model_proto
    # The exporter notes for each node from which line of which file it came: of no use here, and paths of a machine.
    for part in (model.graph, *model.graph.node, *model.graph.value_info, *model.graph.initializer):
        part.ClearField("metadata_props")
        part.ClearField("doc_string")
    del model.metadata_props[:]
    model.metadata_props.add(key=METADATA_KEY, value=facts.to_json())
    checker.check_model(model)
    return model


def run_file(path: Path, frames: npt.NDArray[np.uint8]) -> Candidates:
    """What onnxruntime makes of uint8 frames [B, h, w, c] on the processor; float32 whatever the file's outputs are.

    Raises:
        MissingExtraError: onnxruntime isn't installed.
        EngineError: values that are not finite.
    """
    try:
        import onnxruntime
    except ImportError:
        raise MissingExtraError("onnxruntime", "cpu") from None
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    outputs = session.run(list(OUTPUTS), {"images": frames})
    candidates = Candidates(*(np.asarray(output, np.float32) for output in outputs))
    candidates.check()
    return candidates


def run_network(graph: CandidateGraph, frames: npt.NDArray[np.uint8]) -> Candidates:
    """What the network itself makes of them, every anchor kept."""
    whole = CandidateGraph(graph.network, len(graph.network.anchors))
    with torch.inference_mode():
        return Candidates(*(output.numpy() for output in whole(torch.from_numpy(frames))))


def _verify(path: Path, graph: CandidateGraph) -> list[Difference]:
    rule = graph.network.variant.input
    differences: list[Difference] = []
    for kind, frames in (("noise", noise_frames(rule, 3)), ("structured", structured_frames(rule, 1))):
        differences += compare(run_network(graph, frames), run_file(path, frames), kind)
    return differences
