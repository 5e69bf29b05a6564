"""Training checkpoints: `.safetensors` with the variant and the facts of the training in the header. No pickle."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from fetalseg.errors import ModelFileError
from fetalseg.model.variants import Variant
from fetalseg.model.yolact import Yolact

__all__ = ["load_checkpoint", "save_checkpoint"]

HEADER_KEY = "fetalseg"
SCHEMA = 1


def save_checkpoint(path: str | Path, network: Yolact, facts: dict[str, Any]) -> None:
    """Writes a network; the file appears whole or not at all.

    Args:
        path: ends with .safetensors.
        network: not fused.
        facts: anything that JSON can hold; `fetalseg.export` uses training_data, licence, commit, postprocess.

    Raises:
        ModelFileError: another suffix.
    """
    path = _checked(path)
    header = {"schema": SCHEMA, "architecture": asdict(network.variant), "facts": facts}
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    save_file(tensors, partial, metadata={HEADER_KEY: json.dumps(header)})
    partial.replace(path)


def load_checkpoint(path: str | Path) -> tuple[Yolact, dict[str, Any]]:
    """Reads what `save_checkpoint` wrote.

    Returns:
        The network in evaluation mode on the CPU, and the facts.

    Raises:
        ModelFileError: another suffix (a pickle is never opened), no such file, not one of ours, or weights that
            don't fit the variant in the header.
    """
    path = _checked(path)
    if not path.is_file():
        raise ModelFileError(f"no checkpoint at {path}")
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            header = json.loads((file.metadata() or {}).get(HEADER_KEY, "null"))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dictionary
    except SafetensorError as error:
        raise ModelFileError(f"{path.name} is not a safetensors file: {error}") from None
    if not isinstance(header, dict) or header.get("schema") != SCHEMA:
        raise ModelFileError(f"{path.name} is not a checkpoint of fetalseg with schema {SCHEMA}")
    try:
        network = Yolact(Variant.from_dict(header["architecture"]))
        network.load_state_dict(tensors)
    except (ValueError, RuntimeError) as error:
        raise ModelFileError(f"{path.name} doesn't fit its variant: {error}") from None
    return network.eval(), header["facts"]


def _checked(path: str | Path) -> Path:
    path = Path(path)
    if path.suffix != ".safetensors":
        raise ModelFileError(f"checkpoints are .safetensors files, pickles are never opened; got {path.name}")
    return path
