"""Average precision on a data set, as `fetalseg eval` counts it (the extra `eval`)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from fetalseg.data.records import CocoSet
from fetalseg.evaluation.evaluator import Evaluation, StructureResult, evaluate_model
from fetalseg.evaluation.precision import AveragePrecision
from fetalseg.evaluation.scored_frames import MAX_DETECTIONS
from fetalseg.segmenter import Segmenter
from fetalseg.verification.figures import Figure, Figures, one_detection

__all__ = ["average_precision"]

MIN_SCORE = 0.05  # as in `fetalseg eval`


def average_precision(segmenter: Segmenter, truth: CocoSet) -> Figures:
    """Means over the structures: "box AP", "box AP50" and, where the set has masks, "mask AP", "mask AP50".

    Raises:
        DataError: an image that can't be read, or no structure that model and set share.
        EngineError: the runtime failed.
    """
    options = replace(
        segmenter.default_options,
        single_structures=False,
        structure_thresholds=False,
        min_score=MIN_SCORE,
        max_detections=MAX_DETECTIONS,
        masks=truth.has_masks,
    )
    evaluation = evaluate_model(segmenter, truth, options)
    figures = _figures("box", evaluation, evaluation.box, lambda result: result.box)
    if evaluation.mask is not None:
        figures |= _figures("mask", evaluation, evaluation.mask, lambda result: result.mask)
    return figures


def _figures(
    kind: str,
    evaluation: Evaluation,
    mean: AveragePrecision,
    of: Callable[[StructureResult], AveragePrecision | None],
) -> dict[str, Figure]:
    chance = one_detection([one.n for result in evaluation.structures.values() if (one := of(result)) is not None])
    return {
        f"{kind} {name}": Figure(value, chance)
        for name, value in (("AP", mean.ap), ("AP50", mean.ap50))
        if value is not None
    }
