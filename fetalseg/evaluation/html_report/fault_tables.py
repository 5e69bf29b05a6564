"""Tables of what goes wrong, of the thresholds to run at, and of what the scores mean."""

from __future__ import annotations

from typing import Any

from fetalseg.evaluation.error_kinds import ERROR_KINDS
from fetalseg.evaluation.html_report.cells import (
    Cell,
    Row,
    Table,
    at,
    count_cell,
    figure,
    name_cell,
    number_cell,
    share_cell,
    title_of,
)
from fetalseg.evaluation.html_report.precision_tables import KIND_WORDS, shown_structures

__all__ = ["error_tables", "threshold_table"]


def error_tables(metrics: dict[str, Any]) -> list[Table]:
    """Kinds of errors, by mask and by box where both were scored."""
    return [_error_table(metrics, kind) for kind in KIND_WORDS if at(metrics, "errors", kind) is not None]


def threshold_table(metrics: dict[str, Any]) -> Table:
    """The threshold of the highest F1, and the calibration error."""
    kinds = [kind for kind in ("mask", "box") if metrics.get(kind) is not None]
    rows = []
    for name, row in shown_structures(metrics):
        cells: list[Cell] = []
        for kind in kinds:
            point = at(row, "threshold", kind)
            cells += [number_cell(at(point, key), 2) for key in ("threshold", "precision", "recall", "f1")]
            cells.append(number_cell(at(row, "calibration", kind, "expected_error")))
        rows.append(Row((name_cell(title_of(name)), count_cell(row["support"]), *cells), name))
    return Table(
        caption="Score threshold of the highest F1 at IoU 0.5, and what it gives",
        groups=(("", 2), *((KIND_WORDS[kind], 5) for kind in kinds)),
        columns=("", "n", *("threshold", "precision", "recall", "F1", "calibration error") * len(kinds)),
        rows=tuple(rows),
        notes=(
            "Chosen on these frames: precision, recall and F1 at a threshold chosen here are optimistic. Expected "
            "calibration error: the mean of |share that is right - score| over the detections.",
        ),
    )


def _error_table(metrics: dict[str, Any], kind: str) -> Table:
    rows = []
    for name, row in metrics["structures"].items():
        errors = at(row, "errors", kind)
        if errors is not None and (row["support"] or any(errors["counts"].values())):
            rows.append(Row((name_cell(title_of(name)), *_error_cells(at(row, kind), errors)), name))
    rows.append(Row((name_cell("Mean, all"), *_error_cells(metrics[kind], metrics["errors"][kind])), kind="mean"))
    return Table(
        caption=f"AP50 that each kind of error costs {KIND_WORDS[kind]}, number of errors in brackets",
        columns=("", "AP50", *(error.capitalize() for error in ERROR_KINDS)),
        rows=tuple(rows),
    )


def _error_cells(figures: dict[str, Any] | None, errors: dict[str, Any]) -> list[Cell]:
    cells = [number_cell(at(figures, "AP50"))]
    for error in ERROR_KINDS:
        cost, count = errors["costs"][error], errors["counts"][error]
        text = f"{figure(cost)} ({count:,})" if count else "–"
        # Twice the cost: half of all there is to lose is as dark as it gets.
        shade = share_cell(None if not count or cost is None else 2 * cost, text)
        cells.append(Cell(shade.text, f"{shade.kind} wrong"))
    return cells
