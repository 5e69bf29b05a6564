"""An evaluation on a terminal of 80 columns: average precision by structure, Table 3, and the headline figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

from fetalseg.evaluation.evaluator import Evaluation
from fetalseg.evaluation.precision import AveragePrecision

__all__ = ["headlines", "precision_table", "structure_table"]


def precision_table(evaluation: Evaluation) -> Table:
    """The figures of the structures with ground truth, and their means; fits 80 columns."""
    title = f"Average precision, {evaluation.frames} frames"
    grid = Table(title=title, title_justify="left", box=SIMPLE_HEAD, show_edge=False, padding=0)
    grid.add_column("structure\n", no_wrap=True)
    headings = ("\nn", "box\nAP50", "\nAP75", "\nAP", "mask\nAP50", "\nAP75", "\nAP", "\nDice", "centre\nhit")
    for heading in headings:
        grid.add_column(heading, justify="right", no_wrap=True)
    for name, result in evaluation.structures.items():
        if result.support:
            last = (_text(result.dice), _text(result.centre_hit))
            grid.add_row(name, str(result.support), *_cells(result.box), *_cells(result.mask), *last)
    grid.add_section()
    n = f"mean of {evaluation.box.n}"
    if evaluation.mask is not None and evaluation.mask.n != evaluation.box.n:
        n += f" ({evaluation.mask.n} by mask)"
    grid.add_row(n, "", *_cells(evaluation.box), *_cells(evaluation.mask), "", "", style="bold")
    without = sum(result.support == 0 for result in evaluation.structures.values())
    remarks = []
    if without:
        remarks.append(f"no ground truth in this set for {without} of {len(evaluation.structures)} structures")
    if evaluation.unknown:
        remarks.append(f"in the set, but unknown to the model and not scored: {', '.join(evaluation.unknown)}")
    if remarks:
        grid.caption = "\n".join(remarks)
        grid.caption_justify = "left"
    return grid


def structure_table(metrics: Mapping[str, Any], rule: str = "centre") -> Table:
    """Table 3: structures within their view, those that frames of this set are scored for; fits 80 columns.

    Args:
        metrics: what `metrics.json` holds.
        rule: match rule.
    """
    title = f"Structures within their view, match rule {rule}"
    grid = Table(title=title, title_justify="left", box=SIMPLE_HEAD, show_edge=False, padding=0)
    grid.add_column("structure\n", no_wrap=True)
    for heading in (
        "\nTP",
        "\nFP",
        "\nFN",
        "\nTN",
        "accu-\nracy",
        "re-\ncall",
        "preci-\nsion",
        "speci-\nficity",
        "\nF1",
    ):
        grid.add_column(heading, justify="right", no_wrap=True)
    grid.add_column("wrong view\nper 100", justify="right", no_wrap=True)
    for name, row in metrics["table3"][rule].items():
        if row["frames"]:
            counts = [str(row[word]) for word in ("tp", "fp", "fn", "tn")]
            shares = [_text(row[word]) for word in ("accuracy", "recall", "precision", "specificity", "f1")]
            wrong = row["wrong_view_per_100"]
            grid.add_row(name, *counts, *shares, "n/a" if wrong is None else f"{wrong:.1f}")
    return grid


def headlines(metrics: Mapping[str, Any]) -> list[str]:
    """The main figures with their intervals, a line each."""
    rows = [(f"{kind} AP50", metrics[kind], "AP50") for kind in ("box", "mask", "boundary") if metrics[kind]]
    if metrics["views"]:
        rows += [("view told right", metrics["views"], "accuracy")]
        rows += [("essential structure found", metrics["views"], "essential_found")]
    lines = [f"{what} {_text(of[key])}{_bounds(of['interval'][key])}" for what, of, key in rows]
    drawn = metrics["protocol"]["interval"]
    lines.append(
        f"intervals of {drawn['level']:.0%} {drawn['unit']}: {drawn['units']:,} units, {drawn['resamples']:,} "
        f"resamples, seed {drawn['seed']}"
    )
    head = metrics["head_circumference"]
    if head is not None and head["found"]["sd"] is not None:
        found, bounds = head["found"], head["found"]["interval"]
        lines += [
            f"head circumference off by {found['mae']:.2f} mm{_bounds(bounds['mae'], '.2f')} on average,",
            f"  bias {found['mean']:+.2f} mm{_bounds(bounds['mean'], '+.2f')}, limits of agreement "
            f"{found['low']:+.2f} to {found['high']:+.2f} mm",
            f"  ({found['n']} heads, {head['missed']} missed)",
        ]
    return lines


def _cells(figures: AveragePrecision | None) -> list[str]:
    if figures is None:
        return ["n/a"] * 3
    return [_text(figures.ap50), _text(figures.ap75), _text(figures.ap)]


def _text(value: float | None) -> str:
    return "n/a" if value is None else f"{value:.3f}"


def _bounds(bounds: Sequence[float] | None, form: str = ".3f") -> str:
    return "" if bounds is None else f" ({bounds[0]:{form}} to {bounds[1]:{form}})"
