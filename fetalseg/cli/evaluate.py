"""`fetalseg eval`: average precision on a COCO data set, of a model or of the detections of any other system."""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, SpinnerColumn, TextColumn, TimeRemainingColumn

from fetalseg.cli.engine_arguments import add_engine_arguments, engine_choices
from fetalseg.cli.progress_bar import progress_bar
from fetalseg.model_file import find_model, freeze_thresholds
from fetalseg.postprocess.options import NMS_KINDS

if TYPE_CHECKING:
    from fetalseg.data.records import CocoSet, ImageRecord
    from fetalseg.evaluation.assessment import Assessment
    from fetalseg.evaluation.evaluator import Evaluation

__all__ = ["add_arguments", "run"]

# Options that say how a model is run, and what they are unless given.
_OF_MODELS = {
    "engine": "auto",
    "precision": None,
    "device": None,
    "engine_cache": None,
    "threads": None,
    "min_score": 0.05,
    "nms": None,
    "single_structures": False,
    "limit": None,
    "structure_thresholds": False,
    "freeze_thresholds": None,
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options."""
    parser.add_argument(
        "--data", type=Path, required=True, metavar="JSON", help="COCO file, or a folder with instances.json"
    )
    parser.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="folder for report.html, metrics.json and the tables"
    )
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
    parser.add_argument("--no-gallery", action="store_true", help="leave the frames out of report.html")
    _add_model_options(parser)
    _add_figure_options(parser)
    parser.set_defaults(**_OF_MODELS)


def _add_model_options(parser: argparse.ArgumentParser) -> None:
    """How a model is run; none of these goes with a file of detections."""
    add_engine_arguments(parser)
    parser.add_argument("--min-score", type=float, help="floor of the scores (default: %(default)s)")
    parser.add_argument("--nms", choices=NMS_KINDS, help="kind of suppression (default: the model's)")
    parser.add_argument(
        "--single-structures",
        action="store_true",
        help="keep one instance of structures that a fetus has once, as in live use (published figures rank all)",
    )
    parser.add_argument(
        "--structure-thresholds",
        action="store_true",
        help="keep what reaches its structure's threshold in the model file, in place of --min-score",
    )
    parser.add_argument("--limit", type=int, metavar="N", help="only the first N frames")
    parser.add_argument(
        "--freeze-thresholds",
        type=Path,
        metavar="ONNX",
        help="write a copy of the model that holds each structure's threshold of the highest F1 on these frames, which "
        "should be validation data",
    )


def _add_figure_options(parser: argparse.ArgumentParser) -> None:
    figures = parser.add_argument_group("figures")
    figures.add_argument(
        "--slice",
        action="append",
        default=[],
        metavar="FIELD",
        help="also by this field of the image records; crl_mm:45,55,65 for ranges, crl_mm:q4 for quarters; repeatable",
    )
    figures.add_argument(
        "--backend",
        choices=("fetalseg", "pycocotools"),
        default="fetalseg",
        help="what matches boxes and masks; pycocotools is the reference, with the same figures (default: %(default)s)",
    )
    figures.add_argument("--boundary", action="store_true", help="also by boundary IoU")
    figures.add_argument("--resamples", type=int, default=1000, metavar="N", help="default: %(default)s")
    figures.add_argument("--seed", type=int, default=0, metavar="N", help="of the resamples (default: %(default)s)")
    figures.add_argument(
        "--require",
        action="append",
        default=[],
        metavar="RULE",
        help="end with exit code 1 unless this is so, such as 'nasal_bone.mask.AP50 >= 0.4'; repeatable",
    )


def run(args: argparse.Namespace) -> int:
    """Evaluates a model or a file of detections, prints tables and writes the report; 1 if a requirement isn't met."""
    # Imported here, so that `fetalseg eval --help` works without the extra `eval`; all that it holds is missed at once.
    importlib.import_module("fetalseg.evaluation.html_report.page")
    from fetalseg.data.coco import read_coco
    from fetalseg.evaluation.report import make_folder, report_metrics, write_report
    from fetalseg.evaluation.requirements import judge_requirements, named_figures, parse_requirement

    _check(args)
    requirements = [parse_requirement(text) for text in args.require]
    truth = read_coco(args.data, images=args.images, limit=args.limit)
    make_folder(args.out)
    evaluation, described = _of_model(args, truth) if args.detections is None else _of_file(args, truth)
    assessment = _assessed(evaluation, truth, args)
    metrics = report_metrics(assessment, described)
    verdicts = judge_requirements(requirements, named_figures(metrics))
    write_report(args.out, assessment, metrics, verdicts)
    _write_page(assessment, truth, metrics, args)
    if args.freeze_thresholds is not None:
        _freeze(args, metrics)
    _print(evaluation, metrics, args)
    for verdict in verdicts.values():
        print(f"{'pass' if verdict.passed else 'FAIL'}  {verdict.text}: {verdict.reason}")
    return 0 if all(verdict.passed for verdict in verdicts.values()) else 1


def _assessed(evaluation: Evaluation, truth: CocoSet, args: argparse.Namespace) -> Assessment:
    from fetalseg.evaluation.assessment import AssessmentOptions, assess

    options = AssessmentOptions(
        slices=tuple(args.slice), resamples=args.resamples, seed=args.seed, boundary=args.boundary
    )
    with progress_bar(SpinnerColumn(), TextColumn("counting {task.description}")) as progress:
        task = progress.add_task("", total=None)
        return assess(evaluation, truth, options, tell=lambda step: progress.update(task, description=step))


def _write_page(assessment: Assessment, truth: CocoSet, metrics: dict[str, Any], args: argparse.Namespace) -> None:
    from fetalseg.evaluation.gallery import PER_KIND, make_gallery
    from fetalseg.evaluation.html_report.page import write_html
    from fetalseg.evaluation.metrics_file import curves

    evaluation = assessment.evaluation
    per_kind = 0 if args.no_gallery else PER_KIND
    gallery = make_gallery(evaluation.scored, truth, evaluation.overlaps, per_kind=per_kind)
    write_html(args.out, metrics, curves(assessment), gallery)


def _freeze(args: argparse.Namespace, metrics: dict[str, Any]) -> None:
    """Writes a copy of the model that holds the threshold of each structure."""
    thresholds = {
        name: row["threshold"]["box"]["threshold"]
        for name, row in metrics["structures"].items()
        if row["threshold"].get("box") is not None
    }
    data = metrics["data"]
    source = f"highest F1 by box at IoU 0.5, {metrics['frames']} frames of {data['sha256'][:12]}"
    freeze_thresholds(find_model(args.model), args.freeze_thresholds, thresholds, source)


def _print(evaluation: Evaluation, metrics: dict[str, Any], args: argparse.Namespace) -> None:
    from fetalseg.evaluation.summary import headlines, precision_table, structure_table

    console = Console()
    if args.detections is None:
        engine = metrics["engine"]
        console.print(f"{metrics['model']['name']} on {engine['name']} ({engine['precision']}, {engine['device']})")
    else:
        console.print(f"{metrics['detections']['results']} detections from {args.detections}", soft_wrap=True)
    console.print(precision_table(evaluation))
    table = structure_table(metrics)
    if table.row_count:
        console.print()
        console.print(table)
    console.print()
    for line in headlines(metrics):
        console.print(line, highlight=False, markup=False)
    if args.freeze_thresholds is not None:
        console.print(f"thresholds frozen into {args.freeze_thresholds}", soft_wrap=True)
    console.print(f"written to {args.out}")


def _check(args: argparse.Namespace) -> None:
    """Refuses options that make no sense.

    Raises:
        ValueError: no frames, or options of a model with a file of detections.
    """
    if args.limit is not None and args.limit < 1:
        raise ValueError(f"--limit must be at least 1, got {args.limit}")
    if args.resamples < 1 or args.seed < 0:
        raise ValueError(f"expected --resamples from 1 and --seed from 0 on, got {args.resamples} and {args.seed}")
    if args.freeze_thresholds is not None and args.structure_thresholds:
        raise ValueError("thresholds are chosen among all detections: leave out --structure-thresholds")
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
    with Segmenter.load(path, **engine_choices(args)) as segmenter:
        defaults = segmenter.default_options
        options = replace(
            defaults,
            nms=args.nms or defaults.nms,
            single_structures=args.single_structures,
            structure_thresholds=args.structure_thresholds,
            min_score=args.min_score,
            max_detections=MAX_DETECTIONS,
            masks=truth.has_masks,
        )
        described = describe_run(segmenter, path, truth, options)
        return evaluate_model(segmenter, truth, options, track=_track, backend=args.backend), described


def _of_file(args: argparse.Namespace, truth: CocoSet) -> tuple[Evaluation, dict[str, Any]]:
    from fetalseg.data.facts import image_facts
    from fetalseg.evaluation.detections_file import read_detections
    from fetalseg.evaluation.evaluator import evaluate_frames
    from fetalseg.evaluation.provenance import describe_detections

    frames = read_detections(args.detections, truth)
    evaluation = evaluate_frames(frames, truth, facts=image_facts(truth), backend=args.backend)
    return evaluation, describe_detections(args.detections, frames, truth)


def _track(images: Sequence[ImageRecord]) -> Iterable[ImageRecord]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with progress_bar(*columns) as progress:
        yield from progress.track(images, description="frames")
