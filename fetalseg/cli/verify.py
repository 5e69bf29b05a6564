"""`fetalseg verify MODEL`: the same frames through every engine, held against a reference."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from rich.progress import SpinnerColumn, TextColumn

from fetalseg.cli.progress_bar import progress_bar
from fetalseg.cli.verify_report import print_report, report
from fetalseg.cli.verify_server import ServerAddress, ask_server
from fetalseg.cli.whole_number import whole_number
from fetalseg.engines import ENGINES
from fetalseg.errors import DataError, FetalsegError, ModelFileError
from fetalseg.model_file import ModelFacts, file_digest, find_model, read_facts
from fetalseg.segmenter import Segmenter
from fetalseg.verification.contenders import Contender, contenders, parse_reference
from fetalseg.verification.figures import Figures
from fetalseg.verification.frames import default_frames, frames_of
from fetalseg.verification.verifier import NotRun, Row, Verifier, check_same_network

__all__ = ["add_arguments", "run"]

FRAMES = 28  # four of each view and of none

Tell = Callable[[str], None]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options."""
    parser.add_argument("model", nargs="?", default="fetalseg-s", metavar="MODEL", help="name or path (fetalseg-s)")
    parser.add_argument(
        "--also", action="append", default=[], metavar="MODEL", help="another file of this network, as int8; repeatable"
    )
    parser.add_argument(
        "--reference",
        default="onnxruntime",
        metavar="ENGINE[:PRECISION]",
        help="what the others are held against (onnxruntime: the file as it is)",
    )
    parser.add_argument(
        "--engine",
        action="append",
        choices=tuple(ENGINES),
        help="compare this one, and fail if it can't run; repeatable; by default all that can run here",
    )
    parser.add_argument("--threads", type=whole_number, metavar="N", help="of an engine; by default all cores")
    parser.add_argument("--frames", type=whole_number, default=FRAMES, metavar="N", help=f"how many ({FRAMES})")
    parser.add_argument(
        "--source", metavar="SOURCE", help="frames to compare on, as of fetalseg predict; by default synthetic ones"
    )
    parser.add_argument("--min-score", type=float, metavar="S", help="0..1, of instances; by default the model's own")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the table, with machine and versions")
    data = parser.add_argument_group("average precision")
    data.add_argument("--data", type=Path, metavar="JSON", help="COCO file, or a folder with instances.json")
    data.add_argument("--images", type=Path, metavar="DIR", help="folder of its images (images/ beside the file)")
    data.add_argument("--limit", type=whole_number, metavar="N", help="only its first N frames")
    server = parser.add_argument_group("over the wire")
    server.add_argument("--server", metavar="URL", help="of a running server, ws://HOST:PORT/v1/stream")
    server.add_argument("--token-file", type=Path, metavar="FILE", help="holds the server's token")
    server.add_argument("--ca-file", type=Path, metavar="FILE", help="wss: the authorities to trust, PEM")
    server.add_argument("--certificate", type=Path, metavar="FILE", help="wss: this console's certificate, PEM")
    server.add_argument("--key", type=Path, metavar="FILE", help="wss: its key, where it lies in another file")
    parser.epilog = (
        "The table: largest differences of an instance's score and box, lowest and mean IoU of its mask; off: share of "
        "instances that are beyond the tolerance of one of the first three, of which some may be; absent: instances "
        "that one side alone has; close calls: shown by one side alone because a score is next to a threshold, or to "
        "another score; candidates off: share of candidates, shown or not, that differ by more than is usual; with "
        "--data changes of average precision, whose tolerance is wider the fewer annotations there are. Exit code 0: "
        "all within tolerance; 1: an engine is not, one that was asked for can't run, or nothing could be compared."
    )


def run(args: argparse.Namespace) -> int:
    """Compares, prints the table, writes it; 0 passed, 1 failed."""
    _check_belonging(args)
    path = find_model(args.model)
    others = [find_model(name) for name in args.also]
    reference = parse_reference(args.reference, path)
    with ExitStack() as stack:
        progress = stack.enter_context(progress_bar(SpinnerColumn(), TextColumn("{task.description}")))
        task = progress.add_task("", total=None)

        def tell(step: str) -> None:
            progress.update(task, description=step)

        with reference.load(args.threads) as segmenter:
            about = (segmenter.engine.name, segmenter.engine.precision, segmenter.engine.device)
            _check_others(segmenter.facts, others)
            verifier = _verifier(args, segmenter, tell)
        served = []
        if args.server is not None:  # before the engines, which take longer than a server takes to refuse
            tell(args.server)
            served.append(_over_the_wire(verifier, path, args))
        rows, not_run = _compare(verifier, reference, [path, *others], args, tell)
        rows += served
    if not rows:
        reasons = "; ".join(map(str, not_run)) or f"{args.reference} is the reference itself"
        raise ModelFileError(f"there is nothing to hold against the reference: {reasons}")
    print_report(verifier, about, rows, not_run)
    ran = {reference.engine, *(row.engine for row in rows)}
    passed = all(row.passed for row in rows) and set(args.engine or ()) <= ran
    if args.json is not None:
        content = report(path, verifier, about, rows, not_run, passed=passed)
        args.json.parent.mkdir(parents=True, exist_ok=True)
        args.json.write_text(json.dumps(content, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    return 0 if passed else 1


def _check_belonging(args: argparse.Namespace) -> None:
    """Refuses what would go unused: a table without what was asked for might be taken for one with it."""
    belonging = {"data": ("images", "limit"), "server": ("token_file", "ca_file", "certificate", "key")}
    for owner, options in belonging.items():
        unused = [option for option in options if getattr(args, option) is not None]
        if unused and getattr(args, owner) is None:
            words = ", ".join("--" + option.replace("_", "-") for option in unused)
            raise ValueError(f"{words} can't be used without --{owner}")


def _check_others(reference: ModelFacts, others: Sequence[Path]) -> None:
    """Refuses another network before any work; what a training checkpoint is shows when it is loaded."""
    for path in others:
        if path.suffix != ".safetensors":
            check_same_network(reference, read_facts(path), path.name)


def _verifier(args: argparse.Namespace, reference: Segmenter, tell: Tell) -> Verifier:
    figures = None if args.data is None else _figures(args, reference)
    tell("frames")
    frames = default_frames(args.frames) if args.source is None else frames_of(args.source, args.frames)
    tell(f"{reference.engine.name}, the reference")
    return Verifier(reference, frames, min_score=args.min_score, figures=figures)


def _figures(args: argparse.Namespace, reference: Segmenter) -> Callable[[Segmenter], Figures]:
    """Average precision on the data set, which is read and checked before any long work."""
    from fetalseg.data.coco import read_coco
    from fetalseg.evaluation.evaluator import Evaluator
    from fetalseg.verification.average_precision import average_precision

    truth = read_coco(args.data, images=args.images, limit=args.limit)
    Evaluator(truth, reference.structures)  # refuses a set of other structures
    annotated = {truth.structures[one.label] for image in truth.images for one in image.annotations if not one.crowd}
    if not annotated & set(reference.structures):
        raise DataError(
            f"{truth.path}: nothing that the model finds is annotated in {len(truth.images)} images, so that there is "
            "no average precision to compare; remedy: another set, or a higher --limit"
        )
    return partial(average_precision, truth=truth)


def _compare(
    verifier: Verifier, reference: Contender, paths: Sequence[Path], args: argparse.Namespace, tell: Tell
) -> tuple[list[Row], list[NotRun]]:
    """All files on all engines but the reference."""
    rows: list[Row] = []
    not_run: list[NotRun] = []
    for path in paths:
        for contender in contenders(path, args.engine or tuple(ENGINES)):
            if contender == reference:
                continue
            tell(f"{path.name}: {contender}")
            try:
                segmenter = contender.load(args.threads)
            except (FetalsegError, ValueError, ImportError, OSError) as error:
                not_run.append(NotRun(contender, str(error)))
                continue
            with segmenter:
                check_same_network(verifier.facts, segmenter.facts, path.name)
                rows.append(verifier.check(segmenter, path.name))
    return rows, not_run


def _over_the_wire(verifier: Verifier, path: Path, args: argparse.Namespace) -> Row:
    address = ServerAddress(args.server, args.token_file, args.ca_file, args.certificate, args.key)
    engine, answers = ask_server(address, verifier, sha256=file_digest(path))
    precisions = list(dict.fromkeys([verifier.facts.precision, engine.precision]))
    device = f"{engine.device}, served"
    return verifier.check_answers(answers, precisions, file=path.name, engine=engine.name, device=device)
