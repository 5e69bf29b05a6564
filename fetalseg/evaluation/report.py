"""An evaluation as files and as a table."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

from fetalseg.errors import DataError
from fetalseg.evaluation.assessment import Assessment
from fetalseg.evaluation.evaluator import Evaluation
from fetalseg.evaluation.metrics_file import curves, metrics
from fetalseg.evaluation.precision import AveragePrecision
from fetalseg.evaluation.provenance import provenance

__all__ = ["make_folder", "table", "write_report"]


def make_folder(folder: Path) -> None:
    """Makes the folder of a report, before the work is done that goes into it.

    Raises:
        DataError: it can't be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"can't write to {folder}: {error.strerror}") from None


def write_report(folder: Path, assessment: Assessment, run: dict[str, Any]) -> None:
    """Writes all files of an evaluation.

    `metrics.json`, `curves.json`, `structures.csv`, `detections_box.json`, and `detections_mask.json` if there are
    masks.

    Args:
        folder: is made if it isn't there.
        assessment: the figures.
        run: how they came about, see `fetalseg.evaluation.provenance`.

    Raises:
        DataError: the folder can't be made.
    """
    make_folder(folder)
    evaluation = assessment.evaluation
    content = metrics(assessment, {**run, "provenance": provenance()})
    _write(folder / "metrics.json", json.dumps(content, indent=2, allow_nan=False) + "\n")
    _write(folder / "curves.json", json.dumps(curves(assessment), allow_nan=False) + "\n")
    with (folder / "structures.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(_rows(evaluation))
    _write(folder / "detections_box.json", json.dumps(evaluation.box_results))
    masks = folder / "detections_mask.json"
    masks.unlink(missing_ok=True)  # of an earlier run on another set
    if evaluation.mask is not None:
        _write(masks, json.dumps(evaluation.mask_results))


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


def table(evaluation: Evaluation) -> Table:
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


def _rows(evaluation: Evaluation) -> list[list[Any]]:
    """Heading and one row a structure; empty cells where there is no figure."""
    heading = (
        "structure support frames box_AP box_AP50 box_AP75 mask_support mask_AP mask_AP50 mask_AP75 centre_hit dice"
    )
    rows: list[list[Any]] = [heading.split()]
    for name, result in evaluation.structures.items():
        box, mask = result.box, result.mask
        by_mask = [mask.n, mask.ap, mask.ap50, mask.ap75] if mask else [0, None, None, None]
        row = [name, result.support, result.frames, box.ap, box.ap50, box.ap75]
        rows.append([*row, *by_mask, result.centre_hit, result.dice])
    return rows


def _cells(figures: AveragePrecision | None) -> list[str]:
    if figures is None:
        return ["-"] * 3
    return [_text(figures.ap50), _text(figures.ap75), _text(figures.ap)]


def _text(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
