"""`fetalseg data check`: everything that is wrong with annotated images."""

from __future__ import annotations

import argparse
import itertools
import json
from collections import Counter
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.table import Table

from fetalseg.cli.progress_bar import progress_bar
from fetalseg.cli.tables import table_console
from fetalseg.data.check import CheckReport, Finding, check_sets
from fetalseg.data.split_files import SPLITS_FILE, read_groups

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the options."""
    parser.add_argument(
        "sets", nargs="+", type=Path, metavar="SET", help="folder with instances.json, COCO file, or folder of splits"
    )
    parser.add_argument("--images", type=Path, metavar="DIR", help="folder of the images (default: images/ beside it)")
    parser.add_argument("--json", action="store_true", help="print JSON, with every finding")
    parser.add_argument(
        "--show", type=int, default=20, metavar="N", help="findings of one kind in the table (default: %(default)s)"
    )


def run(args: argparse.Namespace) -> int:
    """Checks the sets; 1 where a problem was found."""
    if args.show < 1:
        raise ValueError(f"--show must be at least 1, got {args.show}")
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with progress_bar(*columns) as bar:
        task = bar.add_task("images", total=None)
        report = check_sets(
            _groups(args.sets),
            images=args.images,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
    if args.json:
        print(json.dumps(report.to_json(), indent=1))
    else:
        _print(report, args.show)
    return 1 if report.problems else 0


def _groups(paths: list[Path]) -> list[list[Path]]:
    """Sets to be compared with each other: all of them, and of splits one fold at a time."""
    choices = [read_groups(path) if (path / SPLITS_FILE).is_file() else [[path]] for path in paths]
    return [list(itertools.chain(*chosen)) for chosen in itertools.product(*choices)]


def _print(report: CheckReport, show: int) -> None:
    console = table_console()
    several = len(report.sets) > 1
    shown: list[Finding] = []
    counts = Counter((finding.level, finding.rule) for finding in report.findings)
    seen: Counter[tuple[str, str]] = Counter()
    for finding in sorted(report.findings, key=lambda f: (f.level != "problem", f.rule)):
        seen[finding.level, finding.rule] += 1
        if seen[finding.level, finding.rule] <= show:
            shown.append(finding)
    if shown:
        table = Table(box=SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0))
        for heading in ("", "kind", *(["file"] if several else []), "where", "what"):
            table.add_column(heading, overflow="fold")
        for finding in shown:
            color = "red" if finding.level == "problem" else "yellow"
            file = [escape(str(finding.file))] if several else []
            row = (finding.rule, *file, escape(finding.where), escape(finding.message))
            table.add_row(f"[{color}]{finding.level}[/]", *row)
        console.print(table)
    for (level, rule), count in counts.items():
        if count > show:
            console.print(f"{count - show} more {level}s of the kind {rule}: --show {count} or --json lists them")
    for one in report.sets:
        console.print(f"{one.file}: {len(one.images)} images, {one.annotations} annotations", markup=False)
    notes = len(report.findings) - report.problems
    words = [f"{count} {word}{'s' * (count != 1)}" for count, word in ((report.problems, "problem"), (notes, "note"))]
    console.print(f"{words[0]}, {words[1]}" if report.findings else "nothing wrong")
