"""The curves of the page: precision over recall, F1 over the threshold, and the share that is right over the score."""

from __future__ import annotations

from typing import Any

from fetalseg.evaluation.html_report.cells import at, figure, title_of
from fetalseg.evaluation.html_report.charts import Chart, Line, Note, bars, line, upright
from fetalseg.evaluation.html_report.precision_tables import shown_structures

__all__ = ["calibration_charts", "f1_charts", "precision_charts"]

_KINDS = ("boundary", "mask", "box")  # from the back to the front: lines often coincide


def precision_charts(metrics: dict[str, Any], curves: dict[str, Any]) -> list[Chart]:
    """Precision over recall at IoU 0.5, a chart for each structure with ground truth."""
    charts = []
    for name, row in shown_structures(metrics):
        lines = [
            line(f"by {kind}, AP50 {figure(at(row, kind, 'AP50'))}", kind, curves["recall_points"], precision)
            for kind in _KINDS
            if (precision := at(curves, "structures", name, kind, "precision")) is not None
        ]
        charts.append(Chart(title_of(name), name, "recall", "precision", tuple(lines), notes=_keys(lines)))
    return charts


def f1_charts(metrics: dict[str, Any], curves: dict[str, Any]) -> list[Chart]:
    """F1 over the score threshold at IoU 0.5, with the threshold of the highest one."""
    charts = []
    for name, row in shown_structures(metrics):
        lines, marks = [], []
        notes: list[Note] = []
        for kind in _KINDS[1:]:
            values = at(curves, "structures", name, kind, "kept", "f1") or []
            known = [(x, y) for x, y in zip(curves["thresholds"], values, strict=False) if y is not None]
            if not known:
                continue
            lines.append(line(f"by {kind}", kind, [x for x, _ in known], [y for _, y in known]))
            best = at(row, "threshold", kind)
            if best is not None:
                marks.append(upright(kind, best["threshold"]))
                notes.insert(0, Note(f"by {kind}, {best['f1']:.2f} at {best['threshold']:.2f}", kind))
        charts.append(Chart(title_of(name), name, "threshold", "F1", tuple(lines), (), tuple(marks), tuple(notes)))
    return charts


def calibration_charts(metrics: dict[str, Any]) -> list[Chart]:
    """The share of detections that is right over their score, of all structures together."""
    charts = []
    for kind in ("mask", "box"):
        found = at(metrics, "calibration", kind)
        if found is None:
            continue
        words = [f"{count:,} detections" for count in found["counts"]]
        pairs = [
            (x, y)
            for x, y in zip(found["confidence"], found["accuracy"], strict=True)
            if x is not None and y is not None
        ]
        charts.append(
            Chart(
                title=f"All structures by {kind}",
                structure="",
                across="score",
                up="share that is right",
                lines=(
                    line("score and share equal", "diagonal", [0, 1], [0, 1]),
                    line("mean score and share", kind, [x for x, _ in pairs], [y for _, y in pairs]),
                ),
                bars=bars(found["edges"], found["accuracy"], words),
                notes=(Note(f"expected error {figure(found['expected_error'])}, {sum(found['counts']):,} detections"),),
            )
        )
    return charts


def _keys(lines: list[Line]) -> tuple[Note, ...]:
    return tuple(Note(one.words, one.kind) for one in reversed(lines))
