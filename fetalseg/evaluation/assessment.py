"""Everything that an evaluation states, counted from one matching: figures, intervals, and what is behind them.

`evaluate_frames` matches and gives the figures of COCO; this adds sizes and recalls, intervals, error kinds, operating
points, calibration, the tables of structures and views, absence, head circumference, and slices.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from fetalseg.data.records import CocoSet
from fetalseg.evaluation.absence import AbsenceFigures, AbsenceOutcomes, absence_outcomes
from fetalseg.evaluation.best_detection import MatchRule
from fetalseg.evaluation.bootstrap import (
    RESAMPLES,
    Draws,
    Interval,
    Resampled,
    draw_resamples,
    resampled_ratio,
)
from fetalseg.evaluation.coco_figures import CocoFigures, coco_figures, mean_figures
from fetalseg.evaluation.error_kinds import ErrorAnalysis, find_errors
from fetalseg.evaluation.evaluator import Evaluation
from fetalseg.evaluation.head_circumference import HeadFigures, HeadOutcomes, head_outcomes
from fetalseg.evaluation.matches import Matches, match_all
from fetalseg.evaluation.operating_points import (
    Calibration,
    OperatingPoint,
    ThresholdCurve,
    best_threshold,
    calibration,
    threshold_curve,
)
from fetalseg.evaluation.overlap import OverlapFigures, OverlapOutcomes
from fetalseg.evaluation.precision import PrecisionCurve, precision_recall
from fetalseg.evaluation.resampled_overlap import resampled_overlap
from fetalseg.evaluation.resampled_precision import precision_figures
from fetalseg.evaluation.resampled_shares import resampled_shares
from fetalseg.evaluation.resampled_slices import resampled_slices
from fetalseg.evaluation.scored_frames import ScoredFrame
from fetalseg.evaluation.slices import Slice, SliceFigures, slice_figures, slices_by, slices_by_value
from fetalseg.evaluation.structure_tables import StructureOutcomes, StructureRow, structure_outcomes
from fetalseg.evaluation.view_confusion import ViewConfusion, ViewOutcomes, view_outcomes

__all__ = [
    "MATCH_RULES",
    "AbsenceRow",
    "Assessment",
    "AssessmentOptions",
    "HeadRow",
    "KindFigures",
    "Measure",
    "OverlapRow",
    "SliceRow",
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
        intervals: of "accuracy", "recall", "precision", "specificity", "f1" and "wrong_view_per_100"; None where there
            is no share.
    """

    row: StructureRow
    intervals: dict[str, Interval | None]


@dataclass(frozen=True)
class OverlapRow:
    """How the best detections of a structure lie.

    Attributes:
        figures: of all frames.
        intervals: of the figures in `OVERLAP_MEASURES`; None where there is no figure.
    """

    figures: OverlapFigures
    intervals: dict[str, Interval | None]


@dataclass(frozen=True)
class AbsenceRow:
    """What is drawn where a structure is absent.

    Attributes:
        figures: of all frames.
        intervals: by "all_views" and, for a structure of a view, "own_view": of "specificity" and "per_100"; None where
            the structure is never absent.
    """

    figures: AbsenceFigures
    intervals: dict[str, dict[str, Interval | None]]


@dataclass(frozen=True)
class HeadRow:
    """Head circumference.

    Attributes:
        figures: of all heads.
        intervals: by "found" and "annotated": of "mean", "sd" and "mae"; None where there are too few.
    """

    figures: HeadFigures
    intervals: dict[str, dict[str, Interval | None]]


@dataclass(frozen=True)
class SliceRow:
    """One slice.

    Attributes:
        figures: average precision in it.
        intervals: of AP50, by name of the structure and "mean"; None where there is no ground truth.
    """

    figures: SliceFigures
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
    overlaps: dict[str, OverlapRow]
    errors: dict[Measure, ErrorAnalysis]
    calibration: dict[Measure, Calibration | None]
    table3: dict[MatchRule, dict[str, TableRow]]
    views: ViewFigures | None
    absence: dict[str, AbsenceRow]
    head: HeadRow | None
    slices: dict[Measure, list[SliceRow]]


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
    sliced = {kind: _slice_rows(slices, found, truth, draws) for kind, found in matches.items()}
    tell("intervals")
    return Assessment(
        evaluation=evaluation,
        draws=draws,
        kinds=kinds,
        means={kind: mean_figures([one.figures for one in found.values()]) for kind, found in kinds.items()},
        precision=precision_figures({str(kind): found for kind, found in matches.items()}, truth.structures, draws),
        overlaps={name: _overlap_row(one, draws) for name, one in evaluation.overlaps.items()},
        errors=errors,
        calibration={kind: calibration(list(found.values())) for kind, found in matches.items()},
        table3=tables,
        views=None if told is None else _view_figures(told, draws),
        absence={
            one.structure: _absence_row(one, draws)
            for one in absence_outcomes(frames, truth)
            if one.structure in evaluation.overlaps
        },
        head=None if head is None else _head_row(head, draws),
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
        one.structure: TableRow(one.row(), _intervals(resampled_shares(one, draws)))
        for one in rows
        if one.structure in evaluation.overlaps
    }


def _overlap_row(one: OverlapOutcomes, draws: Draws) -> OverlapRow:
    return OverlapRow(one.figures(), _intervals(resampled_overlap(one, draws)))


def _absence_row(one: AbsenceOutcomes, draws: Draws) -> AbsenceRow:
    return AbsenceRow(one.figures(), {part: _intervals(rows) for part, rows in one.resampled(draws).items()})


def _head_row(outcomes: HeadOutcomes, draws: Draws) -> HeadRow | None:
    figures = outcomes.figures()
    if figures is None:
        return None
    return HeadRow(figures, {part: _intervals(rows) for part, rows in outcomes.resampled(draws).items()})


def _slice_rows(
    slices: Sequence[Slice], matches: Mapping[int, Matches], truth: CocoSet, draws: Draws
) -> list[SliceRow]:
    figures = slice_figures(slices, matches, truth.structures)
    resampled = resampled_slices(slices, matches, truth.structures, draws)
    return [SliceRow(one, _intervals(rows)) for one, rows in zip(figures, resampled, strict=True)]


def _intervals(rows: Mapping[str, Resampled]) -> dict[str, Interval | None]:
    return {name: one.interval for name, one in rows.items()}


def _view_figures(told: ViewOutcomes, draws: Draws) -> ViewFigures:
    there = told.actual >= 0
    return ViewFigures(
        confusion=told.confusion(),
        intervals={
            "accuracy": resampled_ratio(there & (told.told == told.actual), there, draws).interval,
            "essential_found": resampled_ratio(there & told.essential, there, draws).interval,
        },
    )
