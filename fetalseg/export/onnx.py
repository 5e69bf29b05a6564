"""From a checkpoint to one ONNX file that serves without anything beside it."""

from __future__ import annotations

import copy
import datetime
import logging
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from onnx import ModelProto, checker
from onnx import save_model as save_proto
from onnxscript import optimizer

from fetalseg.anatomy import structure_names
from fetalseg.candidates import Candidates
from fetalseg.errors import MissingExtraError, ModelFileError
from fetalseg.export.graph import CandidateGraph, CandidateTensors
from fetalseg.export.verify import Difference, check_differences, compare, noise_frames, structured_frames
from fetalseg.model.checkpoint import load_checkpoint
from fetalseg.model.yolact import Yolact, normalisation
from fetalseg.model_file import METADATA_KEY, ModelFacts, file_digest
from fetalseg.taxonomy import check_names

__all__ = ["describe", "export_network", "export_onnx"]

OPSET = 18
OUTPUTS = CandidateTensors._fields

logger = logging.getLogger(__name__)


def export_onnx(
    checkpoint: str | Path,
    out: str | Path,
    *,
    candidates: int = 300,
    name: str | None = None,
    version: str = "0.1.0",
    licence: str | None = None,
) -> list[Difference]:
    """Writes a checkpoint as an ONNX file, and runs the file against the network before it gets its name.

    Args:
        checkpoint: .safetensors.
        out: where to write; a file there is replaced.
        candidates: n, rows that the graph returns for a frame.
        name: how users call the model; the variant's name if None.
        version: of the weights.
        licence: of the weights; the checkpoint's if None.

    Returns:
        The differences between the network and the file as onnxruntime runs it, by kind of frame and output.

    Raises:
        ModelFileError: the checkpoint can't be read, or doesn't name its structures.
        EngineError: the file computes something else than the network; nothing was written.
    """
    network, training = load_checkpoint(checkpoint)
    if licence is not None:
        training = {**training, "licence": licence}
    facts = describe(
        network, training, candidates=candidates, name=name, version=version, weights_sha256=file_digest(checkpoint)
    )
    return export_network(network, out, facts)


def describe(
    network: Yolact,
    training: dict[str, Any] | None = None,
    *,
    candidates: int = 300,
    name: str | None = None,
    version: str = "0.1.0",
    weights_sha256: str = "",
) -> ModelFacts:
    """The facts of a network.

    Args:
        network: any.
        training: facts of a checkpoint; used are structures (names in label order; the seventeen if absent),
            postprocess, training_data, licence and commit, where present.
        candidates: n.
        name: the variant's if None.
        version: of the weights.
        weights_sha256: digest of the checkpoint.

    Raises:
        ModelFileError: the names of the structures are unusable, or not as many as the network tells apart.
    """
    variant, training = network.variant, training or {}
    return ModelFacts(
        name=name or variant.name,
        version=version,
        structures=_structures(network, training),
        input=variant.input,
        candidates=candidates,
        prototypes=(variant.prototypes, *variant.prototype_shape),
        normalisation=normalisation(variant.input.channels),
        postprocess=dict(training.get("postprocess", {})),
        architecture=asdict(variant),
        weights_sha256=weights_sha256,
        training_data=tuple(training.get("training_data", ())),
        licence=str(training.get("licence", "")),
        created=datetime.datetime.now(datetime.UTC).date().isoformat(),
        commit=str(training.get("commit", "")),
    )


def _structures(network: Yolact, training: dict[str, Any]) -> tuple[str, ...]:
    names = tuple(training.get("structures", structure_names()))
    try:
        check_names(names)
    except ValueError as error:
        raise ModelFileError(f"the checkpoint's structures: {error}") from None
    if len(names) != network.variant.structures:
        raise ModelFileError(
            f"the network tells {network.variant.structures} structures apart, the checkpoint names {len(names)}: "
            f"{', '.join(names)}"
        )
    return names


def export_network(network: Yolact, out: str | Path, facts: ModelFacts) -> list[Difference]:
    """As `export_onnx`, for a network in memory (which is left as it is)."""
    graph = CandidateGraph(copy.deepcopy(network).cpu().fuse(), facts.candidates).eval()
    model = _convert(graph, facts)
    out = Path(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    partial = out.with_name(f".{out.name}.{os.getpid()}")
    try:
        save_proto(model, partial)
        differences = _verify(partial, graph)
        check_differences(differences)
        partial.replace(out)
    finally:
        partial.unlink(missing_ok=True)
    return differences


def _convert(graph: CandidateGraph, facts: ModelFacts) -> ModelProto:
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


def _verify(path: Path, graph: CandidateGraph) -> list[Difference]:
    try:
        import onnxruntime
    except ImportError:
        raise MissingExtraError("onnxruntime", "cpu") from None
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    rule = graph.network.variant.input
    whole = CandidateGraph(graph.network, len(graph.network.anchors))
    differences: list[Difference] = []
    for kind, frames in (("noise", noise_frames(rule, 3)), ("structured", structured_frames(rule, 1))):
        actual = Candidates(*session.run(list(OUTPUTS), {"images": frames}))
        actual.check()
        differences += compare(_run(whole, frames), actual, kind)
    return differences


def _run(graph: CandidateGraph, frames: npt.NDArray[np.uint8]) -> Candidates:
    with torch.inference_mode():
        return Candidates(*(output.numpy() for output in graph(torch.from_numpy(frames))))
