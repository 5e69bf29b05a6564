"""Tables that count frames: structures within their view, views told, absent structures, and head circumference."""

from __future__ import annotations

from typing import Any

from fetalseg.evaluation.html_report.cells import (
    Cell,
    Row,
    Table,
    at,
    count_cell,
    figure,
    figure_cell,
    interval,
    interval_cell,
    name_cell,
    number_cell,
    share_cell,
    title_of,
)

__all__ = ["absence_table", "head_table", "structure_table", "view_table"]

_SHARES = ("accuracy", "recall", "precision", "specificity", "f1")
_RULES = {
    "centre": "the centre of the box found lies in an annotated box",
    "iou50": "box IoU of 0.5 or more",
}


def structure_table(metrics: dict[str, Any], rule: str) -> Table | None:
    """Structures within their view, by one match rule; None if no frame is of a view."""
    rows = []
    for name, row in metrics["table3"][rule].items():
        if not row["frames"]:
            continue
        rows.append(
            Row(
                (
                    name_cell(title_of(name)),
                    Cell(row["view"], "name"),
                    *(count_cell(row[key]) for key in ("tp", "fp", "fn", "tn")),
                    *(figure_cell(row[share], at(row, "interval", share)) for share in _SHARES),
                    figure_cell(row["wrong_view_per_100"], at(row, "interval", "wrong_view_per_100"), 1),
                ),
                name,
            )
        )
    if not rows:
        return None
    return Table(
        caption=f"Match rule {rule}: {_RULES.get(rule, rule)}",
        columns=(
            *("", "view", "TP", "FP", "FN", "TN"),
            *("accuracy", "recall", "precision", "specificity", "F1", "wrong view"),
        ),
        rows=tuple(rows),
        notes=("Below the shares stand their intervals.",),
    )


def view_table(metrics: dict[str, Any]) -> Table | None:
    """Actual view against view told; None for a set without views."""
    views = metrics["views"]
    if views is None or not views["frames"]:
        return None
    rows = []
    for name, counts in views["confusion"].items():
        frames = sum(counts.values())
        if not frames:
            continue
        told = []
        for other, count in counts.items():
            share = share_cell(count / frames, f"{count:,}" if count else "·")
            told.append(Cell(share.text, f"{share.kind} {'right' if other == name else 'wrong'}"))
        rows.append(
            Row(
                (
                    name_cell(name),
                    *told,
                    count_cell(frames),
                    number_cell(views["recall"][name]),
                    number_cell(views["precision"][name]),
                    number_cell(views["essential_frames"][name] / frames),
                )
            )
        )
    columns = tuple(next(iter(views["confusion"].values())))
    return Table(
        caption="Frames by actual view (rows) and view told (columns)",
        groups=(("", 1), ("view told", len(columns)), ("", 4)),
        columns=("actual view", *columns, "frames", "recall", "precision", "essential found"),
        rows=tuple(rows),
        notes=(
            f"Accuracy {_with_interval(views, 'accuracy')}: frames on the diagonal. Essential structure found "
            f"{_with_interval(views, 'essential_found')}: frames in which a structure that makes the actual view is "
            "found, whatever else is.",
        ),
    )


def absence_table(metrics: dict[str, Any]) -> Table | None:
    """What is drawn where the structure is absent; None if none is absent anywhere."""
    rows = []
    for name, row in metrics["absence"].items():
        if row["all_views"]["frames"]:
            cells = [cell for part in (row["own_view"], row["all_views"]) for cell in _absence_cells(part)]
            rows.append(Row((name_cell(title_of(name)), *cells), name))
    if not rows:
        return None
    return Table(
        caption="Frames that annotate the structure wherever it is seen, and have none",
        groups=(("", 1), ("in its own view", 4), ("in all views", 4)),
        columns=("", *("frames", "nothing drawn", "specificity", "false per 100") * 2),
        rows=tuple(rows),
        notes=("Below specificity and false detections stand their intervals.",),
    )


def head_table(metrics: dict[str, Any]) -> Table | None:
    """Errors of head circumference; None where none is annotated."""
    head = metrics["head_circumference"]
    if head is None:
        return None
    rows = [
        Row(
            (
                name_cell(words),
                count_cell(row["n"]),
                *(figure_cell(row[key], at(row, "interval", key), 2) for key in ("mean", "sd", "mae")),
                interval_cell(None if row["low"] is None else (row["low"], row["high"]), 2),
            )
        )
        for words, row in (("Cranium found", head["found"]), ("Cranium annotated", head["annotated"]))
    ]
    return Table(
        caption="Head circumference of the mask against the annotated value, mm",
        columns=("", "n", "bias", "SD", "mean absolute error", "limits of agreement"),
        rows=tuple(rows),
        notes=(
            f"{head['frames']:,} frames with an annotated circumference; in {head['missed']:,} of them no cranium is "
            "found. Below bias, SD and mean absolute error stand their intervals. Limits of agreement: bias ± 1.96 SD. "
            "The second row is the error of the formula (an ellipse of the same second moments) and of the annotation, "
            "without the system.",
        ),
    )


def _absence_cells(part: dict[str, Any] | None) -> list[Cell]:
    return [
        count_cell(at(part, "frames")),
        count_cell(at(part, "clear")),
        figure_cell(at(part, "specificity"), at(part, "interval", "specificity")),
        figure_cell(at(part, "per_100"), at(part, "interval", "per_100"), 1),
    ]


def _with_interval(views: dict[str, Any], name: str) -> str:
    bounds = interval(at(views, "interval", name))
    return f"{figure(views[name])}{f' ({bounds})' if bounds else ''}"
