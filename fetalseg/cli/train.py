"""`fetalseg train`: train a variant on one or more COCO sets.

What is held out is written to RUN/holdout/SET/instances.json with absolute file names, for
`fetalseg eval --data RUN/holdout/SET`.
"""

from __future__ import annotations

import argparse
import datetime
import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from fetalseg.data.coco import read_coco, write_subset
from fetalseg.data.frames import AnnotatedFrame, load_frames
from fetalseg.data.records import CocoSet
from fetalseg.data.splits import Split, split_set
from fetalseg.errors import MissingExtraError

if TYPE_CHECKING:
    from fetalseg.model.variants import Variant
    from fetalseg.training.batches import FrameSet
    from fetalseg.training.trainer import Trainer
    from fetalseg.training.validation import Score

_LINE_EVERY = 20  # steps between two lines where the output is no terminal


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the options."""
    parser.add_argument(
        "--data",
        action="append",
        required=True,
        metavar="DIR[:SHARE]",
        help="folder with instances.json and images/, and its share of every batch (default: equal shares); repeatable",
    )
    parser.add_argument("--variant", default="fetalseg-s", help="which network (default: %(default)s)")
    parser.add_argument("--out", type=Path, required=True, metavar="RUN", help="folder of the run")
    length = parser.add_mutually_exclusive_group(required=True)
    length.add_argument("--minutes", type=float, help="train for this long, validation included")
    length.add_argument("--steps", type=int, help="train for this many steps")
    length.add_argument("--epochs", type=float, help="train for this many passes over as many frames as all sets hold")
    parser.add_argument("--batch", type=int, default=16, help="frames in a step (default: %(default)s)")
    parser.add_argument("--lr", type=float, default=1e-3, help="peak learning rate (default: %(default)s)")
    parser.add_argument(
        "--holdout", type=float, default=0.1, help="share of each set that is never trained on (default: %(default)s)"
    )
    parser.add_argument("--seed", type=int, default=0, help="of weights, order and augmentation (default: %(default)s)")
    parser.add_argument("--resume", action="store_true", help="go on where the run in RUN stopped")
    parser.add_argument("--random-init", action="store_true", help="start the backbone without ImageNet weights")
    parser.add_argument("--no-bfloat16", action="store_true", help="compute in float32 throughout")
    parser.add_argument("--device", default="cpu", help="cpu or cuda (default: %(default)s)")
    parser.add_argument("--threads", type=int, help="of the computation (default: PyTorch's choice)")
    parser.add_argument("--validations", type=int, default=10, help="in the whole run (default: %(default)s)")
    parser.add_argument(
        "--validation-frames",
        type=int,
        default=100,
        help="at most this many a set while training (default: %(default)s)",
    )


def run(args: argparse.Namespace) -> int:
    """Reads the sets, trains, reports."""
    try:
        from fetalseg.model.variants import variant
        from fetalseg.training.build import check_device
    except ModuleNotFoundError as error:
        raise MissingExtraError(error.name or "torch", "train") from None
    chosen = variant(args.variant)
    check_device(args.device)
    console = Console(file=sys.stdout)
    sources = [_read_set(text) for text in args.data]
    sets, held_out = _load_sets(sources, chosen, args, console)
    trainer = _trainer(chosen, sets, held_out, [source for source, _ in sources], args)
    if args.resume:
        trainer.resume()
    _train(trainer, console)
    return 0


def _read_set(text: str) -> tuple[CocoSet, float | None]:
    """The set of `DIR[:SHARE]`, and its share if given."""
    folder, colon, share = text.rpartition(":")
    if not colon or not _is_number(share):
        return read_coco(text), None
    if float(share) <= 0:
        raise ValueError(f"the share of a set must be above 0, got {text!r}")
    return read_coco(folder), float(share)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _load_sets(
    sources: list[tuple[CocoSet, float | None]], chosen: Variant, args: argparse.Namespace, console: Console
) -> tuple[list[FrameSet], dict[str, list[AnnotatedFrame]]]:
    """Splits and decodes every set; writes down what is held out."""
    from fetalseg.training.batches import FrameSet

    names = [source.name for source, _ in sources]
    if len(set(names)) != len(names):
        raise ValueError(f"the folders of the sets must have different names, got {', '.join(names)}")
    given = [share for _, share in sources if share is not None]
    if given and len(given) != len(sources):
        raise ValueError("give a share to every set or to none")
    total = sum(given) or len(sources)
    sets: list[FrameSet] = []
    held_out: dict[str, list[AnnotatedFrame]] = {}
    for source, share in sources:
        split = split_set(source, args.holdout)
        _write_split(source, split, args.out)
        frames = load_frames(source.subset(split.train), chosen.input)
        kept = split.held_out[: args.validation_frames]
        held_out[source.name] = load_frames(source.subset(kept), chosen.input)
        sets.append(FrameSet(source.name, frames, (share or 1.0) / total))
        console.print(
            f"{source.name}: {len(split.train)} frames to train on, {len(split.held_out)} held out by {split.unit}, "
            f"{100 * sets[-1].share:.0f} % of every batch"
        )
    return sets, held_out


def _write_split(source: CocoSet, split: Split, out: Path) -> None:
    folder = out / "holdout" / source.name
    write_subset(source, split.held_out, folder / "instances.json")
    names = {image.id: image.path.name for image in source.images}
    parts = {"train": [names[i] for i in split.train], "held_out": [names[i] for i in split.held_out]}
    (folder / "split.json").write_text(json.dumps({"unit": split.unit, **parts}, indent=1), encoding="utf-8")


def _trainer(
    chosen: Variant,
    sets: list[FrameSet],
    held_out: dict[str, list[AnnotatedFrame]],
    sources: list[CocoSet],
    args: argparse.Namespace,
) -> Trainer:
    from fetalseg.training.build import build_trainer
    from fetalseg.training.schedule import Budget
    from fetalseg.training.trainer import TrainOptions

    steps: int | None = args.steps
    if args.epochs is not None:
        steps = max(1, round(args.epochs * sum(len(s.frames) for s in sets) / args.batch))
    options = TrainOptions(
        budget=Budget(steps=steps, minutes=args.minutes),
        batch=args.batch,
        learning_rate=args.lr,
        seed=args.seed,
        bfloat16=not args.no_bfloat16,
        validations=args.validations,
        device=args.device,
    )
    return build_trainer(
        chosen,
        sets,
        held_out,
        args.out,
        options,
        imagenet=not args.random_init,
        threads=args.threads,
        facts=_facts(sources),
    )


def _facts(sources: list[CocoSet]) -> dict[str, Any]:
    return {
        "training_data": [f"{s.name}: {s.description}" if s.description else s.name for s in sources],
        "created": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "commit": _commit(),
    }


def _commit() -> str:
    """The commit of the checkout that this file belongs to, "" outside of one."""
    command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def _train(trainer: Trainer, console: Console) -> None:
    """Runs with a live line on a terminal, with plain lines elsewhere."""
    from fetalseg.training.trainer import StepReport

    bar = Progress(
        BarColumn(), TextColumn("{task.percentage:>5.1f} %"), TimeElapsedColumn(), TextColumn("{task.description}"),
        console=console, disable=not console.is_terminal,
    )  # fmt: skip
    task = bar.add_task("", total=1.0)

    def on_step(report: StepReport) -> None:
        terms = " ".join(f"{name} {value:.3f}" for name, value in report.losses.items())
        line = f"step {report.step} {terms} | {report.step_s:.2f} s a step, {report.waiting:.1%} waiting for data"
        bar.update(task, completed=report.progress, description=line)
        if not console.is_terminal and report.step % _LINE_EVERY == 0:
            console.print(f"{100 * report.progress:5.1f} % {line}", soft_wrap=True, highlight=False)

    def on_scores(scores: dict[str, list[Score]]) -> None:
        console.print(_table(scores))

    # A scheduler ends a job with SIGTERM: the state is saved as after Ctrl+C.
    previous = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with bar:
            trainer.run(on_step=on_step, on_scores=on_scores)
    finally:
        signal.signal(signal.SIGTERM, previous)


def _table(scores: dict[str, list[Score]]) -> Table:
    table = Table("set", "structure", "n", "box AP50", "mask AP50", "centre", title="held-out frames")
    for name, rows in scores.items():
        for row in rows:
            mask = "" if row.mask is None else f"{row.mask:.3f}"
            table.add_row(name, row.structure, str(row.support), f"{row.box:.3f}", mask, f"{row.centre:.3f}")
    return table
