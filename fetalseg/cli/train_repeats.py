"""`fetalseg train --repeats N`: the protocol of the clinical study, from the splits to its Table 4."""

from __future__ import annotations

import argparse
import importlib
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console

from fetalseg.cli.interruption import INTERRUPTED
from fetalseg.cli.train_display import repeats_table
from fetalseg.cli.train_settings import facts, read_sets, train_options
from fetalseg.data.coco import read_coco, write_subset
from fetalseg.data.frames import load_frames
from fetalseg.data.protocol import RepeatedSplits, repeated_splits
from fetalseg.data.records import CocoSet
from fetalseg.data.splits import Split
from fetalseg.model.variants import Variant
from fetalseg.segmenter import Segmenter
from fetalseg.training.build import build_trainer
from fetalseg.training.distributed import Processes
from fetalseg.training.errors import TrainingError
from fetalseg.training.repeats import summarise, write_tables
from fetalseg.training.run_folder import RunFolder
from fetalseg.training.training_data import SharedSet, load_training_data, write_held_out

__all__ = ["run_repeats"]

_PATIENCE = 5  # validations; the study stopped early too, and doesn't say when


def run_repeats(args: argparse.Namespace, chosen: Variant, processes: Processes, console: Console) -> int:
    """Trains and tests every repeat that isn't done yet, and writes the table."""
    # A missing package is found before the first training, not after it.
    importlib.import_module("fetalseg.evaluation.coco")
    if args.holdout is not None:
        raise ValueError("--repeats splits 4:1 as the study did; leave out --holdout")
    if args.patience is None:
        args.patience = _PATIENCE
    _check_unused(args)
    sets = read_sets(args.data)
    splits = [repeated_splits(each.source, repeats=args.repeats, seed=args.seed) for each in sets]
    for each, split in zip(sets, splits, strict=True):
        load_frames(each.source.subset(split.test), chosen.input)  # a broken test image is found now
        sizes = ", ".join(f"{len(fold.train)}:{len(fold.validation)}" for fold in split.folds)
        console.print(f"{each.source.name}: {len(split.test)} frames to test on by {split.unit}, splits {sizes}")
    if processes.first:
        with RunFolder(args.out).writing():
            for each, split in zip(sets, splits, strict=True):
                write_subset(each.source, split.test, _test_folder(args.out, each) / "instances.json")
    for number in range(args.repeats):
        if not all(path.is_file() for path in _results(args.out, number, sets)):
            console.rule(f"repeat {number + 1} of {args.repeats}")
            if not _run_one(args, chosen, sets, splits, number, processes, console):
                return INTERRUPTED
    if processes.first:
        with RunFolder(args.out).writing():
            _write_table(args, sets, splits, console)
    return 0


def _check_unused(args: argparse.Namespace) -> None:
    RunFolder(args.out).check_unused()
    found = sorted(path.name for path in args.out.glob("repeat-*"))
    if found and not args.resume:
        raise TrainingError(
            f"{args.out} already holds {', '.join(found)}; go on with them by --resume, or choose another folder"
        )


def _run_one(
    args: argparse.Namespace,
    chosen: Variant,
    sets: Sequence[SharedSet],
    splits: Sequence[RepeatedSplits],
    number: int,
    processes: Processes,
    console: Console,
) -> bool:
    """Trains and tests one repeat; False if it was interrupted."""
    from fetalseg.cli.train import train_with_display

    out = _folder(args.out, number)
    parts = [Split(s.folds[number].train, s.folds[number].validation, s.unit) for s in splits]
    data = load_training_data(sets, parts, chosen.input, validation_frames=args.validation_frames)
    trainer = build_trainer(
        chosen,
        data,
        out,
        train_options(args, data, repeat=number),
        imagenet=not args.random_init,
        init=args.init,
        threads=args.threads,
        facts=facts(args, sets),
        processes=processes,
    )
    if trainer.folder.state.exists():
        trainer.resume()
    if processes.first:
        with trainer.folder.writing():
            write_held_out(sets, parts, out / "holdout")
    if train_with_display(trainer, processes, console) == "stopped":
        return False
    if processes.first:
        for each, path in zip(sets, _results(args.out, number, sets), strict=True):
            truth = read_coco(_test_folder(args.out, each))
            _evaluate(trainer.folder.best, truth, path.parent, args.threads, console)
    return True


def _evaluate(checkpoint: Path, truth: CocoSet, out: Path, threads: int | None, console: Console) -> None:
    """The official evaluation of averaged weights on whole frames, with the shipped post-processing."""
    from fetalseg.evaluation.coco import MAX_DETECTIONS
    from fetalseg.evaluation.evaluator import evaluate_model
    from fetalseg.evaluation.report import describe_run, table, write_report

    with Segmenter.load(checkpoint, "torch", threads=threads) as segmenter:
        options = replace(
            segmenter.default_options,
            single_structures=False,
            min_score=0.05,
            max_detections=MAX_DETECTIONS,
            masks=truth.has_masks,
        )
        evaluation = evaluate_model(segmenter, truth, options)
        write_report(out, evaluation, describe_run(segmenter, checkpoint, truth, options))
    console.print(table(evaluation))


def _write_table(
    args: argparse.Namespace, sets: Sequence[SharedSet], splits: Sequence[RepeatedSplits], console: Console
) -> None:
    tables = {}
    for place, each in enumerate(sets):
        paths = [_results(args.out, number, sets)[place] for number in range(args.repeats)]
        tables[each.source.name] = summarise([json.loads(path.read_text(encoding="utf-8")) for path in paths])
        console.print(repeats_table(each.source.name, tables[each.source.name], args.repeats))
    facts: dict[str, Any] = {
        "protocol": "fixed test part of 5 %, 4:1 splits of the rest into training and validation",
        "repeats": args.repeats,
        "seed": args.seed,
        "variant": args.variant,
        "unit": {each.source.name: split.unit for each, split in zip(sets, splits, strict=True)},
        "test_frames": {each.source.name: len(split.test) for each, split in zip(sets, splits, strict=True)},
    }
    write_tables(args.out, tables, facts)
    console.print(f"written to {args.out / 'table4.csv'} and {args.out / 'table4.json'}", soft_wrap=True)


def _folder(out: Path, number: int) -> Path:
    return out / f"repeat-{number + 1}"


def _results(out: Path, number: int, sets: Sequence[SharedSet]) -> list[Path]:
    """The figures of a repeat on the test part of each set."""
    return [_folder(out, number) / "test" / each.source.name / "metrics.json" for each in sets]


def _test_folder(out: Path, each: SharedSet) -> Path:
    return out / "test" / each.source.name
