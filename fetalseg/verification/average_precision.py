"""Average precision on a data set, as `fetalseg eval` counts it (the extra `eval`)."""

from __future__ import annotations

from dataclasses import replace

from fetalseg.data.records import CocoSet
from fetalseg.evaluation.evaluator import evaluate_model
from fetalseg.evaluation.scored_frames import MAX_DETECTIONS
from fetalseg.segmenter import Segmenter

__all__ = ["average_precision"]

MIN_SCORE = 0.05  # as in `fetalseg eval`


def average_precision(segmenter: Segmenter, truth: CocoSet) -> dict[str, float | None]:
    """Means over the structures, 0..1: "box AP", "box AP50", "mask AP", "mask AP50"; None where there is no figure.

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
    figures: dict[str, float | None] = {"box AP": evaluation.box.ap, "box AP50": evaluation.box.ap50}
    mask = evaluation.mask
    return {**figures, "mask AP": mask.ap if mask else None, "mask AP50": mask.ap50 if mask else None}
