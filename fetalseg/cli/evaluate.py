"""`fetalseg eval`: average precision on a COCO data set."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn

from fetalseg.cli.progress_bar import progress_bar
from fetalseg.engines import ENGINES
from fetalseg.model_file import find_model
from fetalseg.postprocess.options import NMS_KINDS

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options."""
    parser.add_argument(
        "--data", type=Path, required=True, metavar="JSON", help="COCO file, or a folder with instances.json"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for metrics.json and the tables")
    parser.add_argument("--model", default="fetalseg-s", help="name or path (default: %(default)s)")
    parser.add_argument(
        "--images", type=Path, metavar="DIR", help="folder of the images (default: images/ beside the file)"
    )
    parser.add_argument("--engine", default="auto", choices=("auto", *ENGINES), help="runtime (default: %(default)s)")
    parser.add_argument("--precision", metavar="WORD", help="fp32 or bf16, where the engine has a choice")
    parser.add_argument("--threads", type=int, metavar="N", help="of the engine (default: one for each core)")
    parser.add_argument("--min-score", type=float, default=0.05, help="floor of the scores (default: %(default)s)")
    parser.add_argument("--nms", choices=NMS_KINDS, help="kind of suppression (default: the model's)")
    parser.add_argument(
        "--single-structures",
        action="store_true",
        help="keep one instance of structures that a fetus has once, as in live use (published figures rank all)",
    )
    parser.add_argument("--limit", type=int, metavar="N", help="only the first N frames")


def run(args: argparse.Namespace) -> int:
    """Evaluates a model, prints a table and writes the report."""
    # Imported here, so that `fetalseg eval --help` works without the extra `eval`.
    from fetalseg.data.coco import read_coco
    from fetalseg.data.records import ImageRecord
    from fetalseg.evaluation.evaluator import evaluate_model
    from fetalseg.evaluation.report import describe_run, make_folder, table, write_report
    from fetalseg.evaluation.scored_frames import MAX_DETECTIONS
    from fetalseg.segmenter import Segmenter

    if args.limit is not None and args.limit < 1:
        raise ValueError(f"--limit must be at least 1, got {args.limit}")
    truth = read_coco(args.data, images=args.images, limit=args.limit)
    make_folder(args.out)
    path = find_model(args.model)
    console = Console()

    def track(images: Sequence[ImageRecord]) -> Iterable[ImageRecord]:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with progress_bar(*columns) as progress:
            yield from progress.track(images, description="frames")

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
        evaluation = evaluate_model(segmenter, truth, options, track=track)
    write_report(args.out, evaluation, described)
    engine = described["engine"]
    console.print(f"{described['model']['name']} on {engine['name']} ({engine['precision']}, {engine['device']})")
    console.print(table(evaluation))
    console.print(f"written to {args.out}")
    return 0
