"""Training checkpoints: `.safetensors` with the variant and the facts of the training in the header. No pickle."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from torch import Tensor

from fetalseg.errors import ModelFileError
from fetalseg.model.tensor_file import write_tensors
from fetalseg.model.variants import Variant
from fetalseg.model.yolact import Yolact

__all__ = ["load_checkpoint", "load_weights", "save_checkpoint"]

HEADER_KEY = "fetalseg"
SCHEMA = 1


def save_checkpoint(path: str | Path, network: Yolact, facts: dict[str, Any], *, half: bool = False) -> None:
    """Writes a network; the file appears whole or not at all.

    Args:
        path: ends with .safetensors.
        network: not fused.
        facts: anything that JSON can hold; `fetalseg.export` uses training_data, licence, commit, postprocess.
        half: store the kernels as float16, half the size; biases and BatchNorm, few but wide of range, stay float32.
            Reading makes all of them float32 again.

    Raises:
        ModelFileError: another suffix.
        OSError: the file can't be written; the one that was there stays.
    """
    path = _checked(path)
    header = {"schema": SCHEMA, "architecture": asdict(network.variant), "facts": facts}
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
    if half:
        tensors = {name: tensor.half() if tensor.ndim > 1 else tensor for name, tensor in tensors.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    write_tensors(path, tensors, {HEADER_KEY: json.dumps(header)})


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
        facts = header["facts"]
    except (ValueError, KeyError, TypeError) as error:
        raise ModelFileError(f"{path.name} doesn't say which network it holds: {error}") from None
    load_weights(network, tensors, path.name)
    return network.eval(), facts


def load_weights(network: Yolact, tensors: dict[str, Tensor], source: str) -> None:
    """Fills a network, all or nothing.

    Args:
        network: changed in place.
        tensors: by their names in the network; others are ignored.
        source: a file's name, for the message.

    Raises:
        ModelFileError: a weight is missing or has another shape.
    """
    wanted = network.state_dict()
    wrong = sorted(name for name, t in wanted.items() if name not in tensors or tensors[name].shape != t.shape)
    if wrong:
        raise ModelFileError(
            f"{source} doesn't fit {network.variant.name}: {len(wrong)} of {len(wanted)} weights are missing or of "
            f"another shape, the first of them {wrong[0]}"
        )
    network.load_state_dict({name: tensors[name] for name in wanted})


def _checked(path: str | Path) -> Path:
    path = Path(path)
    if path.suffix != ".safetensors":
        raise ModelFileError(f"checkpoints are .safetensors files, pickles are never opened; got {path.name}")
    return path
