"""The network to measure: one that exists, or one made for the purpose, good for its speed only."""

from __future__ import annotations

import importlib.util
import tempfile
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from fetalseg.errors import MissingExtraError, ModelFileError
from fetalseg.model_file import ModelFacts, find_model, read_facts

if TYPE_CHECKING:
    from fetalseg.model.variants import Variant
    from fetalseg.model.yolact import Yolact

__all__ = ["NetworkFile", "build_network", "find_network"]

SHIPPED = "as in the file"
RESIZED = "as in the file, at an input they weren't trained for: speed only"
RANDOM = "random weights: speed only"

_SEED = 0


@dataclass(frozen=True)
class NetworkFile:
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


def find_network(model: str, size: tuple[int, int] | None, folder: Path) -> NetworkFile:
    """The file of a model, or one that is exported for the measurement.

    Args:
        model: a name, a path, or a variant for which no weights ship ("yolact-r50"), which gets seeded random ones.
        size: (h, w) wanted of the network's input, for which a model is exported anew; None: the model's own.
        folder: where an exported file goes.

    Raises:
        ModelFileError: no such model, or it can't have that input.
        MissingExtraError: an export is needed, and PyTorch isn't installed.
    """
    path = _existing(model)
    if path is not None:
        if size is None:
            return NetworkFile(path)
        if path.suffix != ".safetensors":
            rule = read_facts(path).input
            if size == (rule.height, rule.width):
                return NetworkFile(path)
            if path.suffix == ".engine":
                raise ModelFileError(
                    f"{path.name} was built for an input of {rule.width}x{rule.height}; another one takes the model's "
                    ".onnx or .safetensors file"
                )
    network, facts, weights = build_network(model, size)
    from fetalseg.export.onnx import export_network

    out = Path(tempfile.mkdtemp(dir=folder)) / f"{facts.name}.onnx"  # two models may have one name
    export_network(network, out, facts)
    return NetworkFile(out, weights)


def build_network(model: str, size: tuple[int, int] | None) -> tuple[Yolact, ModelFacts, str]:
    """A model's network in PyTorch, in evaluation mode, its facts, and what its weights are worth.

    Args:
        model: see `find_network`.
        size: likewise.

    Raises:
        ModelFileError, MissingExtraError: see `find_network`.
    """
    if importlib.util.find_spec("torch") is None:
        raise MissingExtraError("torch", "train")
    path = _existing(model)
    if path is None:
        return _random(model, size)
    network, facts = _loaded(path)
    if size is None or size == (facts.input.height, facts.input.width):
        return network, facts, SHIPPED

    from fetalseg.model.yolact import Yolact

    variant = _resized(network.variant, size)
    other = Yolact(variant).fuse()
    other.load_state_dict(network.state_dict())
    shape = (variant.prototypes, *variant.prototype_shape)
    return other, replace(facts, input=variant.input, prototypes=shape, architecture=asdict(variant)), RESIZED


def _existing(model: str) -> Path | None:
    """The file of a model; None of a variant for which there is none."""
    try:
        return find_model(model)
    except ModelFileError as error:
        if importlib.util.find_spec("torch") is None:
            raise
        from fetalseg.model.variants import VARIANTS

        if model in VARIANTS:
            return None
        raise ModelFileError(f"{error}; variants without weights: {', '.join(VARIANTS)}") from None


def _loaded(path: Path) -> tuple[Yolact, ModelFacts]:
    from fetalseg.export.describe import describe
    from fetalseg.export.exported_network import load_exported
    from fetalseg.model.checkpoint import load_checkpoint

    if path.suffix != ".safetensors":
        return load_exported(path)
    network, training = load_checkpoint(path)
    return network.fuse(), describe(network, training)


def _random(name: str, size: tuple[int, int] | None) -> tuple[Yolact, ModelFacts, str]:
    import torch

    from benchmarks.speed.random_weights import settle_batch_norm
    from fetalseg.export.describe import describe
    from fetalseg.model.variants import VARIANTS
    from fetalseg.model.yolact import Yolact

    with torch.random.fork_rng():
        torch.manual_seed(_SEED)
        network = Yolact(_resized(VARIANTS[name], size))
        settle_batch_norm(network, 255 * torch.rand(2, network.variant.input.channels, 128, 128))
        with torch.no_grad():
            for part, weight in network.named_parameters():
                if part.endswith("boxes.weight"):
                    weight.mul_(0.1)  # boxes stay near their anchors, as those of a trained network do
    return network.fuse(), describe(network, {}, name=name, version="0"), RANDOM


def _resized(variant: Variant, size: tuple[int, int] | None) -> Variant:
    if size is None:
        return variant
    try:
        return replace(variant, input=replace(variant.input, height=size[0], width=size[1]))
    except ValueError as error:
        raise ModelFileError(f"{variant.name} can't have an input of {size[1]}x{size[0]}: {error}") from None
