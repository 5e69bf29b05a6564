"""The training loop.

A run's folder holds `best.safetensors` and `last.safetensors` (averaged weights, ready for `fetalseg export`),
`state.safetensors` (to resume), `log.csv` (losses) and `validation.csv` (scores).
"""

from __future__ import annotations

import csv
import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from fetalseg.data.augment import AugmentOptions
from fetalseg.data.frames import AnnotatedFrame
from fetalseg.errors import FetalsegError
from fetalseg.model.checkpoint import save_checkpoint
from fetalseg.model.yolact import Yolact
from fetalseg.training.batches import Batch, BatchMaker, FrameSet, prefetch
from fetalseg.training.criterion import Criterion, loss_config, matching_rules
from fetalseg.training.ema import MovingAverage
from fetalseg.training.losses import Losses
from fetalseg.training.run_state import Progress, load_state, save_state
from fetalseg.training.schedule import Budget, learning_rate_factor
from fetalseg.training.validation import Score, validate

__all__ = ["StepReport", "TrainOptions", "Trainer", "TrainingError"]

_LOG = logging.getLogger(__name__)


class TrainingError(FetalsegError):
    """A run can't go on: its loss is not finite."""


@dataclass(frozen=True)
class TrainOptions:
    """The numbers of a run.

    Attributes:
        budget: when it ends.
        batch: frames in a step.
        learning_rate: peak, of everything but the backbone.
        backbone_rate: the backbone's share of it; its weights are good already.
        weight_decay: AdamW's, on weights with two dimensions or more.
        warm_up: share of the run.
        average: decay of the moving average of the weights.
        clip: largest norm of the gradient.
        freeze: first stages of the backbone that keep their weights; its BatchNorm always does.
        validations: how often in a run, the end included.
        save_every: steps between two states to resume from.
        seed: all chance comes from it.
        bfloat16: compute the network in bfloat16 where that is safe (losses stay float32).
        loaders: threads that make batches.
        device: "cpu" or "cuda", as PyTorch names it.
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
    save_every: int = 100
    seed: int = 0
    bfloat16: bool = True
    loaders: int = 1
    device: str = "cpu"


@dataclass(frozen=True)
class StepReport:
    """One step, for a progress line.

    Attributes:
        step: steps done.
        progress: share of the run done, 0..1.
        losses: by term, "total" last.
        learning_rate: of this step.
        step_s: time the step took.
        waiting: share of the time so far spent waiting for data, 0..1.
    """

    step: int
    progress: float
    losses: dict[str, float]
    learning_rate: float
    step_s: float
    waiting: float


class Trainer:
    """Trains a network on some sets and validates it on others.

    Args:
        network: to train, in place.
        sets: training frames with their shares.
        held_out: validation frames of each set by name, never trained on.
        out: the run's folder, made if absent.
        options: the numbers.
        augmentation: how far to vary frames.
        facts: for the checkpoints' header.

    Raises:
        ValueError: see `BatchMaker`.
    """

    def __init__(
        self,
        network: Yolact,
        sets: Sequence[FrameSet],
        held_out: Mapping[str, Sequence[AnnotatedFrame]],
        out: Path,
        options: TrainOptions,
        *,
        augmentation: AugmentOptions | None = None,
        facts: dict[str, Any] | None = None,
    ) -> None:
        variant = network.variant
        self._device = torch.device(options.device)
        self.network = network.freeze(options.freeze).to(self._device).to(memory_format=torch.channels_last)
        self.average = MovingAverage(network, options.average)
        self.progress = Progress()
        self._options = options
        self._held_out = held_out
        self._out = out
        self._facts = facts or {}
        self._maker = BatchMaker(
            sets, variant, size=options.batch, options=augmentation or AugmentOptions(), seed=options.seed
        )
        self._criterion = Criterion(variant, loss_config(variant), matching_rules(variant))
        self._optimizer = _optimizer(network, options)
        self._identity = {
            "variant": variant.name,
            "sets": {s.name: [len(s.frames), s.share] for s in sets},
            **{k: v for k, v in asdict(options).items() if k not in ("save_every", "loaders", "validations", "device")},
        }
        self._waiting_s = 0.0
        out.mkdir(parents=True, exist_ok=True)

    def resume(self) -> None:
        """Goes back to the last saved state of this run's folder.

        Raises:
            DataError: there is none, or it belongs to other settings.
        """
        path = self._out / "state.safetensors"
        self.progress = load_state(path, self.network, self.average, self._optimizer, self._identity)

    def run(
        self,
        *,
        on_step: Callable[[StepReport], None] | None = None,
        on_scores: Callable[[dict[str, list[Score]]], None] | None = None,
    ) -> Progress:
        """Trains until the budget is spent; an interruption (Ctrl+C) saves the state and is passed on.

        Args:
            on_step: called after each step.
            on_scores: called after each validation.

        Raises:
            TrainingError: a loss that is not finite; the last saved state stays as it is.
        """
        torch.manual_seed(self._options.seed)
        batches = prefetch(self._maker, self.progress.step, threads=self._options.loaders)
        self.network.train()
        try:
            while self._done() < 1:
                report = self._timed_step(batches)
                if on_step is not None:
                    on_step(report)
                self._save_when_due(on_scores)
        except KeyboardInterrupt:
            self._save()
            raise
        finally:
            # Stops the loaders: `prefetch` is a generator.
            if hasattr(batches, "close"):
                batches.close()
        return self.progress

    def _done(self) -> float:
        return self._options.budget.progress(self.progress.step, self.progress.elapsed_s)

    def _timed_step(self, batches: Iterator[Batch]) -> StepReport:
        start = time.monotonic()
        factor = learning_rate_factor(self._done(), warm_up=self._options.warm_up)
        # The first step of a warm-up would otherwise have the rate 0.
        factor = max(factor, 1e-3)
        for group in self._optimizer.param_groups:
            group["lr"] = group["peak"] * factor
        batch = next(batches)
        self._waiting_s += time.monotonic() - start
        losses = self._step(batch)
        self.progress.step += 1
        step_s = time.monotonic() - start
        self.progress.elapsed_s += step_s
        report = StepReport(
            step=self.progress.step,
            progress=self._done(),
            losses={**{k: float(v) for k, v in losses._asdict().items()}, "total": float(losses.total)},
            learning_rate=self._options.learning_rate * factor,
            step_s=step_s,
            waiting=self._waiting_s / max(self.progress.elapsed_s, 1e-9),
        )
        self._log_step(report)
        return report

    def _step(self, batch: Batch) -> Losses:
        """One optimiser step."""
        batch = batch.to(self._device)
        images = batch.images.float().contiguous(memory_format=torch.channels_last)
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self._options.bfloat16):
            raw = self.network(images)
        generator = torch.Generator().manual_seed(self._options.seed * 1_000_003 + self.progress.step)
        losses = self._criterion(raw, batch, self.network.anchors, generator)
        total = losses.total
        if not math.isfinite(total.detach()):
            terms = ", ".join(f"{name} {float(value.detach()):g}" for name, value in losses._asdict().items())
            raise TrainingError(
                f"the loss of step {self.progress.step} is not finite ({terms}); "
                "try a lower learning rate, or --no-bfloat16"
            )
        self._optimizer.zero_grad(set_to_none=True)
        total.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), self._options.clip)
        self._optimizer.step()
        self.average.update(self.network)
        return Losses(*(term.detach() for term in losses))

    def _save_when_due(self, on_scores: Callable[[dict[str, list[Score]]], None] | None) -> None:
        done = self._done()
        if done >= (self.progress.validations + 1) / self._options.validations - 1e-9:
            scores = self._validate()
            if on_scores is not None:
                on_scores(scores)
            self._save()
        elif self.progress.step % self._options.save_every == 0:
            self._save()

    def _validate(self) -> dict[str, list[Score]]:
        """Scores of the averaged weights; the best ones so far are kept."""
        start = time.monotonic()
        network = self.average.network.eval()
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self._options.bfloat16):
            scores = {name: validate(network, frames) for name, frames in self._held_out.items() if len(frames)}
        summary = mean_score(scores)
        self.progress.validations = math.floor(self._done() * self._options.validations + 1e-9)
        self._log_scores(scores)
        if summary >= self.progress.best:
            self.progress.best = summary
            self._checkpoint("best", summary)
        self.progress.elapsed_s += time.monotonic() - start
        return scores

    def _save(self) -> None:
        self._checkpoint("last", self.progress.best)
        path = self._out / "state.safetensors"
        save_state(path, self.network, self.average, self._optimizer, self.progress, self._identity)

    def _checkpoint(self, name: str, score: float) -> None:
        facts = {**self._facts, "training": {"steps": self.progress.step, "score": round(score, 4), **self._identity}}
        save_checkpoint(self._out / f"{name}.safetensors", self.average.network, facts)

    def _log_step(self, report: StepReport) -> None:
        row = {"step": report.step, "progress": round(report.progress, 5), "learning_rate": report.learning_rate}
        row |= {name: round(value, 5) for name, value in report.losses.items()}
        row |= {"step_s": round(report.step_s, 3), "waiting": round(report.waiting, 4)}
        _append_row(self._out / "log.csv", row)

    def _log_scores(self, scores: Mapping[str, Sequence[Score]]) -> None:
        for name, rows in scores.items():
            for score in rows:
                _append_row(self._out / "validation.csv", {"step": self.progress.step, "set": name, **asdict(score)})


def mean_score(scores: Mapping[str, Sequence[Score]]) -> float:
    """One number to choose a checkpoint by: the mean over sets of the mean AP50 of their structures, boxes and masks.

    Sets weigh the same however many structures they hold, so that synthetic structures don't outvote real ones.
    """
    means = []
    for rows in scores.values():
        values = [row.box for row in rows] + [row.mask for row in rows if row.mask is not None]
        if values:
            means.append(sum(values) / len(values))
    return sum(means) / len(means) if means else 0.0


def _optimizer(network: Yolact, options: TrainOptions) -> torch.optim.AdamW:
    """AdamW; `peak` of each group is its learning rate at the top of the schedule."""
    groups: dict[tuple[float, float], list[torch.nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            rate = options.learning_rate * (options.backbone_rate if name.startswith("backbone.") else 1.0)
            decay = options.weight_decay if parameter.ndim > 1 else 0.0
            groups.setdefault((rate, decay), []).append(parameter)
    return torch.optim.AdamW(
        [{"params": p, "lr": rate, "peak": rate, "weight_decay": decay} for (rate, decay), p in groups.items()]
    )


def _append_row(path: Path, row: dict[str, Any]) -> None:
    new = not path.exists()
    with path.open("a", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, row)
        if new:
            writer.writeheader()
        writer.writerow(row)
