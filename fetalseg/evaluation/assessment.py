"""Everything that an evaluation states, counted from one matching: figures, intervals, and what is behind them.

`evaluate_frames` matches and gives the figures of COCO; this adds sizes and recalls, intervals, error kinds, operating
points, calibration, the tables of structures and views, absence, head circumference, and slices.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from fetalseg.data.records import CocoSet
from fetalseg.evaluation.absence import AbsenceFigures, absence_outcomes
from fetalseg.evaluation.best_detection import MatchRule
from fetalseg.evaluation.bootstrap import (
    RESAMPLES,
    Draws,
    Interval,
    Resampled,
    draw_resamples,
    percentile_interval,
    resampled_ratio,
)
from fetalseg.evaluation.coco_figures import CocoFigures, coco_figures, mean_figures
from fetalseg.evaluation.error_kinds import ErrorAnalysis, find_errors
from fetalseg.evaluation.evaluator import Evaluation
from fetalseg.evaluation.head_circumference import HeadFigures, head_outcomes
from fetalseg.evaluation.matches import Matches, match_all
from fetalseg.evaluation.operating_points import (
    Calibration,
    OperatingPoint,
    ThresholdCurve,
    best_threshold,
    calibration,
    threshold_curve,
)
from fetalseg.evaluation.overlap import OverlapFigures
from fetalseg.evaluation.precision import PrecisionCurve, precision_recall
from fetalseg.evaluation.resampled_precision import precision_figures
from fetalseg.evaluation.scored_frames import ScoredFrame
from fetalseg.evaluation.slices import Slice, SliceFigures, slice_figures, slices_by, slices_by_value
from fetalseg.evaluation.structure_tables import Outcome, StructureOutcomes, StructureRow, structure_outcomes
from fetalseg.evaluation.view_confusion import ViewConfusion, ViewOutcomes, view_outcomes

__all__ = [
    "MATCH_RULES",
    "Assessment",
    "AssessmentOptions",
    "KindFigures",
    "Measure",
    "TableRow",
    "ViewFigures",
    "assess",
]

Measure = Literal["box", "mask", "boundary"]

MATCH_RULES: tuple[MatchRule, ...] = ("centre", "iou50")

_AT_50 = (0,)  # place of IoU 0.5 among the thresholds


@dataclass(frozen=True)
class AssessmentOptions:
    """What to count beside the figures that are always there.

    Attributes:
        slices: fields of the image records, see `slices_by`; the view always comes first, where the set has views.
        resamples: of the bootstrap.
        seed: of the bootstrap.
        boundary: also by boundary IoU.
    """

    slices: tuple[str, ...] = ()
    resamples: int = RESAMPLES
    seed: int = 0
    boundary: bool = False


@dataclass(frozen=True)
class KindFigures:
    """One structure by box, by mask or by boundary.

    Attributes:
        figures: as COCO prints them.
        curve: precision over recall at IoU 0.5.
        kept: what each score threshold keeps, at IoU 0.5.
        threshold: of the highest F1; None where there is nothing to choose by.
        calibration: of the scores; None without a detection.
    """

    figures: CocoFigures
    curve: PrecisionCurve
    kept: ThresholdCurve
    threshold: OperatingPoint | None
    calibration: Calibration | None


@dataclass(frozen=True)
class TableRow:
    """A row of Table 3.

    Attributes:
        row: counts and shares.
        intervals: of "accuracy", "recall", "precision", "specificity" and "f1"; None where there is no share.
    """

    row: StructureRow
    intervals: dict[str, Interval | None]


@dataclass(frozen=True)
class ViewFigures:
    """The views told.

    Attributes:
        confusion: the matrix.
        intervals: of "accuracy" and "essential_found".
    """

    confusion: ViewConfusion
    intervals: dict[str, Interval | None]


@dataclass(frozen=True, eq=False)
class Assessment:
    """Everything that is counted of one system on one set.

    Attributes:
        evaluation: the matching and the first figures.
        draws: the resamples behind all intervals.
        kinds: by kind, then by name of the structure; of what the system finds and the set annotates.
        means: by kind, over the structures with ground truth.
        precision: figures with their resamples, by names such as `nasal_bone.mask.AP50`.
        overlaps: by name of the structure.
        errors: by "box" and "mask".
        calibration: by kind, of all structures together; None without a detection.
        table3: by match rule, then by name of the structure.
        views: None for a set of other structures than the seventeen.
        absence: by name of the structure.
        head: None without an annotated circumference.
        slices: by kind, in the order of fields and values.
    """

    evaluation: Evaluation
    draws: Draws
    kinds: dict[Measure, dict[str, KindFigures]]
    means: dict[Measure, CocoFigures]
    precision: dict[str, Resampled]
    overlaps: dict[str, OverlapFigures]
    errors: dict[Measure, ErrorAnalysis]
    calibration: dict[Measure, Calibration | None]
    table3: dict[MatchRule, dict[str, TableRow]]
    views: ViewFigures | None
    absence: dict[str, AbsenceFigures]
    head: HeadFigures | None
    slices: dict[Measure, list[SliceFigures]]


def assess(
    evaluation: Evaluation,
    truth: CocoSet,
    options: AssessmentOptions | None = None,
    *,
    tell: Callable[[str], None] = lambda step: None,
) -> Assessment:
    """Counts everything.

    Args:
        evaluation: of at least one frame.
        truth: the set that its frames are from.
        options: what to count.
        tell: is called with the name of each step as it begins, to show progress.

    Raises:
        DataError: no image has a field to slice by, or it holds no numbers where ranges are wanted.
        ValueError: no frames, resamples or a seed out of their range, or words for slices that are none.
    """
    options = AssessmentOptions() if options is None else options
    frames = evaluation.scored
    draws = draw_resamples([frame.image for frame in frames], resamples=options.resamples, seed=options.seed)
    slices = _slices(frames, truth, options.slices)
    tell("matches")
    matches = _matches(evaluation, truth, boundary=options.boundary)
    tell("curves")
    kinds = {kind: _kind_figures(found, truth) for kind, found in matches.items()}
    tell("errors")
    errors: dict[Measure, ErrorAnalysis] = {"box": find_errors(frames, truth, "bbox")}
    if evaluation.mask_matches is not None:
        errors["mask"] = find_errors(frames, truth, "segm")
    tell("tables")
    tables = {rule: _table_rows(structure_outcomes(frames, truth, rule), evaluation, draws) for rule in MATCH_RULES}
    told = view_outcomes(frames, truth)
    head = head_outcomes(frames, truth, evaluation.facts)
    tell("slices")
    sliced = {kind: slice_figures(slices, found, truth.structures) for kind, found in matches.items()}
    tell("intervals")
    return Assessment(
        evaluation=evaluation,
        draws=draws,
        kinds=kinds,
        means={kind: mean_figures([one.figures for one in found.values()]) for kind, found in kinds.items()},
        precision=precision_figures({str(kind): found for kind, found in matches.items()}, truth.structures, draws),
        overlaps={name: one.figures() for name, one in evaluation.overlaps.items()},
        errors=errors,
        calibration={kind: calibration(list(found.values())) for kind, found in matches.items()},
        table3=tables,
        views=None if told is None else _view_figures(told, draws),
        absence={
            one.structure: one.figures()
            for one in absence_outcomes(frames, truth)
            if one.structure in evaluation.overlaps
        },
        head=None if head is None else head.figures(),
        slices=sliced,
    )


def _slices(frames: Sequence[ScoredFrame], truth: CocoSet, fields: Sequence[str]) -> list[Slice]:
    """By view, where the set has views, then by the fields that are wanted."""
    views = {frame.image.id: frame.image.view for frame in frames if frame.image.view is not None}
    slices = slices_by_value("view", views, frames) if views else []
    return slices + [part for field in fields if field != "view" for part in slices_by(field, frames, truth)]


def _matches(evaluation: Evaluation, truth: CocoSet, *, boundary: bool) -> dict[Measure, Mapping[int, Matches]]:
    matches: dict[Measure, Mapping[int, Matches]] = {"box": evaluation.box_matches}
    if evaluation.mask_matches is not None:
        matches["mask"] = evaluation.mask_matches
        if boundary:
            found = match_all(evaluation.scored, truth, "boundary")
            matches["boundary"] = {label: found[label] for label in evaluation.mask_matches}
    return matches


def _kind_figures(matches: Mapping[int, Matches], truth: CocoSet) -> dict[str, KindFigures]:
    return {truth.structures[label]: _of_structure(one) for label, one in matches.items()}


def _of_structure(matches: Matches) -> KindFigures:
    kept = threshold_curve(matches)
    return KindFigures(
        figures=coco_figures(matches),
        curve=precision_recall(matches, thresholds=_AT_50),
        kept=kept,
        threshold=best_threshold(kept),
        calibration=calibration([matches]),
    )


def _table_rows(rows: Iterable[StructureOutcomes], evaluation: Evaluation, draws: Draws) -> dict[str, TableRow]:
    """Of the structures that the system finds."""
    return {
        one.structure: TableRow(one.row(), _share_intervals(one, draws))
        for one in rows
        if one.structure in evaluation.overlaps
    }


def _share_intervals(one: StructureOutcomes, draws: Draws) -> dict[str, Interval | None]:
    # The resamples are counted once for all shares.
    _, tp, fp, fn, tn = (draws.weights @ (one.cells[:, None] == np.arange(len(Outcome)))).T
    shares = {
        "accuracy": (tp + tn, tp + fp + fn + tn),
        "recall": (tp, tp + fn),
        "precision": (tp, tp + fp),
        "specificity": (tn, tn + fp),
        "f1": (2 * tp, 2 * tp + fp + fn),
    }
    row = one.row()
    intervals: dict[str, Interval | None] = {}
    for name, (above, below) in shares.items():
        values = np.where(below > 0, above / np.maximum(below, 1), np.nan)
        intervals[name] = None if getattr(row, name) is None else percentile_interval(values)
    return intervals


def _view_figures(told: ViewOutcomes, draws: Draws) -> ViewFigures:
    there = told.actual >= 0
    return ViewFigures(
        confusion=told.confusion(),
        intervals={
            "accuracy": resampled_ratio(there & (told.told == told.actual), there, draws).interval,
            "essential_found": resampled_ratio(there & told.essential, there, draws).interval,
        },
    )
