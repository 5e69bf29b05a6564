"""The facts that a network's model file carries."""

from __future__ import annotations

import datetime
from dataclasses import asdict
from typing import Any

from fetalseg.anatomy import structure_names
from fetalseg.errors import ModelFileError
from fetalseg.model.yolact import Yolact, normalisation
from fetalseg.model_file import ModelFacts
from fetalseg.taxonomy import check_names

__all__ = ["describe"]


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
