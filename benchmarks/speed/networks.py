"""The model file to measure: one that exists, or one made for the purpose, good for its speed only."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from fetalseg.errors import FetalsegError, MissingExtraError, ModelFileError
from fetalseg.model_file import find_model, read_facts

if TYPE_CHECKING:
    from fetalseg.model.yolact import Yolact

__all__ = ["Network", "find_network"]

SHIPPED = "as shipped"
RESIZED = "as shipped, but at an input they weren't trained for: speed only"
RANDOM = "random weights: speed only"

_SEED = 0


@dataclass(frozen=True)
class Network:
    """A model file.

    Attributes:
        path: of the file.
        weights: what its weights are worth, in words.
    """

    path: Path
    weights: str = SHIPPED

    @property
    def is_random(self) -> bool:
        """Whether what it finds is nonsense."""
        return self.weights == RANDOM


def find_network(model: str, size: tuple[int, int] | None, folder: Path) -> Network:
    """The file of a model, or one that is exported for the measurement.

    Args:
        model: a name, a path, or a variant for which no weights ship ("yolact-r50"), which gets seeded random ones.
        size: (h, w) wanted of the network's input; None: the model's own. A model whose checkpoint lies beside it is
            exported anew from that where the size is another.
        folder: where an exported file goes.

    Raises:
        ModelFileError: no such model, or its input has another size and there is no checkpoint.
        MissingExtraError: an export is needed, and PyTorch isn't installed.
    """
    try:
        path = find_model(model)
    except ModelFileError as error:
        return _exported(model, None, size, folder, error)
    if size is None or path.suffix == ".safetensors":
        return Network(path)
    rule = read_facts(path).input
    if size == (rule.height, rule.width):
        return Network(path)
    checkpoint = path.with_suffix(".safetensors")
    if not checkpoint.is_file():
        raise ModelFileError(
            f"the input of {path.name} is {rule.width}x{rule.height} and fixed, and no checkpoint lies beside it to "
            f"export anew at {size[1]}x{size[0]}"
        )
    return _exported(path.stem, checkpoint, size, folder, None)


def _exported(
    name: str, checkpoint: Path | None, size: tuple[int, int] | None, folder: Path, unknown: FetalsegError | None
) -> Network:
    if importlib.util.find_spec("torch") is None:
        raise unknown or MissingExtraError("torch", "train")
    import torch

    from fetalseg.model.variants import VARIANTS

    if checkpoint is None and name not in VARIANTS:
        assert unknown is not None
        raise ModelFileError(f"{unknown}; without weights there are {', '.join(VARIANTS)}")

    from fetalseg.export.onnx import describe, export_network
    from fetalseg.model.checkpoint import load_checkpoint
    from fetalseg.model.yolact import Yolact

    trained, facts = load_checkpoint(checkpoint) if checkpoint else (None, {})
    variant = trained.variant if trained else VARIANTS[name]
    rule = variant.input if size is None else replace(variant.input, height=size[0], width=size[1])
    try:
        variant = replace(variant, input=rule)
    except ValueError as error:
        raise ModelFileError(f"{name} can't be built for an input of {rule.width}x{rule.height}: {error}") from None
    with torch.random.fork_rng():
        torch.manual_seed(_SEED)
        network = Yolact(variant).eval()
        if trained:
            network.load_state_dict(trained.state_dict())
        else:
            _normalise(network)
    path = folder / f"{name}-{rule.width}x{rule.height}.onnx"
    export_network(network, path, describe(network, facts, name=name, version="0"))
    return Network(path, RESIZED if trained else RANDOM)


def _normalise(network: Yolact) -> None:
    """Gives the normalisation layers the statistics of noise: else values of random layers grow from stage to stage."""
    import torch

    network.train()
    with torch.no_grad():
        for _ in range(10):
            network(255 * torch.rand(2, network.variant.input.channels, 128, 128))
    network.eval()
