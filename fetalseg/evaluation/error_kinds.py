"""What goes wrong, and how much average precision each kind of error costs.

In the manner of TIDE (Bolya, Foley, Hays and Hoffman, "TIDE: a general toolbox for identifying object detection
errors", ECCV 2020). Matching is at IoU 0.5, best score first. A detection without a match is the first of these that
fits, by its IoU with what is annotated in its frame:

- localisation: 0.1 to below 0.5, at best, with its own structure;
- class: 0.5 or more with another structure;
- duplicate: 0.5 or more with its own, which a better detection has matched;
- background: 0.1 or less with everything;
- both: what is left, 0.1 to below 0.5 with another structure.

An annotation that nothing matches, and that no error of localisation or class points at, is missed.

The cost is the AP50 to be gained if an oracle mends the errors of one kind and leaves the rest. Of the errors of
localisation and class that point at an unmatched annotation the one of the highest score becomes right, under the
annotation's structure, and the others go; duplicates, background and both go; missed annotations need not be found.
Costs don't add up to what AP50 lacks to 1: mending one kind leaves the others in the way.

Partial labels: where a structure isn't annotated nothing is known of it, so another one's detection upon it is
background.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, get_args

import numpy as np
import numpy.typing as npt

from fetalseg.data.records import CocoSet
from fetalseg.evaluation.error_assignment import ErrorKind, FrameErrors, JudgedDetection, Kind, assign_errors
from fetalseg.evaluation.matches import Matches
from fetalseg.evaluation.precision import precision_recall
from fetalseg.evaluation.scored_frames import ScoredFrame

__all__ = ["ERROR_KINDS", "ErrorAnalysis", "StructureErrors", "as_json", "find_errors"]

ERROR_KINDS: tuple[ErrorKind, ...] = get_args(ErrorKind)


@dataclass(frozen=True)
class StructureErrors:
    """The errors of one structure.

    Attributes:
        positives: annotations to be found.
        ap50: as it is; None without any.
        counts: detections that say this structure, by the error they are; of "missed", annotations of it.
        costs: AP50 to be gained, by the kind of error that is mended; None without anything to be found.
    """

    positives: int
    ap50: float | None
    counts: dict[ErrorKind, int]
    costs: dict[ErrorKind, float | None]


@dataclass(frozen=True)
class ErrorAnalysis:
    """The errors of a set.

    Attributes:
        ap50: mean over the structures with ground truth; None without any.
        counts: of all structures.
        costs: mean over the structures with ground truth.
        structures: by name.
    """

    ap50: float | None
    counts: dict[ErrorKind, int]
    costs: dict[ErrorKind, float | None]
    structures: dict[str, StructureErrors]


def find_errors(frames: Sequence[ScoredFrame], truth: CocoSet, kind: Kind) -> ErrorAnalysis:
    """Counts the errors of each kind, and what each costs.

    Args:
        frames: of the set.
        truth: the set.
        kind: by box or by mask.

    Raises:
        ValueError, DataError: as of `assign_errors`.
    """
    # In the order of the ids, as of `match_all`: so that equal scores are ranked alike.
    judged = [assign_errors(frame, kind) for frame in sorted(frames, key=lambda frame: frame.image.id)]
    involved = _by_structure(judged)
    positives = Counter(label for frame in judged for label in frame.positives)
    missed = Counter(label for frame in judged for label in frame.missed)
    structures = {
        truth.structures[label]: _of_structure(involved.get(label, []), label, positives[label], missed[label])
        for label in sorted(truth.category_ids)
    }
    rows = structures.values()
    return ErrorAnalysis(
        ap50=_mean(row.ap50 for row in rows),
        counts={error: sum(row.counts[error] for row in rows) for error in ERROR_KINDS},
        costs={error: _mean(row.costs[error] for row in rows) for error in ERROR_KINDS},
        structures=structures,
    )


def as_json(analysis: ErrorAnalysis) -> dict[str, Any]:
    """What can't be computed is None."""
    return asdict(analysis)


def _by_structure(judged: Sequence[FrameErrors]) -> dict[int, list[JudgedDetection]]:
    """The detections that say a structure, or would if mended, in the order of the frames."""
    involved: dict[int, list[JudgedDetection]] = {}
    for frame in judged:
        for one in frame.detections:
            involved.setdefault(one.label, []).append(one)
            if one.mended_label is not None and one.mended_label != one.label:
                involved.setdefault(one.mended_label, []).append(one)
    return involved


def _of_structure(involved: Sequence[JudgedDetection], label: int, positives: int, missed: int) -> StructureErrors:
    scores = np.array([one.score for one in involved], np.float64)
    own = np.array([one.label == label for one in involved], np.bool_)
    right = np.array([one.error is None for one in involved], np.bool_)
    mended = np.array([one.mended_label == label for one in involved], np.bool_)
    there = Counter(one.error for one in involved if one.label == label)
    counts = {error: there[error] for error in ERROR_KINDS}
    counts["missed"] = missed
    ap50 = _average_precision(scores[own], right[own], positives)
    costs: dict[ErrorKind, float | None] = {}
    for error in ERROR_KINDS:
        such = np.array([one.error == error for one in involved], np.bool_)
        # Mended, a detection is right under the label that it should have had, or is no more.
        rows = np.where(such, mended, own)
        left = positives - (counts["missed"] if error == "missed" else 0)
        # All of them missed: as of one that is found last, below all that is false.
        without = (
            float(not rows.any())
            if positives and not left
            else _average_precision(scores[rows], (right | such)[rows], left)
        )
        # With fewer annotations the 101 recall points fall elsewhere, which may take away a hundredth.
        costs[error] = None if ap50 is None or without is None else max(0.0, without - ap50)
    return StructureErrors(positives, ap50, counts, costs)


def _average_precision(scores: npt.NDArray[np.float64], right: npt.NDArray[np.bool_], positives: int) -> float | None:
    """AP50 of scores [D] that are right or wrong; None where there is nothing to be found."""
    matches = Matches(
        scores=scores,
        frames=np.zeros(len(scores), np.int64),
        matched=right[None, None],
        ignored=np.zeros((1, 1, len(scores)), np.bool_),
        positives=np.array([[positives]], np.int64),
    )
    return precision_recall(matches, thresholds=(0,)).ap_at(0)


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None
