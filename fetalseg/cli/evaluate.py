"""`fetalseg eval`: average precision on a COCO data set, of a model or of the detections of any other system."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn

from fetalseg.cli.progress_bar import progress_bar
from fetalseg.engines import ENGINES
from fetalseg.model_file import find_model
from fetalseg.postprocess.options import NMS_KINDS

if TYPE_CHECKING:
    from fetalseg.data.records import CocoSet, ImageRecord
    from fetalseg.evaluation.evaluator import Evaluation

__all__ = ["add_arguments", "run"]

# Options that say how a model is run, and what they are unless given.
_OF_MODELS = {
    "engine": "auto",
    "precision": None,
    "threads": None,
    "min_score": 0.05,
    "nms": None,
    "single_structures": False,
    "limit": None,
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options."""
    parser.add_argument(
        "--data", type=Path, required=True, metavar="JSON", help="COCO file, or a folder with instances.json"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for metrics.json and the tables")
    system = parser.add_mutually_exclusive_group()
    system.add_argument("--model", default="fetalseg-s", help="name or path (default: %(default)s)")
    system.add_argument(
        "--detections",
        type=Path,
        metavar="JSON",
        help="instead of a model: what any other system found, as COCO results with boxes, masks or both",
    )
    parser.add_argument(
        "--images", type=Path, metavar="DIR", help="folder of the images (default: images/ beside the file)"
    )
    parser.add_argument("--engine", choices=("auto", *ENGINES), help="runtime (default: %(default)s)")
    parser.add_argument("--precision", metavar="WORD", help="fp32 or bf16, where the engine has a choice")
    parser.add_argument("--threads", type=int, metavar="N", help="of the engine (default: one for each core)")
    parser.add_argument("--min-score", type=float, help="floor of the scores (default: %(default)s)")
    parser.add_argument("--nms", choices=NMS_KINDS, help="kind of suppression (default: the model's)")
    parser.add_argument(
        "--single-structures",
        action="store_true",
        help="keep one instance of structures that a fetus has once, as in live use (published figures rank all)",
    )
    parser.add_argument("--limit", type=int, metavar="N", help="only the first N frames")
    parser.set_defaults(**_OF_MODELS)


def run(args: argparse.Namespace) -> int:
    """Evaluates a model or a file of detections, prints a table and writes the report."""
    # Imported here, so that `fetalseg eval --help` works without the extra `eval`.
    from fetalseg.data.coco import read_coco
    from fetalseg.evaluation.assessment import assess
    from fetalseg.evaluation.report import make_folder, table, write_report

    _check(args)
    truth = read_coco(args.data, images=args.images, limit=args.limit)
    make_folder(args.out)
    console = Console()
    evaluation, described = _of_model(args, truth) if args.detections is None else _of_file(args.detections, truth)
    write_report(args.out, assess(evaluation, truth), described)
    if args.detections is None:
        engine = described["engine"]
        console.print(f"{described['model']['name']} on {engine['name']} ({engine['precision']}, {engine['device']})")
    else:
        console.print(f"{described['detections']['results']} detections from {args.detections}", soft_wrap=True)
    console.print(table(evaluation))
    console.print(f"written to {args.out}")
    return 0


def _check(args: argparse.Namespace) -> None:
    """Refuses options that make no sense.

    Raises:
        ValueError: no frames, or options of a model with a file of detections.
    """
    if args.limit is not None and args.limit < 1:
        raise ValueError(f"--limit must be at least 1, got {args.limit}")
    if args.detections is not None:
        given = [name for name, usual in _OF_MODELS.items() if getattr(args, name) != usual]
        if given:
            options = ", ".join(f"--{name.replace('_', '-')}" for name in given)
            raise ValueError(f"with --detections no model is run: leave out {options}")


def _of_model(args: argparse.Namespace, truth: CocoSet) -> tuple[Evaluation, dict[str, Any]]:
    from fetalseg.evaluation.evaluator import evaluate_model
    from fetalseg.evaluation.provenance import describe_run
    from fetalseg.evaluation.scored_frames import MAX_DETECTIONS
    from fetalseg.segmenter import Segmenter

    path = find_model(args.model)
    with Segmenter.load(path, args.engine, precision=args.precision, threads=args.threads) as segmenter:
        defaults = segmenter.default_options
        options = replace(
            defaults,
            nms=args.nms or defaults.nms,
            single_structures=args.single_structures,
            min_score=args.min_score,
            max_detections=MAX_DETECTIONS,
            masks=truth.has_masks,
        )
        described = describe_run(segmenter, path, truth, options)
        return evaluate_model(segmenter, truth, options, track=_track), described


def _of_file(path: Path, truth: CocoSet) -> tuple[Evaluation, dict[str, Any]]:
    from fetalseg.data.facts import image_facts
    from fetalseg.evaluation.detections_file import read_detections
    from fetalseg.evaluation.evaluator import evaluate_frames
    from fetalseg.evaluation.provenance import describe_detections

    frames = read_detections(path, truth)
    return evaluate_frames(frames, truth, facts=image_facts(truth)), describe_detections(path, frames, truth)


def _track(images: Sequence[ImageRecord]) -> Iterable[ImageRecord]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with progress_bar(*columns) as progress:
        yield from progress.track(images, description="frames")
