"""Starting from what another network has learnt."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from fetalseg.errors import ModelFileError
from fetalseg.model.checkpoint import load_checkpoint
from fetalseg.model.yolact import Yolact

__all__ = ["Fitted", "start_from"]


class Fitted(NamedTuple):
    """How much of a network was filled.

    Attributes:
        weights: tensors taken over.
        of: tensors that the network has.
    """

    weights: int
    of: int


def start_from(network: Yolact, path: Path) -> Fitted:
    """Fills a network, in place, with the weights of a checkpoint that fit by name and shape; others stay.

    The checkpoint may be of another variant or of other structures: then its class layers don't fit.

    Raises:
        ModelFileError: no checkpoint of ours, or none of its weights fits.
    """
    other, _ = load_checkpoint(path)
    wanted = {name: tensor for name, tensor in network.state_dict().items() if tensor.dtype.is_floating_point}
    given = other.state_dict()
    fitting = {name: given[name] for name, t in wanted.items() if name in given and given[name].shape == t.shape}
    if not fitting:
        raise ModelFileError(
            f"{path.name} ({other.variant.name}) has no weight that fits {network.variant.name} by name and shape"
        )
    network.load_state_dict(fitting, strict=False)
    return Fitted(len(fitting), len(wanted))
