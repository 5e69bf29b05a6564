"""A trainer from plain settings: what `fetalseg train` calls."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from fetalseg.data.augment import AugmentOptions
from fetalseg.model.variants import Variant
from fetalseg.model.yolact import Yolact
from fetalseg.training.distributed import Processes
from fetalseg.training.initial_weights import start_from
from fetalseg.training.options import TrainOptions
from fetalseg.training.trainer import Trainer
from fetalseg.training.training_data import TrainingData

__all__ = ["build_network", "build_trainer", "check_device"]


def build_network(variant: Variant, structures: int, *, seed: int, imagenet: bool = True) -> Yolact:
    """A fresh network for so many structures.

    Args:
        variant: which network.
        structures: C.
        seed: of the random weights.
        imagenet: start the backbone from ImageNet weights, where there are any for it.
    """
    torch.manual_seed(seed)
    return Yolact(replace(variant, structures=structures), imagenet=imagenet and variant.backbone != "tiny")


def build_trainer(
    variant: Variant,
    data: TrainingData,
    out: Path,
    options: TrainOptions,
    *,
    imagenet: bool = True,
    init: Path | None = None,
    augmentation: AugmentOptions | None = None,
    threads: int | None = None,
    facts: dict[str, Any] | None = None,
    processes: Processes | None = None,
) -> Trainer:
    """A trainer of a fresh network, seeded by the options.

    Args:
        variant: which network; it learns the structures of the data.
        data: to learn from and to validate on.
        out: the run's folder.
        options: the numbers.
        imagenet: start the backbone from ImageNet weights, where there are any for it.
        init: a checkpoint to start from instead, as far as its weights fit; facts["init"] then says how far.
        augmentation: how far to vary frames.
        threads: of the computation; PyTorch's choice if None.
        facts: for the checkpoints' header.
        processes: this one among those that share the run.

    Raises:
        ValueError: see `BatchMaker` and `check_device`.
        ModelFileError: see `start_from` and `Backbone`.
    """
    check_device(options.device)
    if threads is not None:
        torch.set_num_threads(threads)
    network = build_network(variant, len(data.structures), seed=options.seed, imagenet=imagenet and init is None)
    facts = dict(facts or {})
    if init is not None:
        fitted = start_from(network, init)
        facts["init"] = f"{fitted.weights} of {fitted.of} weights from {init.name}"
    return Trainer(
        network,
        data.sets,
        data.held_out,
        out,
        options,
        structures=data.structures,
        augmentation=augmentation,
        facts=facts,
        processes=processes,
    )


def check_device(word: str) -> None:
    """Refuses a device that isn't there.

    Raises:
        ValueError: the message lists what is available.
    """
    available = ["cpu", *(f"cuda:{index}" for index in range(torch.cuda.device_count()))]
    if word not in available and not (word == "cuda" and len(available) > 1):
        raise ValueError(f"no device {word!r}; available: {', '.join(available)}")
