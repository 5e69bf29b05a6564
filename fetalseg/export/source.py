"""What is exported: a checkpoint, or the network inside a file that was exported in fp32."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from fetalseg.export.describe import describe
from fetalseg.export.exported_network import load_exported
from fetalseg.model.checkpoint import load_checkpoint
from fetalseg.model.yolact import Yolact
from fetalseg.model_file import ModelFacts, file_digest

__all__ = ["load_source"]


def load_source(
    path: str | Path,
    *,
    candidates: int | None = None,
    name: str | None = None,
    version: str | None = None,
    licence: str | None = None,
) -> tuple[Yolact, ModelFacts]:
    """The network and its facts; what isn't given stays as it is in the file.

    Args:
        path: a .safetensors checkpoint, or an .onnx file in fp32.
        candidates: n, rows that the graph returns for a frame; 300 for a checkpoint.
        name: how users call the model; the variant's name for a checkpoint.
        version: of the weights; 0.1.0 for a checkpoint.
        licence: of the weights.

    Raises:
        ModelFileError: the file can't be read, isn't in fp32, or doesn't name its structures.
    """
    path = Path(path)
    if path.suffix == ".onnx":
        network, facts = load_exported(path)
    else:
        network, training = load_checkpoint(path)
        facts = describe(network, training, weights_sha256=file_digest(path))
    given: dict[str, Any] = {"candidates": candidates, "name": name, "version": version, "licence": licence}
    return network, replace(facts, **{fact: value for fact, value in given.items() if value is not None})
