"""`fetalseg compare`: two evaluations on the same data, and whether the new model may be released."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from fetalseg.cli.tables import plain_table, table_console
from fetalseg.errors import DataError, FetalsegError

if TYPE_CHECKING:
    from fetalseg.data.records import CocoSet
    from fetalseg.evaluation.bootstrap import Draws, Resampled
    from fetalseg.evaluation.comparison import Comparison
    from fetalseg.evaluation.gate import Margin, Rule, Verdict
    from fetalseg.evaluation.stored_run import StoredRun

__all__ = ["add_arguments", "run"]

SCHEMA = 1  # of the file that --out writes

_TABLES = (  # kind, measure, title
    ("box", "AP50", "AP50 by box"),
    ("mask", "AP50", "AP50 by mask"),
    ("overlap", "centre_hit", "Centre-hit rate"),
    ("overlap", "dice", "Mean Dice"),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options."""
    parser.description = "compare two evaluations; exit code 0: may be released, 1: held back by a rule, 2: an error"
    parser.add_argument("base", type=Path, metavar="BASE", help="folder that `fetalseg eval` wrote for the old model")
    parser.add_argument("new", type=Path, metavar="NEW", help="the same for the new model, on the same data")
    parser.add_argument(
        "--fail-if",
        action="append",
        default=[],
        metavar="RULE",
        help="hold the new model back if this is so, such as 'nasal_bone.mask.AP50 drop > 0.02' or "
        "'nasal_bone.centre_hit drop > 0.02'; repeatable",
    )
    parser.add_argument(
        "--non-inferiority",
        action="append",
        default=[],
        metavar="MARGIN",
        help="hold it back unless it is worse by less than this, by the 95%% interval: 0.01 (both means of AP50), or "
        "'nasal_bone.mask.AP50 0.05'; repeatable",
    )
    parser.add_argument("--data", type=Path, metavar="JSON", help="the data, if it has moved since")
    parser.add_argument("--images", type=Path, metavar="DIR", help="folder of its images, if not beside it")
    parser.add_argument("--resamples", type=int, default=1000, metavar="N", help="default: %(default)s")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of the resamples (default: %(default)s)")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write everything as JSON")


def run(args: argparse.Namespace) -> int:
    """Compares, prints and judges; an error is 2, so that a CI tells it from a model that is held back."""
    try:
        return _run(args)
    except (FetalsegError, ValueError) as error:
        print(f"fetalseg compare: {error}", file=sys.stderr)
        return 2


def _run(args: argparse.Namespace) -> int:
    # Imported here, so that `fetalseg compare --help` works without the extra `eval`.
    from fetalseg.evaluation.bootstrap import draw_resamples
    from fetalseg.evaluation.compared_figures import compared_names
    from fetalseg.evaluation.comparison import compare
    from fetalseg.evaluation.gate import judge, parse_margins, parse_rule
    from fetalseg.evaluation.stored_run import compared_kinds, compared_labels, read_run, read_truth

    base, new = read_run(args.base), read_run(args.new)
    truth = read_truth(base, new, args.data, args.images)
    kinds, labels = compared_kinds(base, new), compared_labels(base, new, truth)
    # Before the work that takes its time.
    names = compared_names([truth.structures[label] for label in labels], kinds)
    requirements: list[Rule | Margin] = [
        *(parse_rule(text, names) for text in args.fail_if),
        *(margin for text in args.non_inferiority for margin in parse_margins(text, names)),
    ]
    draws = draw_resamples(truth.images, resamples=args.resamples, seed=args.seed)
    comparisons = compare(*(_figures(one, truth, kinds, labels, draws) for one in (base, new)))
    verdicts = judge(requirements, comparisons)
    console = table_console()
    _print_heading(base, new, draws, console)
    for kind, measure, title in _TABLES:
        table = _table(comparisons, kind, measure, title)
        if table.row_count:
            console.print(table)
            console.print()
    for verdict in verdicts:
        console.print(f"{'pass' if verdict.passed else 'FAIL'}  {verdict.text}: {verdict.reason}", markup=False)
    if args.out is not None:
        _write(args.out, _as_json(base, new, draws, comparisons, verdicts))
    return 0 if all(verdict.passed for verdict in verdicts) else 1


def _figures(run: StoredRun, truth: CocoSet, kinds: list[str], labels: list[int], draws: Draws) -> dict[str, Resampled]:
    from fetalseg.evaluation.compared_figures import best_detection_figures
    from fetalseg.evaluation.resampled_precision import precision_figures
    from fetalseg.evaluation.stored_run import frames_of, matches_of

    frames = frames_of(run, truth, kinds)
    structures = [truth.structures[label] for label in labels]
    precision = precision_figures(matches_of(frames, truth, labels), truth.structures, draws)
    return precision | best_detection_figures(frames, truth, structures, draws)


def _print_heading(base: StoredRun, new: StoredRun, draws: Draws, console: Console) -> None:
    from fetalseg.evaluation.stored_run import option_differences

    console.print(f"base: {base.system} ({base.folder})", f"new: {new.system} ({new.folder})", sep="\n", markup=False)
    console.print(
        f"{draws.weights.shape[1]:,} images; intervals of 95 % {draws.unit}, {draws.units:,} units, "
        f"{len(draws):,} resamples, seed {draws.seed}",
        markup=False,
    )
    if changed := option_differences(base, new):
        console.print(f"options differ (base, new): {'; '.join(changed)}", markup=False)
    for one, other in ((base, new), (new, base)):
        if only := sorted(one.unknown - other.unknown):
            console.print(f"{one.system} doesn't know, and so misses all: {', '.join(only)}", markup=False)
    if neither := sorted(base.unknown & new.unknown):
        console.print(f"neither knows, and left out: {', '.join(neither)}", markup=False)
    console.print()


def _table(comparisons: list[Comparison], kind: str, measure: str, title: str) -> Table:
    """One figure of the structures with ground truth, and their mean where there is one."""
    headings = ("structure", "base", "new", "difference", "95 % interval", "p", "Holm")
    table = plain_table(*headings, title=title)
    mean = []
    for row in comparisons:
        subject, *of = row.figure.rsplit(".", 2)
        if of != [kind, measure] or row.base is None or row.new is None or row.difference is None:
            continue
        interval = "n/a"
        if row.interval is not None:
            interval = f"{row.interval.low:+.3f} to {row.interval.high:+.3f}"
            interval += f" ({row.interval.dropped} dropped)" if row.interval.dropped else ""
        p_values = (_p(row.p), _p(row.adjusted_p) if subject != "mean" else "")
        cells = (subject, f"{row.base:.3f}", f"{row.new:.3f}", f"{row.difference:+.3f}", interval, *p_values)
        if subject == "mean":
            mean.append(cells)
        else:
            table.add_row(*cells)
    table.add_section()
    for cells in mean:
        table.add_row(*cells, style="bold")
    return table


def _p(value: float | None) -> str:
    return "n/a" if value is None else f"{value:.3f}"


def _as_json(
    base: StoredRun, new: StoredRun, draws: Draws, comparisons: list[Comparison], verdicts: list[Verdict]
) -> dict[str, Any]:
    from fetalseg.evaluation import comparison, gate

    return {
        "schema": SCHEMA,
        "base": {"system": base.system, "folder": str(base.folder)},
        "new": {"system": new.system, "folder": str(new.folder)},
        "data": {"path": str(base.data), "sha256": base.sha256, "images": base.images},
        "bootstrap": {"unit": draws.unit, "units": draws.units, "resamples": len(draws), "seed": draws.seed},
        "figures": comparison.as_json(comparisons),
        "rules": gate.as_json(verdicts),
        "passed": all(verdict.passed for verdict in verdicts),
    }


def _write(path: Path, content: dict[str, Any]) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    except OSError as error:
        raise DataError(f"can't write to {path}: {error.strerror}") from None
