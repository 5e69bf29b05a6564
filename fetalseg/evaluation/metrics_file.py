"""What `metrics.json` and `curves.json` hold; `metrics_schema.json` beside this file describes the first formally.

Schema 2 adds to schema 1 and changes nothing of it. A figure that can't be computed is null. The mean of a figure is
over the structures that have it, and its `n` is their number; of a structure, `n` is the number of annotations.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np

from fetalseg.evaluation import absence, coco_figures, head_circumference, overlap, structure_tables, view_confusion
from fetalseg.evaluation.assessment import AbsenceRow, Assessment, HeadRow, KindFigures, Measure, OverlapRow, SliceRow
from fetalseg.evaluation.best_detection import MIN_BEST_SCORE
from fetalseg.evaluation.bootstrap import LEVEL, Interval
from fetalseg.evaluation.error_kinds import StructureErrors
from fetalseg.evaluation.evaluator import Backend, StructureResult
from fetalseg.evaluation.operating_points import Calibration, ThresholdCurve
from fetalseg.evaluation.precision import RECALL_POINTS, AveragePrecision
from fetalseg.evaluation.resampled_precision import MEAN, MEASURES, figure_name
from fetalseg.evaluation.scored_frames import MAX_DETECTIONS

__all__ = ["CURVES_SCHEMA", "SCHEMA", "curves", "metrics"]

SCHEMA = 2
CURVES_SCHEMA = 1

_THRESHOLDS = np.round(np.arange(101) / 100, 2)  # at which the curve over the threshold is written
_MATCHING: dict[Backend, str] = {
    "fetalseg": "by the rules of pycocotools",
    "pycocotools": "by pycocotools itself, those by boundary by its rules",
}
_OPTIONAL: tuple[Measure, ...] = ("mask", "boundary")
_KINDS: tuple[Measure, ...] = ("box", *_OPTIONAL)


def metrics(assessment: Assessment, run: dict[str, Any]) -> dict[str, Any]:
    """The content of `metrics.json`.

    Args:
        assessment: the figures.
        run: how they came about, see `describe_run` and `describe_detections`.
    """
    evaluation = assessment.evaluation
    views, head = assessment.views, assessment.head
    return {
        "schema": SCHEMA,
        **{kind: _mean(assessment, kind) for kind in _KINDS},
        "structures": {name: _structure(assessment, name, result) for name, result in evaluation.structures.items()},
        "unknown_to_model": list(evaluation.unknown),
        "frames": evaluation.frames,
        "errors": {kind: {"counts": one.counts, "costs": one.costs} for kind, one in assessment.errors.items()},
        "calibration": {kind: _calibration(one) for kind, one in assessment.calibration.items()},
        "table3": {
            rule: {
                name: {**structure_tables.as_json(one.row), "interval": _intervals(one.intervals)}
                for name, one in rows.items()
            }
            for rule, rows in assessment.table3.items()
        },
        "views": None
        if views is None
        else {**view_confusion.as_json(views.confusion), "interval": _intervals(views.intervals)},
        "absence": {name: _absence(one) for name, one in assessment.absence.items()},
        "head_circumference": None if head is None else _head(head),
        "slices": _slices(assessment),
        "protocol": _protocol(assessment, run),
        **run,
    }


def curves(assessment: Assessment) -> dict[str, Any]:
    """The content of `curves.json`: by structure and kind, at IoU 0.5.

    `precision` is the interpolated one at each of `recall_points`; `kept` holds precision, recall and F1 of what stays
    at each of `thresholds`, null where nothing stays or there is nothing to find.
    """
    return {
        "schema": CURVES_SCHEMA,
        "recall_points": np.round(RECALL_POINTS, 2).tolist(),
        "thresholds": _THRESHOLDS.tolist(),
        "structures": {
            name: {
                kind: _curve(assessment.kinds[kind][name])
                for kind in _KINDS
                if kind in assessment.kinds and name in assessment.kinds[kind]
            }
            for name in assessment.evaluation.structures
        },
    }


def _mean(assessment: Assessment, kind: Measure) -> dict[str, Any] | None:
    figures = assessment.means.get(kind)
    if figures is None:
        return None
    return {**coco_figures.as_json(figures), "interval": _precision_interval(assessment, MEAN, kind)}


def _structure(assessment: Assessment, name: str, result: StructureResult) -> dict[str, Any]:
    overlaps = assessment.overlaps.get(name)
    errors = {kind: one.structures.get(name) for kind, one in assessment.errors.items()}
    kinds = {kind: found.get(name) for kind, found in assessment.kinds.items()}
    return {
        "support": result.support,
        "mask_support": result.mask.n if result.mask else 0,
        "frames": result.frames,
        **{kind: _kind(assessment, name, kind) for kind in _KINDS},
        "centre_hit": result.centre_hit,
        "dice": result.dice,
        "overlap": None if overlaps is None else _overlap(overlaps),
        "errors": {kind: _errors(one) for kind, one in errors.items()},
        "threshold": {
            kind: None if one is None or one.threshold is None else asdict(one.threshold) for kind, one in kinds.items()
        },
        "calibration": {kind: None if one is None else _calibration(one.calibration) for kind, one in kinds.items()},
    }


def _kind(assessment: Assessment, name: str, kind: Measure) -> dict[str, Any] | None:
    if kind not in assessment.kinds:
        return None
    found = assessment.kinds[kind].get(name)
    figures = coco_figures.mean_figures([]) if found is None else found.figures  # the set doesn't have the structure
    return {**coco_figures.as_json(figures), "interval": _precision_interval(assessment, name, kind)}


def _precision_interval(assessment: Assessment, subject: str, kind: Measure) -> dict[str, Any]:
    rows = {measure: assessment.precision.get(figure_name(subject, kind, measure)) for measure in MEASURES}
    return _intervals({measure: None if row is None else row.interval for measure, row in rows.items()})


def _intervals(rows: dict[str, Interval | None]) -> dict[str, Any]:
    """[low, high] by name, and how many resamples were dropped of the figure that lacks the most."""
    bounds = {name: None if one is None else [one.low, one.high] for name, one in rows.items()}
    return {**bounds, "dropped": max((one.dropped for one in rows.values() if one is not None), default=None)}


def _overlap(row: OverlapRow) -> dict[str, Any]:
    return {**overlap.as_json(row.figures), "interval": _intervals(row.intervals)}


def _absence(row: AbsenceRow) -> dict[str, Any]:
    parts = absence.as_json(row.figures)
    return {
        name: None if part is None else {**part, "interval": _intervals(row.intervals[name])}
        for name, part in parts.items()
    }


def _head(row: HeadRow) -> dict[str, Any]:
    written = head_circumference.as_json(row.figures)
    for part, intervals in row.intervals.items():
        written[part] = {**written[part], "interval": _intervals(intervals)}
    return written


def _errors(errors: StructureErrors | None) -> dict[str, Any] | None:
    return None if errors is None else {"counts": errors.counts, "costs": errors.costs}


def _calibration(found: Calibration | None) -> dict[str, Any] | None:
    return None if found is None else asdict(found)


def _slices(assessment: Assessment) -> dict[str, dict[str, Any]]:
    slices: dict[str, dict[str, Any]] = {}
    for kind, rows in assessment.slices.items():
        for row in rows:
            one = row.figures
            values = slices.setdefault(one.field, {})
            empty: dict[str, Any] = dict.fromkeys(_KINDS)
            part = values.setdefault(one.value, {"frames": one.frames, **empty, "structures": {}})
            part[kind] = _precision(one.mean, row.intervals[MEAN])
            _add_structures(part["structures"], row, kind)
    return slices


def _add_structures(rows: dict[str, Any], row: SliceRow, kind: Measure) -> None:
    for name, figures in row.figures.structures.items():
        if figures.n:
            rows.setdefault(name, dict.fromkeys(_KINDS))[kind] = _precision(figures, row.intervals[name])


def _precision(figures: AveragePrecision, ap50: Interval | None) -> dict[str, Any]:
    row = {"AP": figures.ap, "AP50": figures.ap50, "AP75": figures.ap75, "n": figures.n}
    return {**row, "interval": _intervals({"AP50": ap50})}


def _curve(figures: KindFigures) -> dict[str, Any]:
    precision = figures.curve.precision[0].tolist() if figures.curve.positives else None
    return {"positives": figures.curve.positives, "precision": precision, "kept": _kept(figures.kept)}


def _kept(curve: ThresholdCurve) -> dict[str, list[float | None]]:
    # The lowest score that occurs at or above each threshold: what is kept there is what is kept at the threshold.
    places = np.searchsorted(-curve.thresholds, -_THRESHOLDS, side="right") - 1
    columns = {"precision": curve.precision, "recall": curve.recall, "f1": curve.f1}
    known = {name: values.tolist() for name, values in columns.items()}
    return {
        name: [values[place] if place >= 0 and curve.positives else None for place in places.tolist()]
        for name, values in known.items()
    }


def _protocol(assessment: Assessment, run: dict[str, Any]) -> dict[str, Any]:
    draws = assessment.draws
    return {
        "average_precision": "COCO: 101 recall points, IoU 0.5 to 0.95 in steps of 0.05; a structure "
        "without ground truth has no figure and is out of the mean",
        "matching": _MATCHING[assessment.evaluation.backend],
        "iou_by": {
            "box": "boxes",
            "mask": "masks",
            "boundary": "the lower one of masks and of their outlines, 2 % of the image's diagonal wide",
        },
        "score_floor": run.get("options", {}).get("min_score"),
        "detections_per_frame": MAX_DETECTIONS,
        "partial_labels": "detections of a structure are dropped in frames that don't list it as annotated, after "
        "suppression and the cut at the most detections a frame",
        "masks": "a structure is scored by mask in a frame only if every annotation of it there has a mask",
        "best_detection_min_score": MIN_BEST_SCORE,
        "match_rules": {
            "centre": "the centre of the best detection's box lies in an annotated box",
            "iou50": "the best detection's box has IoU 0.5 or more with an annotated box",
        },
        "thresholds": "highest F1 at IoU 0.5 on these frames",
        "interval": {
            "level": LEVEL,
            "method": "bootstrap, percentile",
            "resamples": len(draws),
            "seed": draws.seed,
            "unit": draws.unit,
            "units": draws.units,
        },
    }
