"""A trainer from plain settings: what `fetalseg train` calls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from fetalseg.data.frames import AnnotatedFrame
from fetalseg.model.variants import Variant
from fetalseg.model.yolact import Yolact
from fetalseg.training.batches import FrameSet
from fetalseg.training.trainer import Trainer, TrainOptions

__all__ = ["build_trainer", "check_device"]


def build_trainer(
    variant: Variant,
    sets: Sequence[FrameSet],
    held_out: Mapping[str, Sequence[AnnotatedFrame]],
    out: Path,
    options: TrainOptions,
    *,
    imagenet: bool = True,
    threads: int | None = None,
    facts: dict[str, Any] | None = None,
) -> Trainer:
    """A trainer of a fresh network, seeded by the options.

    Args:
        variant: which network.
        sets: training frames with their shares.
        held_out: validation frames of each set by name.
        out: the run's folder.
        options: the numbers.
        imagenet: start the backbone from ImageNet weights, where there are any for it.
        threads: of the computation; PyTorch's choice if None.
        facts: for the checkpoints' header.

    Raises:
        ValueError: see `BatchMaker` and `check_device`.
    """
    check_device(options.device)
    if threads is not None:
        torch.set_num_threads(threads)
    torch.manual_seed(options.seed)
    network = Yolact(variant, imagenet=imagenet and variant.backbone != "tiny")
    return Trainer(network, sets, held_out, out, options, facts=facts)


def check_device(word: str) -> None:
    """Refuses a device that isn't there.

    Raises:
        ValueError: the message lists what is available.
    """
    available = ["cpu", *(f"cuda:{index}" for index in range(torch.cuda.device_count()))]
    if word not in available and not (word == "cuda" and len(available) > 1):
        raise ValueError(f"no device {word!r}; available: {', '.join(available)}")
