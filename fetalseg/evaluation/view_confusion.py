"""Which view a frame is told to be of: Figure 2 of Hong et al., Prenatal Diagnosis 2026;46(7):966-973.

The view of a frame is told from the structures found in it by the rule of `fetalseg.views.view_of`, the one that the
live picture goes by. Beside the confusion matrix stands how often an essential structure of the actual view is found
at all, whatever else is: this is what the source's 98.4 % compare with.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fetalseg.anatomy import VIEWS, structure
from fetalseg.data.records import CocoSet
from fetalseg.evaluation.frame_weights import FrameWeights, frame_weights
from fetalseg.evaluation.scored_frames import Detections, ScoredFrame
from fetalseg.taxonomy import is_standard
from fetalseg.views import MIN_VIEW_SCORE, view_of_scores

__all__ = ["NONE", "ViewConfusion", "ViewOutcomes", "as_json", "view_outcomes"]

NONE = len(VIEWS)  # column of the frames that show no view

_PLACES = {view.name: place for place, view in enumerate(VIEWS)}
_ESSENTIAL = {view.name: tuple(structure(name).label for name in view.essential) for view in VIEWS}


@dataclass(frozen=True)
class ViewConfusion:
    """Frames by actual view and view told.

    Attributes:
        counts: a row for each of the six views of `fetalseg.anatomy.VIEWS`, the actual ones; in it a column for each,
            the view told, and a seventh for the frames that show none.
        essential: by actual view, the frames in which one of its essential structures is found.
    """

    counts: tuple[tuple[int, ...], ...]
    essential: tuple[int, ...]

    @property
    def frames(self) -> int:
        """All frames of a view."""
        return sum(map(sum, self.counts))

    @property
    def accuracy(self) -> float | None:
        """Share of the frames whose view is told right."""
        right = sum(row[place] for place, row in enumerate(self.counts))
        return right / self.frames if self.frames else None

    @property
    def essential_found(self) -> float | None:
        """Share of the frames in which an essential structure of the actual view is found."""
        return sum(self.essential) / self.frames if self.frames else None

    @property
    def recalls(self) -> tuple[float | None, ...]:
        """By actual view, the share of its frames that are told right."""
        return tuple(row[place] / sum(row) if sum(row) else None for place, row in enumerate(self.counts))

    @property
    def precisions(self) -> tuple[float | None, ...]:
        """By view told, the share of its frames that are right."""
        columns = [sum(row[place] for row in self.counts) for place in range(len(VIEWS))]
        return tuple(self.counts[place][place] / n if n else None for place, n in enumerate(columns))


@dataclass(frozen=True, eq=False)
class ViewOutcomes:
    """The views of F frames; counted as often as wanted.

    Attributes:
        actual: int64 [F], places in `fetalseg.anatomy.VIEWS`; -1 where the set says none of them.
        told: int64 [F], the same of the view told; `NONE` where the frame shows none.
        essential: bool [F], whether an essential structure of the actual view is found.
    """

    actual: npt.NDArray[np.int64]
    told: npt.NDArray[np.int64]
    essential: npt.NDArray[np.bool_]

    def confusion(self, weights: FrameWeights | None = None) -> ViewConfusion:
        """The counts with each frame as often as its weight says, [F]; frames without a view are left out.

        Raises:
            ValueError: as of `frame_weights`.
        """
        times = frame_weights(weights, len(self.actual))
        counts = np.zeros((len(VIEWS), NONE + 1), np.int64)
        essential = np.zeros(len(VIEWS), np.int64)
        kept = self.actual >= 0
        np.add.at(counts, (self.actual[kept], self.told[kept]), times[kept])
        np.add.at(essential, self.actual[kept], (times * self.essential)[kept])
        return ViewConfusion(tuple(map(tuple, counts.tolist())), tuple(essential.tolist()))


def view_outcomes(frames: Sequence[ScoredFrame], truth: CocoSet) -> ViewOutcomes | None:
    """Tells the view of each frame once; None for a set of other structures than the seventeen, which make no views."""
    if not is_standard(truth.structures):
        return None
    return ViewOutcomes(
        actual=np.array([_PLACES.get(frame.image.view or "", -1) for frame in frames], np.int64),
        told=np.array([_told(frame.found) for frame in frames], np.int64),
        essential=np.array([_has_essential(frame) for frame in frames], np.bool_),
    )


def as_json(confusion: ViewConfusion) -> dict[str, Any]:
    """Matrix and shares, rows and columns by name."""
    names = [view.name for view in VIEWS]
    return {
        "frames": confusion.frames,
        "accuracy": confusion.accuracy,
        "essential_found": confusion.essential_found,
        "confusion": {
            name: dict(zip([*names, "none"], row, strict=True))
            for name, row in zip(names, confusion.counts, strict=True)
        },
        "essential_frames": dict(zip(names, confusion.essential, strict=True)),
        "recall": dict(zip(names, confusion.recalls, strict=True)),
        "precision": dict(zip(names, confusion.precisions, strict=True)),
    }


def _told(found: Detections) -> int:
    """Place of the view told; scores in the precision that a live frame has."""
    told = view_of_scores(found.labels.tolist(), found.scores.astype(np.float32).tolist())
    return NONE if told is None else _PLACES[told[0]]


def _has_essential(frame: ScoredFrame) -> bool:
    labels = _ESSENTIAL.get(frame.image.view or "", ())
    return any(frame.found.best_of(label, MIN_VIEW_SCORE) is not None for label in labels)
