"""Back from an exported file to the network: the weights keep their names in it."""

from __future__ import annotations

from pathlib import Path

import onnx
import torch
from onnx import numpy_helper

from fetalseg.errors import ModelFileError
from fetalseg.model.checkpoint import load_weights
from fetalseg.model.variants import Variant
from fetalseg.model.yolact import Yolact
from fetalseg.model_file import ModelFacts, read_facts

__all__ = ["load_exported"]

_PREFIX = "network."  # of the weights' names in an exported file


def load_exported(path: Path) -> tuple[Yolact, ModelFacts]:
    """Builds the network from a file's facts, and fills it with the file's initializers.

    Args:
        path: an ONNX file that `fetalseg export` wrote in fp32.

    Returns:
        The network, fused and in evaluation mode, and the facts.

    Raises:
        ModelFileError: not a file of ours, one whose weights are no longer float32, or weights that don't fit.
    """
    facts = read_facts(path)
    if facts.precision != "fp32":
        raise ModelFileError(
            f"{path.name} holds {facts.precision} weights; a network is read back from a file in fp32 only"
        )
    try:
        network = Yolact(Variant.from_dict(facts.architecture)).fuse()
    except (ValueError, KeyError) as error:
        raise ModelFileError(f"{path.name} doesn't say which network it holds: {error}") from None
    found = _initializers(path)
    # The semantic branch serves training only, and isn't exported.
    found |= {name: tensor for name, tensor in network.state_dict().items() if name.startswith("semantic.")}
    load_weights(network, found, path.name)
    return network, facts


def _initializers(path: Path) -> dict[str, torch.Tensor]:
    """The network's weights by name; the exporter sees to it that each keeps its own."""
    return {
        tensor.name.removeprefix(_PREFIX): torch.from_numpy(numpy_helper.to_array(tensor).copy())
        for tensor in onnx.load(path).graph.initializer
        if tensor.name.startswith(_PREFIX)
    }
