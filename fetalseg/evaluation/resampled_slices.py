"""AP50 of each slice in every resample.

The draws are those of the whole set, restricted to the slice: a slice has as many patients in a resample as chance
gives it. The other IoU thresholds are left out: they cost ten times as much.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from fetalseg.evaluation.bootstrap import Draws, Resampled, mean_resampled
from fetalseg.evaluation.matches import Matches
from fetalseg.evaluation.precision import precision_recall
from fetalseg.evaluation.resampled_precision import MEAN, weighted_average_precision
from fetalseg.evaluation.slices import Slice

__all__ = ["resampled_slices"]


def resampled_slices(
    slices: Sequence[Slice], matches: Mapping[int, Matches], structures: Sequence[str], draws: Draws
) -> list[dict[str, Resampled]]:
    """AP50 in each slice: of the structures by name, and of their mean as "mean".

    Args:
        slices: of F frames.
        matches: by label, of the same frames.
        structures: names in label order.
        draws: over the same frames.
    """
    return [_resampled_slice(part.frames, matches, structures, draws) for part in slices]


def _resampled_slice(
    frames: npt.NDArray[np.bool_], matches: Mapping[int, Matches], structures: Sequence[str], draws: Draws
) -> dict[str, Resampled]:
    weights = draws.weights[:, frames]
    rows = {structures[label]: _resampled_ap50(_restricted(one, frames), weights) for label, one in matches.items()}
    return {MEAN: mean_resampled(list(rows.values())), **rows}


def _resampled_ap50(matches: Matches, weights: npt.NDArray[np.int64]) -> Resampled:
    if not matches.positives.any():
        return Resampled(None, np.full(len(weights), np.nan))
    whole = precision_recall(matches, thresholds=(0,))
    return Resampled(whole.ap, weighted_average_precision(matches, weights)[:, 0])


def _restricted(matches: Matches, frames: npt.NDArray[np.bool_]) -> Matches:
    """What is in some of the frames, by IoU 0.5 and of all sizes; the frames are numbered anew."""
    kept = frames[matches.frames]
    return Matches(
        scores=matches.scores[kept],
        frames=(np.cumsum(frames) - 1)[matches.frames[kept]],
        matched=matches.matched[:1, :1, kept],
        ignored=matches.ignored[:1, :1, kept],
        positives=matches.positives[:1, frames],
    )
