"""How well the best detections lie, in every resample: centre-hit rate, mean Dice, IoU and 95 % Hausdorff distance."""

from __future__ import annotations

import numpy as np

from fetalseg.evaluation.bootstrap import Draws, Resampled, resampled_ratios
from fetalseg.evaluation.overlap import OverlapOutcomes

__all__ = ["OVERLAP_MEASURES", "resampled_overlap"]

OVERLAP_MEASURES = ("centre_hit", "dice", "iou", "hausdorff_px", "hausdorff_mm")


def resampled_overlap(outcomes: OverlapOutcomes, draws: Draws) -> dict[str, Resampled]:
    """The figures of one structure by the names in `OVERLAP_MEASURES`, units as of `OverlapOutcomes`.

    Each is a mean over the frames that have it, so that a resample without such a frame doesn't have the figure.

    Args:
        outcomes: of F frames.
        draws: over the same frames.

    Raises:
        ValueError: draws over another number of frames.
    """
    means = np.stack([outcomes.dice, outcomes.iou, outcomes.hausdorff_px, outcomes.hausdorff_mm])
    above = np.concatenate([[outcomes.present & outcomes.centre_hit], np.nan_to_num(means, nan=0.0)])
    below = np.concatenate([[outcomes.present], ~np.isnan(means)])
    return dict(zip(OVERLAP_MEASURES, resampled_ratios(above, below, draws), strict=True))
