"""Structures within their view: Table 3 of Hong et al., Prenatal Diagnosis 2026;46(7):966-973, made precise.

Each frame is one cell in the row of a structure that is tested in its view and annotated in it. With d, the detection
of the structure with the highest score from 0.3 on, and G, its annotations without crowds:

    ==============  =========  ==========
                    d          no d
    ==============  =========  ==========
    G, d agrees     TP
    G, d doesn't    FP         FN
    no G            FP         TN
    ==============  =========  ==========

A detection that disagrees is a false positive only, so that the cells of a row add up to its frames. The source doesn't
say when two boxes agree; both rules of `fetalseg.evaluation.best_detection` make a table of their own.

Detections in frames of other views stand apart. Limbs and spine are annotated inside other views, too, so their
detections there need not be wrong: those in frames that show the structure are counted beside.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from fetalseg.anatomy import VIEWS, View
from fetalseg.data.records import CocoSet
from fetalseg.evaluation.best_detection import MIN_BEST_SCORE, MatchRule, agrees, counted, found_per_frame
from fetalseg.evaluation.frame_weights import FrameWeights, frame_weights
from fetalseg.evaluation.scored_frames import ScoredFrame

__all__ = ["Outcome", "StructureOutcomes", "StructureRow", "as_json", "structure_outcomes"]


class Outcome(IntEnum):
    """The cell of a frame."""

    UNSCORED = 0  # of another view, or the structure isn't annotated in it
    TP = 1
    FP = 2
    FN = 3
    TN = 4


@dataclass(frozen=True)
class StructureRow:
    """Counts of one structure, and the shares that follow from them; a share of nothing is None.

    Attributes:
        structure: name.
        view: name of the view that it is tested in.
        tp: frames of the view by outcome, like `fp`, `fn` and `tn`.
        other_frames: frames of other views.
        wrong_view: detections of the structure from score 0.3 on in those; several in one frame count each.
        wrong_view_present: how many of these lie in frames in which the structure is annotated.
    """

    structure: str
    view: str
    tp: int
    fp: int
    fn: int
    tn: int
    other_frames: int
    wrong_view: int
    wrong_view_present: int

    @property
    def frames(self) -> int:
        """Frames of the view in which the structure is scored."""
        return self.tp + self.fp + self.fn + self.tn

    @property
    def accuracy(self) -> float | None:
        """(TP + TN) / all."""
        return _share(self.tp + self.tn, self.frames)

    @property
    def recall(self) -> float | None:
        """TP / (TP + FN)."""
        return _share(self.tp, self.tp + self.fn)

    @property
    def precision(self) -> float | None:
        """TP / (TP + FP)."""
        return _share(self.tp, self.tp + self.fp)

    @property
    def specificity(self) -> float | None:
        """TN / (TN + FP)."""
        return _share(self.tn, self.tn + self.fp)

    @property
    def f1(self) -> float | None:
        """2 TP / (2 TP + FP + FN)."""
        return _share(2 * self.tp, 2 * self.tp + self.fp + self.fn)

    @property
    def wrong_view_per_100(self) -> float | None:
        """Detections per 100 frames of other views."""
        share = _share(self.wrong_view, self.other_frames)
        return None if share is None else 100 * share


@dataclass(frozen=True, eq=False)
class StructureOutcomes:
    """What became of one structure in each of F frames; counted as often as wanted.

    Attributes:
        structure: name.
        view: name of the view that it is tested in.
        rule: by which boxes agree.
        cells: int8 [F], values of `Outcome`.
        in_other_view: bool [F], frames of the other views.
        wrong_view: int64 [F], detections from score 0.3 on in those, 0 in all others.
        present: bool [F], frames with an annotation of the structure, crowds included.
    """

    structure: str
    view: str
    rule: MatchRule
    cells: npt.NDArray[np.int8]
    in_other_view: npt.NDArray[np.bool_]
    wrong_view: npt.NDArray[np.int64]
    present: npt.NDArray[np.bool_]

    def row(self, weights: FrameWeights | None = None) -> StructureRow:
        """The counts with each frame as often as its weight says, [F].

        Raises:
            ValueError: as of `frame_weights`.
        """
        times = frame_weights(weights, len(self.cells))
        _, tp, fp, fn, tn = (int(times[self.cells == outcome].sum()) for outcome in Outcome)
        return StructureRow(
            structure=self.structure,
            view=self.view,
            tp=tp,
            fp=fp,
            fn=fn,
            tn=tn,
            other_frames=int(times[self.in_other_view].sum()),
            wrong_view=int(times @ self.wrong_view),
            wrong_view_present=int(times @ (self.wrong_view * self.present)),
        )


def structure_outcomes(frames: Sequence[ScoredFrame], truth: CocoSet, rule: MatchRule) -> tuple[StructureOutcomes, ...]:
    """Decides each frame once for each tested structure that the set has, in the set's order.

    Frames whose view is none of the six are in no row. A structure of a hospital's own belongs to no view
    and has no row.

    Raises:
        ValueError: an unknown rule.
    """
    view_of_structure = {name: view for view in VIEWS for name in view.tested}
    return tuple(
        _outcomes_of(label, name, view_of_structure[name], frames, rule)
        for label, name in enumerate(truth.structures)
        if name in view_of_structure
    )


def as_json(row: StructureRow) -> dict[str, str | int | float | None]:
    """Counts and shares by name."""
    return {
        **asdict(row),
        "frames": row.frames,
        "accuracy": row.accuracy,
        "recall": row.recall,
        "precision": row.precision,
        "specificity": row.specificity,
        "f1": row.f1,
        "wrong_view_per_100": row.wrong_view_per_100,
    }


def _outcomes_of(
    label: int, structure: str, view: View, frames: Sequence[ScoredFrame], rule: MatchRule
) -> StructureOutcomes:
    others = {other.name for other in VIEWS} - {view.name}
    in_other_view = np.array([frame.image.view in others for frame in frames], np.bool_)
    return StructureOutcomes(
        structure=structure,
        view=view.name,
        rule=rule,
        cells=np.array([_outcome(label, view, frame, rule) for frame in frames], np.int8),
        in_other_view=in_other_view,
        wrong_view=found_per_frame(frames, label) * in_other_view,
        present=np.array([any(a.label == label for a in frame.image.annotations) for frame in frames], np.bool_),
    )


def _outcome(label: int, view: View, frame: ScoredFrame, rule: MatchRule) -> Outcome:
    image, found = frame.image, frame.found
    if image.view != view.name or label not in image.known:
        return Outcome.UNSCORED
    best = found.best_of(label, MIN_BEST_SCORE)
    boxes = [annotation.bbox for annotation in counted(image, label)]
    if best is None:
        return Outcome.FN if boxes else Outcome.TN
    return Outcome.TP if agrees(found.boxes[best], boxes, rule) else Outcome.FP


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None
