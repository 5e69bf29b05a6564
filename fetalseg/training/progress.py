"""Where a run is, which of its checkpoints is the best, and whether more training still helps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fetalseg.training.validation import Score

__all__ = ["Progress", "mean_score"]


@dataclass
class Progress:
    """Where a run is.

    Attributes:
        step: steps done.
        elapsed_s: time spent in them, validation included, over all parts of a run that was resumed.
        validations: how many were due so far.
        best: best validation score so far, -1 before the first.
        best_step: of that score.
        stale: validations in a row since then that were no better.
    """

    step: int = 0
    elapsed_s: float = 0.0
    validations: int = 0
    best: float = -1.0
    best_step: int = 0
    stale: int = 0

    def judge(self, score: float | None) -> bool:
        """Takes in the score of a validation.

        A score of 0 is no plateau: a network that finds nothing yet has only begun.

        Args:
            score: see `mean_score`.

        Returns:
            Whether the weights of this step are the best so far; while there is no score above 0 the newest are.
        """
        if score is not None and score <= self.best and self.best > 0:
            self.stale += 1
            return False
        self.best = self.best if score is None else score
        self.best_step = self.step
        self.stale = 0
        return True


def mean_score(scores: Mapping[str, Sequence[Score]]) -> float | None:
    """One number to choose a checkpoint and to stop early by.

    Of each structure the mean of box AP50 and, where there are masks, mask AP50 and AP75 (AP50 alone is 1 for a cranium
    long before its outline is good); of these the mean over the structures of a set; of these the mean over the sets.
    Sets weigh the same however many structures they hold, so that synthetic structures don't outvote real ones.

    Returns:
        0..1, or None where nothing was held out.
    """
    means = [sum(_structure_score(row) for row in rows) / len(rows) for rows in scores.values() if rows]
    return sum(means) / len(means) if means else None


def _structure_score(row: Score) -> float:
    values = [value for value in (row.box, row.mask, row.mask75) if value is not None]
    return sum(values) / len(values)
