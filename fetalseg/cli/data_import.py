"""`fetalseg data import`: public data sets as their publishers offer them."""

from __future__ import annotations

import argparse
from pathlib import Path

from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn

from fetalseg.cli.progress_bar import progress_bar
from fetalseg.data.importers import IMPORTERS

__all__ = ["add_arguments", "run"]

_SHOWN = 10


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the options."""
    parser.add_argument("kind", choices=IMPORTERS, help="which data set")
    parser.add_argument("folder", type=Path, metavar="DIR", help="its unpacked files")
    parser.add_argument("--out", type=Path, required=True, metavar="SET", help="folder for instances.json and images/")


def run(args: argparse.Namespace) -> int:
    """Imports a set and says what was left out."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with progress_bar(*columns) as bar:
        task = bar.add_task("images", total=None)
        done = IMPORTERS[args.kind](
            args.folder, args.out, progress=lambda count, total: bar.update(task, completed=count, total=total)
        )
    for line in done.left_out[:_SHOWN]:
        print(f"left out: {line}")
    if len(done.left_out) > _SHOWN:
        print(f"left out: {len(done.left_out) - _SHOWN} more")
    print(f"{done.images} images, {done.annotations} annotations: {done.path}")
    return 0
