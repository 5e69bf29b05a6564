"""The training loop.

The losses of a run are a function of its settings alone: batches, augmentation and draws depend on seed and step. So a
run that was interrupted and resumed has the curve of one that was not, and so has one that several processes share.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import torch

from fetalseg.anatomy import structure_names
from fetalseg.data.augment import AugmentOptions
from fetalseg.data.frames import AnnotatedFrame
from fetalseg.model.checkpoint import load_checkpoint, save_checkpoint
from fetalseg.model.yolact import Yolact
from fetalseg.training.batches import Batch, BatchMaker, FrameSet, prefetch
from fetalseg.training.criterion import Criterion, loss_config, matching_rules
from fetalseg.training.distributed import Processes
from fetalseg.training.ema import MovingAverage
from fetalseg.training.errors import TrainingError
from fetalseg.training.losses import Losses
from fetalseg.training.mixed_precision import MixedPrecision
from fetalseg.training.options import TrainOptions
from fetalseg.training.progress import Progress, mean_score
from fetalseg.training.run_folder import RunFolder
from fetalseg.training.run_log import RunLog, StepReport
from fetalseg.training.run_state import load_state, save_state
from fetalseg.training.schedule import learning_rate_factor
from fetalseg.training.validation import Score, validate

__all__ = ["Ending", "Trainer"]

Ending = Literal["budget", "patience", "stopped"]

_RECENT = 20  # steps that the images per second are measured over


class Trainer:
    """Trains a network on some sets and validates it on others.

    Nothing is written before `run`.

    Args:
        network: to train, in place.
        sets: training frames with their shares.
        held_out: validation frames of each set by name, never trained on.
        out: the run's folder, see `RunFolder`.
        options: the numbers.
        structures: C names in label order.
        augmentation: how far to vary frames.
        facts: for the checkpoints' header.
        processes: this one among those that share the run.
        clock: seconds, never going back.

    Attributes:
        network: as it is trained.
        average: of its weights.
        progress: where the run is.
        folder: of the run.
        facts: of the checkpoints' header.

    Raises:
        ValueError: see `BatchMaker`; patience without frames to validate on.
    """

    def __init__(
        self,
        network: Yolact,
        sets: Sequence[FrameSet],
        held_out: Mapping[str, Sequence[AnnotatedFrame]],
        out: Path,
        options: TrainOptions,
        *,
        structures: Sequence[str] = structure_names(),
        augmentation: AugmentOptions | None = None,
        facts: dict[str, Any] | None = None,
        processes: Processes | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if options.patience is not None and not any(len(frames) for frames in held_out.values()):
            raise ValueError("patience needs held-out frames to validate on, got none")
        variant = network.variant
        self.folder = RunFolder(out)
        self.progress = Progress()
        self._processes = processes or Processes(device=options.device)
        self._device = torch.device(self._processes.device)
        self.network = network.freeze(options.freeze).to(self._device).to(memory_format=torch.channels_last)
        self.average = MovingAverage(network, options.average)
        self._shared = self._processes.share(network.train())
        self._options = options
        self._held_out = held_out
        self._structures = tuple(structures)
        self.facts = {**(facts or {}), "structures": list(structures)}
        self._clock = clock
        augmentation = augmentation or AugmentOptions()
        part = (self._processes.rank, self._processes.count)
        self._maker = BatchMaker(sets, variant, size=options.batch, options=augmentation, seed=options.seed, part=part)
        self._frames = sum(len(s.frames) for s in sets)
        self._criterion = Criterion(variant, loss_config(variant), matching_rules(variant))
        self._optimizer = _optimizer(network, options)
        self._mixed = MixedPrecision(options.precision, self._device)
        self._identity = {
            "variant": variant.name,
            "structures": list(structures),
            "sets": {s.name: [len(s.frames), s.share, s.digest] for s in sets},
            "augmentation": vars(augmentation),
            "init": self.facts.get("init"),
            **options.identity(),
        }
        self._log: RunLog | None = None
        self._told_to_stop = self._stops = False
        self._waiting_s = self._spent_s = 0.0
        self._recent: deque[float] = deque(maxlen=_RECENT)

    def resume(self) -> None:
        """Goes back to the last saved state of this run's folder.

        Raises:
            DataError: there is none, or it belongs to other settings.
        """
        self.progress = load_state(
            self.folder.state, self.network, self.average, self._optimizer, self._mixed, self._identity
        )
        # Counted in the validations of this run, which may be fewer than before: else the last one is never due.
        self.progress.validations = min(self.progress.validations, self._due())

    @property
    def chosen(self) -> Path:
        """The weights to ship and to test, in full precision: see `TrainOptions.ship`."""
        return self.folder.best if self._options.ship == "best" else self.folder.last

    def stop(self) -> None:
        """Lets `run` end after the step that it is at, its state saved; safe to call from a signal handler."""
        self._told_to_stop = True

    def run(
        self,
        *,
        on_step: Callable[[StepReport], None] | None = None,
        on_scores: Callable[[dict[str, list[Score]]], None] | None = None,
    ) -> Ending:
        """Trains until the budget or the patience is spent, or until `stop`.

        Args:
            on_step: called after each step, in the first process.
            on_scores: called after each validation, in the first process.

        Returns:
            Why it ended.

        Raises:
            TrainingError: a loss that is not finite, or a file that can't be written; the last saved state stays.
        """
        torch.manual_seed(self._options.seed)
        self.network.train()
        with self.folder.writing():
            self._open()
            batches = prefetch(self._maker, self.progress.step, threads=self._options.loaders)
            try:
                while (ending := self._ending()) is None:
                    report = self._timed_step(batches)
                    if self._processes.first and on_step is not None:
                        on_step(report)
                    self._agree()
                    self._save_when_due(on_scores)
                self._close(ending)
            finally:
                # Stops the loaders: `prefetch` is a generator.
                batches.close()
                if self._log is not None:
                    self._log.close()
        return ending

    def _open(self) -> None:
        """Makes the folder and writes the state, before any work is done that a full disk would spoil."""
        if self._processes.first:
            self.folder.create()
            self._log = RunLog(self.folder, self.progress.step)
            if not self.folder.state.exists():
                self._save_state()

    def _close(self, ending: Ending) -> None:
        if not self._processes.first:
            return
        if ending == "stopped":
            self._save()
        else:
            network, facts = load_checkpoint(self.chosen)
            save_checkpoint(self.folder.shipped(network.variant.name), network, facts, half=True)

    def _ending(self) -> Ending | None:
        if self._done() >= 1:
            return "budget"
        if self._options.patience is not None and self.progress.stale >= self._options.patience:
            return "patience"
        return "stopped" if self._stops else None

    def _done(self) -> float:
        return self._options.budget.progress(self.progress.step, self.progress.elapsed_s)

    def _due(self) -> int:
        """How many validations belong into what is done of the run."""
        return math.floor(self._done() * self._options.validations + 1e-9)

    def _timed_step(self, batches: Iterator[Batch]) -> StepReport:
        start = self._clock()
        factor = learning_rate_factor(self._done(), warm_up=self._options.warm_up)
        # The first step of a warm-up would otherwise have the rate 0.
        factor = max(factor, 1e-3)
        for group in self._optimizer.param_groups:
            group["lr"] = group["peak"] * factor
        batch = next(batches)
        self._waiting_s += self._clock() - start
        losses = self._step(batch)
        self.progress.step += 1
        step_s = self._clock() - start
        self.progress.elapsed_s += step_s
        self._spent_s += step_s
        report = self._report(losses, self._options.learning_rate * factor, step_s)
        if self._log is not None:
            self._log.step(report)
        return report

    def _report(self, losses: dict[str, float], learning_rate: float, step_s: float) -> StepReport:
        self._recent.append(step_s)
        recent_s = max(sum(self._recent) / len(self._recent), 1e-9)
        return StepReport(
            step=self.progress.step,
            epoch=self.progress.step * self._options.batch / self._frames,
            progress=self._done(),
            losses=losses,
            learning_rate=learning_rate,
            step_s=step_s,
            images_per_s=self._options.batch / recent_s,
            waiting=self._waiting_s / max(self._spent_s, 1e-9),
            time_left_s=self._options.budget.left_s(self.progress.step, self.progress.elapsed_s, step_s=recent_s),
        )

    def _step(self, batch: Batch) -> dict[str, float]:
        """One optimiser step; the losses of the whole batch by term, "total" last."""
        batch = batch.to(self._device)
        images = batch.images.float().contiguous(memory_format=torch.channels_last)
        with self._mixed.autocast():
            raw = self._shared(images)
        losses = self._criterion(
            raw,
            batch,
            self.network.anchors,
            self._generators(len(images)),
            progress=self._done(),
            totals=self._processes.totals if self._processes.count > 1 else None,
        )
        terms = self._total_losses(losses)
        # The processes' gradients are averaged, and the loss of the whole batch is the sum of theirs.
        total = losses.total * self._processes.count
        self._mixed.step(total, self._optimizer, self.network.parameters(), clip=self._options.clip)
        if self._processes.first:
            self.average.update(self.network)
        return terms

    def _generators(self, frames: int) -> list[torch.Generator]:
        """One for each frame of this process's part of a batch: how the batch is cut doesn't change what is drawn."""
        rank, count = self._processes.rank, self._processes.count
        first = (self._options.seed * 1_000_003 + self.progress.step) * self._options.batch
        return [torch.Generator().manual_seed(first + i * count + rank) for i in range(frames)]

    def _total_losses(self, losses: Losses) -> dict[str, float]:
        """The terms over all processes, checked."""
        values = self._processes.total(torch.stack([term.detach().float() for term in losses])).tolist()
        terms = dict(zip(losses._fields, values, strict=True))
        if not math.isfinite(sum(values)):
            words = ", ".join(f"{name} {value:g}" for name, value in terms.items())
            raise TrainingError(
                f"the loss of step {self.progress.step} is not finite ({words}); "
                "try a lower learning rate, or --precision fp32"
            )
        return {**terms, "total": sum(values)}

    def _agree(self) -> None:
        """The first process's clock and anyone's wish to stop hold for all, so that all do the same steps.

        Whoever is told to stop later than this, while it saves, says so after the next step: the others may be at it.
        """
        self._stops = self._told_to_stop
        if self._processes.count > 1:
            elapsed = self.progress.elapsed_s if self._processes.first else 0.0
            self.progress.elapsed_s, stops = self._processes.totals([elapsed, float(self._stops)])
            self._stops = stops > 0

    def _save_when_due(self, on_scores: Callable[[dict[str, list[Score]]], None] | None) -> None:
        an_epoch = max(1, self._frames // self._options.batch)
        if self._due() > self.progress.validations:
            self._validate(on_scores)
            self._save()
        elif self.progress.step % min(self._options.save_every, an_epoch) == 0:
            self._save()

    def _validate(self, on_scores: Callable[[dict[str, list[Score]]], None] | None) -> None:
        """Scores the averaged weights; the best ones so far are kept."""
        self.progress.validations = self._due()
        if self._processes.first:
            start = self._clock()
            scores = self._scores()
            if self.progress.judge(mean_score(scores)):
                self._checkpoint(self.folder.best)
            assert self._log is not None
            self._log.scores(self.progress.step, scores)
            self.progress.elapsed_s += self._clock() - start
            if on_scores is not None:
                on_scores(scores)
        if self._processes.count > 1:
            first = [self.progress.elapsed_s, self.progress.stale] if self._processes.first else [0.0, 0.0]
            self.progress.elapsed_s, stale = self._processes.totals(first)
            self.progress.stale = int(stale)

    def _scores(self) -> dict[str, list[Score]]:
        network = self.average.network.eval()
        with self._mixed.autocast():
            return {
                name: validate(network, frames, structures=self._structures)
                for name, frames in self._held_out.items()
                if len(frames)
            }

    def _save(self) -> None:
        if self._processes.first:
            self._checkpoint(self.folder.last)
            self._save_state()

    def _save_state(self) -> None:
        save_state(
            self.folder.state, self.network, self.average, self._optimizer, self._mixed, self.progress, self._identity
        )

    def _checkpoint(self, path: Path) -> None:
        training = {"steps": self.progress.step, "score": round(self.progress.best, 4), **self._identity}
        save_checkpoint(path, self.average.network, {**self.facts, "training": training})


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
