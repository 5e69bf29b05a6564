"""An evaluation as files and as a table."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

from fetalseg.data.records import CocoSet
from fetalseg.errors import DataError
from fetalseg.evaluation.evaluator import Evaluation
from fetalseg.evaluation.precision import AveragePrecision
from fetalseg.evaluation.scored_frames import ScoredFrame
from fetalseg.model_file import file_digest
from fetalseg.postprocess.options import PostprocessOptions
from fetalseg.segmenter import Segmenter

__all__ = ["describe_detections", "describe_run", "make_folder", "metrics", "table", "write_report"]

SCHEMA = 1


def metrics(evaluation: Evaluation, run: dict[str, Any]) -> dict[str, Any]:
    """What `metrics.json` holds; a figure that can't be computed is None.

    Args:
        evaluation: the figures.
        run: how they came about, see `describe_run` and `describe_detections`.
    """
    return {
        "schema": SCHEMA,
        "box": _mean(evaluation.box),
        "mask": _mean(evaluation.mask),
        "structures": {
            name: {
                "support": result.support,
                "mask_support": result.mask.n if result.mask else 0,
                "frames": result.frames,
                "box": _figures(result.box),
                "mask": _figures(result.mask),
                "centre_hit": result.centre_hit,
                "dice": result.dice,
            }
            for name, result in evaluation.structures.items()
        },
        "unknown_to_model": list(evaluation.unknown),
        "frames": evaluation.frames,
        **run,
    }


def describe_run(segmenter: Segmenter, model_path: Path, truth: CocoSet, options: PostprocessOptions) -> dict[str, Any]:
    """Model, engine, data and options, as they go into `metrics.json`."""
    facts, engine = segmenter.facts, segmenter.engine
    return {
        "model": {"name": facts.name, "version": facts.version, "sha256": file_digest(model_path)},
        "engine": {"name": engine.name, "precision": engine.precision, "device": engine.device},
        "data": _describe_data(truth),
        "options": asdict(options),
    }


def describe_detections(path: Path, frames: Sequence[ScoredFrame], truth: CocoSet) -> dict[str, Any]:
    """File and data, as they go into `metrics.json` where another system was run elsewhere.

    Args:
        path: of the detections.
        frames: as read from it.
        truth: the set.
    """
    results = sum(len(frame.found) for frame in frames)
    return {
        "detections": {"path": str(path), "sha256": file_digest(path), "results": results},
        "data": _describe_data(truth),
    }


def make_folder(folder: Path) -> None:
    """Makes the folder of a report, before the work is done that goes into it.

    Raises:
        DataError: it can't be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"can't write to {folder}: {error.strerror}") from None


def write_report(folder: Path, evaluation: Evaluation, run: dict[str, Any]) -> None:
    """Writes `metrics.json`, `structures.csv`, `detections_box.json`, `detections_mask.json` (if there are masks)."""
    make_folder(folder)
    text = json.dumps(metrics(evaluation, run), indent=2, allow_nan=False)
    (folder / "metrics.json").write_text(text + "\n", encoding="utf-8")
    with (folder / "structures.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(_rows(evaluation))
    (folder / "detections_box.json").write_text(json.dumps(evaluation.box_results), encoding="utf-8")
    masks = folder / "detections_mask.json"
    masks.unlink(missing_ok=True)  # of an earlier run on another set
    if evaluation.mask is not None:
        masks.write_text(json.dumps(evaluation.mask_results), encoding="utf-8")


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


def _describe_data(truth: CocoSet) -> dict[str, Any]:
    return {"path": str(truth.path), "sha256": truth.sha256, "images": len(truth.images)}


def _mean(figures: AveragePrecision | None) -> dict[str, float | int | None] | None:
    return None if figures is None else {"AP": figures.ap, "AP50": figures.ap50, "AP75": figures.ap75, "n": figures.n}


def _figures(figures: AveragePrecision | None) -> dict[str, float | None] | None:
    return None if figures is None else {"AP": figures.ap, "AP50": figures.ap50, "AP75": figures.ap75}


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
