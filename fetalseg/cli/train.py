"""`fetalseg train`: train a variant on one or more COCO sets.

What is held out is written to RUN/holdout/SET/instances.json with absolute file names, for
`fetalseg eval --data RUN/holdout/SET`. Started by `torchrun`, its processes share every batch.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from fetalseg.cli.interruption import INTERRUPTED, ends_softly
from fetalseg.data.splits import split_set
from fetalseg.errors import MissingExtraError

if TYPE_CHECKING:
    from fetalseg.model.variants import Variant
    from fetalseg.training.distributed import Processes
    from fetalseg.training.trainer import Ending, Trainer
    from fetalseg.training.validation import Score

__all__ = ["add_arguments", "run", "train_with_display"]

_HOLDOUT = 0.1


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
    parser.add_argument("--resume", action="store_true", help="go on where the run in RUN stopped")
    _add_length(parser)
    _add_numbers(parser)
    _add_validation(parser)
    _add_facts(parser)


def _add_length(parser: argparse.ArgumentParser) -> None:
    length = parser.add_mutually_exclusive_group(required=True)
    length.add_argument("--minutes", type=float, help="train for this long, validation included")
    length.add_argument("--steps", type=int, help="train for this many steps")
    length.add_argument("--epochs", type=float, help="train for this many passes over as many frames as all sets hold")
    parser.add_argument(
        "--patience",
        type=int,
        metavar="N",
        help="end after N validations in a row without a better score (default: never; 5 with --repeats)",
    )


def _add_numbers(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--batch", type=int, default=16, help="frames in a step, all processes together (default: %(default)s)"
    )
    parser.add_argument("--lr", type=float, default=1e-3, help="peak learning rate (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of weights, order and augmentation (default: %(default)s)")
    parser.add_argument("--init", type=Path, metavar="CHECKPOINT", help="start from the weights of it that fit")
    parser.add_argument("--random-init", action="store_true", help="start the backbone without ImageNet weights")
    parser.add_argument(
        "--precision",
        choices=("fp32", "bf16", "fp16"),
        default="bf16",
        help="of the network while training; losses and weights stay fp32 (default: %(default)s)",
    )
    parser.add_argument(
        "--augment",
        default="all",
        metavar="WORDS",
        help="all, none, or groups with commas between them: flip, geometry, crop, ... (default: %(default)s)",
    )
    parser.add_argument("--device", default="cpu", help="cpu, cuda or cuda:N (default: %(default)s)")
    parser.add_argument("--threads", type=int, help="of the computation (default: PyTorch's choice)")
    parser.add_argument(
        "--loaders", type=int, metavar="N", help="threads that make batches (default: a quarter of the cores)"
    )


def _add_validation(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--holdout", type=float, help=f"share of each set that is never trained on (default: {_HOLDOUT})"
    )
    parser.add_argument("--validations", type=int, default=10, help="in the whole run (default: %(default)s)")
    parser.add_argument(
        "--validation-frames",
        type=int,
        default=100,
        metavar="N",
        help="at most N a set while training, evenly picked (default: %(default)s)",
    )
    parser.add_argument(
        "--ship",
        choices=("best", "last"),
        default="best",
        help="which weights end up in RUN/VARIANT.safetensors, in half precision: the best by validation, or those of "
        "the end, for which nothing was chosen on the held-out frames (default: %(default)s)",
    )
    parser.add_argument(
        "--repeats",
        type=int,
        metavar="N",
        help="the protocol of the clinical study: a fixed test part of 5 %% and N random 4:1 splits of the rest by "
        "patient, a training on each; writes RUN/table4.csv and .json",
    )


def _add_facts(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--licence", metavar="WORDS", help="of the weights, written into every checkpoint")
    parser.add_argument(
        "--attribution",
        action="append",
        default=[],
        metavar="WORDS",
        help="a line to stand beside the sets in the model's training data; repeatable",
    )
    parser.add_argument(
        "--postprocess",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a default that the model brings along, such as nms=greedy or min_score=0.4; repeatable",
    )


def run(args: argparse.Namespace) -> int:
    """Reads the sets, trains, reports."""
    try:
        from fetalseg.cli.train_repeats import run_repeats
        from fetalseg.model.variants import variant
        from fetalseg.training.allocator import keep_freed_memory
        from fetalseg.training.build import check_device
        from fetalseg.training.distributed import join_processes
    except ModuleNotFoundError as error:
        raise MissingExtraError(error.name or "torch", "train") from None
    chosen = variant(args.variant)
    check_device(args.device)
    keep_freed_memory()
    with join_processes(args.device) as processes:
        console = Console(file=sys.stdout, quiet=not processes.first)
        if args.repeats is not None:
            return run_repeats(args, chosen, processes, console)
        return _run_once(args, chosen, processes, console)


def _run_once(args: argparse.Namespace, chosen: Variant, processes: Processes, console: Console) -> int:
    from fetalseg.cli.train_settings import augmentation, facts, read_sets, train_options
    from fetalseg.training.build import build_trainer
    from fetalseg.training.run_folder import RunFolder
    from fetalseg.training.training_data import decode_sets, divide, write_held_out

    folder = RunFolder(args.out)
    if not args.resume:
        folder.check_unused()
    sets = read_sets(args.data)
    described, augment = facts(args, sets), augmentation(args.augment)
    share = _HOLDOUT if args.holdout is None else args.holdout
    splits = [split_set(each.source, share) for each in sets]
    options = train_options(args, sum(len(split.train) for split in splits))
    data = divide(sets, decode_sets(sets, chosen.input), splits, validation_frames=args.validation_frames)
    for each, split in zip(sets, splits, strict=True):
        console.print(
            f"{each.source.name}: {len(split.train)} frames to train on, {len(split.held_out)} held out by "
            f"{split.unit}, {100 * each.share:.0f} % of every batch"
        )
    trainer = build_trainer(
        chosen,
        data,
        args.out,
        options,
        imagenet=not args.random_init,
        init=args.init,
        augmentation=augment,
        threads=args.threads,
        facts=described,
        processes=processes,
    )
    if args.resume:
        trainer.resume()
    if processes.first:
        with folder.writing():
            write_held_out(sets, splits, args.out / "holdout")
    return INTERRUPTED if train_with_display(trainer, processes, console) == "stopped" else 0


def train_with_display(trainer: Trainer, processes: Processes, console: Console) -> Ending:
    """Trains with a live line, tables of scores, and a summary at the end; Ctrl+C saves first."""
    from fetalseg.cli.train_display import LiveLine, print_summary, scores_table

    if fitted := trainer.facts.get("init"):
        console.print(f"starts from {fitted}")
    live = LiveLine(console)

    def show(scores: dict[str, list[Score]]) -> None:
        if any(scores.values()):
            console.print(scores_table(scores, f"held-out frames, step {trainer.progress.step}"))

    with live, ends_softly(trainer.stop, alone=processes.count == 1):
        ending = trainer.run(on_step=live.step, on_scores=show)
    if processes.first:
        print_summary(console, trainer, ending, live.last)
    return ending
