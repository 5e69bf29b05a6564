"""The shares of Table 3 in every resample, from one count of its cells."""

from __future__ import annotations

import numpy as np

from fetalseg.evaluation.bootstrap import Draws, Resampled, resampled_ratios
from fetalseg.evaluation.structure_tables import Outcome, StructureOutcomes

__all__ = ["SHARES", "resampled_shares"]

SHARES = ("accuracy", "recall", "precision", "specificity", "f1")

_WRONG_VIEW = "wrong_view_per_100"


def resampled_shares(outcomes: StructureOutcomes, draws: Draws) -> dict[str, Resampled]:
    """The shares of one structure by the names in `SHARES`, then "wrong_view_per_100", all as of `StructureRow`.

    Args:
        outcomes: of F frames.
        draws: over the same frames.

    Raises:
        ValueError: draws over another number of frames.
    """
    cells = [outcomes.cells == cell for cell in (Outcome.TP, Outcome.FP, Outcome.FN, Outcome.TN)]
    tp, fp, fn, tn = np.array(cells, np.int64)
    above = [tp + tn, tp, tp, tn, 2 * tp, 100 * outcomes.wrong_view]
    below = [tp + fp + fn + tn, tp + fn, tp + fp, tn + fp, 2 * tp + fp + fn, outcomes.in_other_view]
    return dict(zip((*SHARES, _WRONG_VIEW), resampled_ratios(above, below, draws), strict=True))
