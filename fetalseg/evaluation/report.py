"""An evaluation as a folder of files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fetalseg.errors import DataError
from fetalseg.evaluation.assessment import Assessment
from fetalseg.evaluation.csv_tables import write_tables
from fetalseg.evaluation.gate import Verdict
from fetalseg.evaluation.junit import junit_text
from fetalseg.evaluation.metrics_file import curves, metrics
from fetalseg.evaluation.provenance import provenance
from fetalseg.evaluation.requirements import Requirement

__all__ = ["make_folder", "report_metrics", "write_report"]


def make_folder(folder: Path) -> None:
    """Makes the folder of a report, before the work is done that goes into it.

    Raises:
        DataError: it can't be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"can't write to {folder}: {error.strerror}") from None


def report_metrics(assessment: Assessment, run: dict[str, Any]) -> dict[str, Any]:
    """What `metrics.json` is to hold, with the provenance of this run.

    Args:
        assessment: the figures.
        run: how they came about, see `describe_run` and `describe_detections`.
    """
    return metrics(assessment, {**run, "provenance": provenance()})


def write_report(
    folder: Path,
    assessment: Assessment,
    content: Mapping[str, Any],
    verdicts: Mapping[Requirement, Verdict] | None = None,
) -> None:
    """Writes all files of an evaluation.

    `metrics.json`, `curves.json`, `structures.csv`, `table3.csv`, `slices.csv`, `junit.xml`, `detections_box.json`, and
    `detections_mask.json` if there are masks.

    Args:
        folder: is made if it isn't there.
        assessment: the figures.
        content: what `metrics.json` is to hold, see `report_metrics`.
        verdicts: on requirements, for JUnit.

    Raises:
        DataError: the folder can't be made.
    """
    make_folder(folder)
    evaluation = assessment.evaluation
    _write(folder / "metrics.json", json.dumps(content, indent=2, allow_nan=False) + "\n")
    _write(folder / "curves.json", json.dumps(curves(assessment), allow_nan=False) + "\n")
    _write(folder / "junit.xml", junit_text(content, verdicts or {}))
    write_tables(folder, content)
    _write(folder / "detections_box.json", json.dumps(evaluation.box_results))
    masks = folder / "detections_mask.json"
    masks.unlink(missing_ok=True)  # of an earlier run on another set
    if evaluation.mask is not None:
        _write(masks, json.dumps(evaluation.mask_results))


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
