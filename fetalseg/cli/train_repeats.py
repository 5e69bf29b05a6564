"""`fetalseg train --repeats N`: the protocol of the clinical study, from the splits to its Table 4.

RUN/protocol.json holds the settings, RUN/test/SET the fixed test part, RUN/repeat-I a run of its own with its figures
in repeat-I/test/SET, and RUN/table4.csv and .json the result.
"""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console

from fetalseg.cli.interruption import INTERRUPTED
from fetalseg.cli.train_display import repeats_table
from fetalseg.cli.train_settings import augmentation, facts, read_sets, train_options
from fetalseg.data.augment import AugmentOptions
from fetalseg.data.coco import read_coco, write_subset
from fetalseg.data.frames import AnnotatedFrame
from fetalseg.data.protocol import RepeatedSplits, repeated_splits
from fetalseg.data.records import CocoSet
from fetalseg.data.splits import Split
from fetalseg.model.variants import Variant
from fetalseg.segmenter import Segmenter
from fetalseg.training.build import build_trainer
from fetalseg.training.distributed import Processes
from fetalseg.training.errors import TrainingError
from fetalseg.training.options import TrainOptions
from fetalseg.training.repeats import keep_protocol, read_json, summarise, write_tables
from fetalseg.training.run_folder import RunFolder
from fetalseg.training.training_data import SharedSet, decode_sets, divide, write_held_out

__all__ = ["run_repeats"]

_PATIENCE = 5  # validations; the study stopped early too, and doesn't say when
# Options that are the same for all repeats.
_SHARED = (
    "variant", "seed", "steps", "minutes", "epochs", "patience", "validations", "validation_frames", "batch", "lr",
    "precision", "augment", "random_init", "ship",
)  # fmt: skip


def run_repeats(args: argparse.Namespace, chosen: Variant, processes: Processes, console: Console) -> int:
    """Trains and tests every repeat that isn't done yet, and writes the table."""
    # A missing package is found before the first training, not after it.
    importlib.import_module("fetalseg.evaluation.coco")
    if args.holdout is not None:
        raise ValueError("--repeats splits 4:1 as the study did; leave out --holdout")
    if args.patience is None:
        args = argparse.Namespace(**{**vars(args), "patience": _PATIENCE})
    _check_unused(args)
    sets = read_sets(args.data)
    splits = [repeated_splits(each.source, repeats=args.repeats, seed=args.seed) for each in sets]
    recipe = _recipe(args, sets, splits)
    repeats = _Repeats(args, chosen, processes, console, sets, splits, recipe, decode_sets(sets, chosen.input))
    repeats.prepare()
    for number in range(args.repeats):
        if not all(read_json(path) for path in repeats.results(number)) and not repeats.run_one(number):
            return INTERRUPTED
    repeats.write_table()
    return 0


def _check_unused(args: argparse.Namespace) -> None:
    RunFolder(args.out).check_unused()
    found = sorted(path.name for path in args.out.glob("repeat-*"))
    if found and not args.resume:
        raise TrainingError(
            f"{args.out} already holds {', '.join(found)}; go on with them by --resume, or choose another folder"
        )


class _Recipe(NamedTuple):
    """What the options of the command mean, checked before any frame is decoded.

    Attributes:
        options: of each repeat.
        augmentation: of all of them.
        facts: for the checkpoints' header.
    """

    options: list[TrainOptions]
    augmentation: AugmentOptions
    facts: dict[str, Any]


def _recipe(args: argparse.Namespace, sets: Sequence[SharedSet], splits: Sequence[RepeatedSplits]) -> _Recipe:
    frames = [sum(len(split.folds[number].train) for split in splits) for number in range(args.repeats)]
    options = [train_options(args, count, repeat=number) for number, count in enumerate(frames)]
    return _Recipe(options, augmentation(args.augment), facts(args, sets))


@dataclass(frozen=True)
class _Repeats:
    """What all repeats share.

    Attributes:
        args: of the command.
        chosen: which network.
        processes: this one among those that share the runs.
        console: to print on.
        sets: the data.
        splits: of each set.
        recipe: how to train.
        frames: of each set, by image id.
    """

    args: argparse.Namespace
    chosen: Variant
    processes: Processes
    console: Console
    sets: Sequence[SharedSet]
    splits: Sequence[RepeatedSplits]
    recipe: _Recipe
    frames: Sequence[Mapping[int, AnnotatedFrame]]

    def prepare(self) -> None:
        """Says how the sets are split, and writes down the settings and the test part."""
        for each, split in zip(self.sets, self.splits, strict=True):
            sizes = ", ".join(f"{len(fold.train)}:{len(fold.validation)}" for fold in split.folds)
            self.console.print(
                f"{each.source.name}: {len(split.test)} frames to test on, the others split by {split.unit} {sizes}",
                soft_wrap=True,
            )
        if self.processes.first:
            with RunFolder(self.args.out).writing():
                path = self.args.out / "protocol.json"
                if not self.args.resume:
                    path.unlink(missing_ok=True)  # of a command that failed before its first repeat
                keep_protocol(path, self._settings())
                for each, split in zip(self.sets, self.splits, strict=True):
                    write_subset(each.source, split.test, self._test_folder(each) / "instances.json")

    def run_one(self, number: int) -> bool:
        """Trains and tests one repeat; False if it was interrupted."""
        from fetalseg.cli.train import train_with_display

        args = self.args
        self.console.rule(f"repeat {number + 1} of {args.repeats}")
        folds = [Split(s.folds[number].train, s.folds[number].validation, s.unit) for s in self.splits]
        data = divide(self.sets, self.frames, folds, validation_frames=args.validation_frames)
        trainer = build_trainer(
            self.chosen,
            data,
            self._folder(number),
            self.recipe.options[number],
            imagenet=not args.random_init,
            init=args.init,
            augmentation=self.recipe.augmentation,
            threads=args.threads,
            facts=self.recipe.facts,
            processes=self.processes,
        )
        if trainer.folder.state.exists():
            trainer.resume()
        if self.processes.first:
            with trainer.folder.writing():
                write_held_out(self.sets, folds, trainer.folder.path / "holdout")
        if train_with_display(trainer, self.processes, self.console) == "stopped":
            return False
        if self.processes.first:
            with trainer.folder.writing():
                for each, path in zip(self.sets, self.results(number), strict=True):
                    self._evaluate(trainer.chosen, read_coco(self._test_folder(each)), path.parent)
        return True

    def write_table(self) -> None:
        """Prints and writes mean and SD of the figures of all repeats."""
        if not self.processes.first:
            return
        tables = {}
        for place, each in enumerate(self.sets):
            paths = [self.results(number)[place] for number in range(self.args.repeats)]
            tables[each.source.name] = summarise([found for path in paths if (found := read_json(path))])
            self.console.print(repeats_table(each.source.name, tables[each.source.name], self.args.repeats))
        of_sets = list(zip(self.sets, self.splits, strict=True))
        described: dict[str, Any] = {
            "protocol": "fixed test part of 5 %, 4:1 splits of the rest into training and validation",
            "figures": "AP50 on the test part of the weights named by ship; sd over the repeats, n - 1 below the line",
            "repeats": self.args.repeats,
            **self._settings(),
            "unit": {each.source.name: split.unit for each, split in of_sets},
            "test_frames": {each.source.name: len(split.test) for each, split in of_sets},
        }
        with RunFolder(self.args.out).writing():
            write_tables(self.args.out, tables, described)
        self.console.print(f"written to {self.args.out}/table4.csv and table4.json", soft_wrap=True)

    def results(self, number: int) -> list[Path]:
        """The figures of a repeat on the test part of each set."""
        return [self._folder(number) / "test" / each.source.name / "metrics.json" for each in self.sets]

    def _evaluate(self, checkpoint: Path, truth: CocoSet, out: Path) -> None:
        """The official evaluation of averaged weights on whole frames, with the shipped post-processing."""
        from fetalseg.evaluation.assessment import assess
        from fetalseg.evaluation.evaluator import evaluate_model
        from fetalseg.evaluation.provenance import describe_run
        from fetalseg.evaluation.report import report_metrics, write_report
        from fetalseg.evaluation.scored_frames import MAX_DETECTIONS
        from fetalseg.evaluation.summary import precision_table

        with Segmenter.load(checkpoint, "torch", threads=self.args.threads) as segmenter:
            options = replace(
                segmenter.default_options,
                single_structures=False,
                min_score=0.05,
                max_detections=MAX_DETECTIONS,
                masks=truth.has_masks,
            )
            evaluation = evaluate_model(segmenter, truth, options)
            assessment = assess(evaluation, truth)
            described = describe_run(segmenter, checkpoint, truth, options)
            write_report(out, assessment, report_metrics(assessment, described))
        self.console.print(precision_table(evaluation))

    def _settings(self) -> dict[str, Any]:
        """What must be the same when repeats are resumed; there may be more of them then."""
        return {
            **{name: getattr(self.args, name) for name in _SHARED},
            "init": None if self.args.init is None else self.args.init.name,
            "data": {each.source.name: [each.source.sha256, each.share] for each in self.sets},
        }

    def _folder(self, number: int) -> Path:
        return Path(self.args.out, f"repeat-{number + 1}")

    def _test_folder(self, each: SharedSet) -> Path:
        return Path(self.args.out, "test", each.source.name)
