"""The numbers of a run."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from fetalseg.training.schedule import Budget

__all__ = ["PRECISIONS", "Precision", "Shipped", "TrainOptions"]

Precision = Literal["fp32", "bf16", "fp16"]
PRECISIONS: tuple[Precision, ...] = get_args(Precision)
Shipped = Literal["best", "last"]

# What may change when a run is resumed: none of it moves the curve of the losses.
_FREE = frozenset({"save_every", "loaders", "validations", "patience", "device", "ship"})


@dataclass(frozen=True)
class TrainOptions:
    """The numbers of a run.

    Attributes:
        budget: when it ends at the latest.
        batch: frames in a step, over all processes together.
        learning_rate: peak, of everything but the backbone.
        backbone_rate: the backbone's share of it; its weights are good already.
        weight_decay: AdamW's, on weights with two dimensions or more.
        warm_up: share of the run.
        average: decay of the moving average of the weights.
        clip: largest norm of the gradient.
        freeze: first stages of the backbone that keep their weights; its BatchNorm always does.
        validations: how often in a run, the end included.
        patience: end after this many validations in a row without a better score; None: never before the budget.
        save_every: steps between two states to resume from; an epoch at the most, whatever is given.
        seed: all chance comes from it.
        precision: of the network where that is safe; losses, weights and their averages stay float32. "fp16" scales
            the loss, so that small gradients survive.
        loaders: threads that make batches.
        ship: which weights are written in half precision at the end: the best ones by validation, or the last ones, for
            which nothing was chosen on the held-out frames.
        device: "cpu", "cuda" or "cuda:N", as PyTorch names it.

    Raises:
        ValueError: a number out of range.
    """

    budget: Budget
    batch: int = 16
    learning_rate: float = 1e-3
    backbone_rate: float = 0.3
    weight_decay: float = 0.02
    warm_up: float = 0.03
    average: float = 0.998
    clip: float = 5.0
    freeze: int = 1
    validations: int = 10
    patience: int | None = None
    save_every: int = 100
    seed: int = 0
    precision: Precision = "bf16"
    loaders: int = 1
    ship: Shipped = "best"
    device: str = "cpu"

    def __post_init__(self) -> None:
        if self.precision not in PRECISIONS:
            raise ValueError(f"unknown precision {self.precision!r}; expected one of {', '.join(PRECISIONS)}")
        for name in ("batch", "validations", "save_every", "loaders"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.patience is not None and self.patience < 1:
            raise ValueError(f"patience must be at least 1, got {self.patience}")
        if not 0 < self.learning_rate < math.inf:
            raise ValueError(f"learning_rate must be above 0, got {self.learning_rate}")
        # Generators of PyTorch take 64 bits, and the seeds of frames grow with seed, step and batch.
        if not 0 <= self.seed < 2**32:
            raise ValueError(f"seed must be 0 to {2**32 - 1}, got {self.seed}")

    def identity(self) -> dict[str, Any]:
        """What must be the same when a run is resumed, as JSON values."""
        return {name: value for name, value in asdict(self).items() if name not in _FREE}
