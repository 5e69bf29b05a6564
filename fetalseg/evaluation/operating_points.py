"""Which threshold to run a structure at, what each threshold costs, and whether a score means what it says.

A detection is right if it matches at IoU 0.5. Matching goes from the best score down, so that a higher threshold takes
detections away without changing what the others match: one matching holds the whole curve.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fetalseg.evaluation.matches import Matches

__all__ = [
    "BINS",
    "Calibration",
    "OperatingPoint",
    "ThresholdCurve",
    "as_json",
    "best_threshold",
    "calibration",
    "threshold_curve",
]

BINS = 10  # of equal width, from score 0 to 1

_AT_50 = 0  # place of IoU 0.5 among the thresholds of `Matches`


@dataclass(frozen=True, eq=False)
class ThresholdCurve:
    """What is kept at each of K score thresholds, the scores that occur, highest first.

    Attributes:
        thresholds: float64 [K]; a detection is kept if its score is at least this.
        true: int64 [K], detections kept that match.
        false: int64 [K], detections kept that don't.
        positives: ground truths.
    """

    thresholds: npt.NDArray[np.float64]
    true: npt.NDArray[np.int64]
    false: npt.NDArray[np.int64]
    positives: int

    @property
    def precision(self) -> npt.NDArray[np.float64]:
        """Share of what is kept that is right, [K]."""
        return np.asarray(self.true / np.maximum(self.true + self.false, 1))

    @property
    def recall(self) -> npt.NDArray[np.float64]:
        """Share of the ground truth that is found, [K]; NaN without any."""
        return self.true / self.positives if self.positives else np.full(len(self.true), np.nan)

    @property
    def f1(self) -> npt.NDArray[np.float64]:
        """Harmonic mean of precision and recall, [K]: 2 TP / (2 TP + FP + FN); 0 where nothing is right."""
        return np.asarray(2 * self.true / np.maximum(self.true + self.false + self.positives, 1))


@dataclass(frozen=True)
class OperatingPoint:
    """A threshold and what it gives, on the data where it was chosen.

    Attributes:
        threshold: lowest score to keep.
        precision: at it.
        recall: at it.
        f1: at it, the highest of all thresholds.
        positives: ground truths that the choice stands on.
    """

    threshold: float
    precision: float
    recall: float
    f1: float
    positives: int


@dataclass(frozen=True)
class Calibration:
    """Scores against the share that is right; the lists have one entry a bin, None where no score falls into it.

    Attributes:
        edges: of the bins, one more than there are bins; a score on an edge belongs to the bin above it, 1 to the last.
        counts: detections.
        confidence: mean score.
        accuracy: share that matches.
        expected_error: mean of |accuracy - confidence| over the detections, 0..1.
    """

    edges: list[float]
    counts: list[int]
    confidence: list[float | None]
    accuracy: list[float | None]
    expected_error: float


def threshold_curve(matches: Matches, area: int = 0) -> ThresholdCurve:
    """Precision and recall at every score that occurs; what the matching ignores doesn't count."""
    counts = ~matches.ignored[area, _AT_50]
    order = np.argsort(-matches.scores[counts], kind="stable")
    scores = matches.scores[counts][order]
    true = np.cumsum(matches.matched[area, _AT_50][counts][order])
    # Equal scores are kept or dropped together: a threshold stands at the last of them.
    last = np.flatnonzero(np.diff(scores, append=-np.inf))
    return ThresholdCurve(
        thresholds=scores[last],
        true=true[last].astype(np.int64),
        false=(last + 1 - true[last]).astype(np.int64),
        positives=int(matches.positives[area].sum()),
    )


def best_threshold(curve: ThresholdCurve) -> OperatingPoint | None:
    """The threshold of the highest F1, to be chosen on validation data and kept for all other.

    The threshold lies halfway between the lowest score to keep and the highest to drop, so that it doesn't hang on the
    last digit of one score. Of equal F1 the higher threshold is taken: fewer false detections on the screen.

    Returns:
        None without a ground truth, or where no detection is right: there is nothing to choose by.
    """
    if curve.positives == 0 or not curve.true.any():
        return None
    place = int(curve.f1.argmax())
    dropped = float(curve.thresholds[place + 1]) if place + 1 < len(curve.thresholds) else 0.0
    return OperatingPoint(
        threshold=(float(curve.thresholds[place]) + dropped) / 2,
        precision=float(curve.precision[place]),
        recall=float(curve.recall[place]),
        f1=float(curve.f1[place]),
        positives=curve.positives,
    )


def calibration(structures: Sequence[Matches], area: int = 0, bins: int = BINS) -> Calibration | None:
    """Reliability of the scores of one structure, or of several together.

    Expected calibration error by Naeini, Cooper and Hauskrecht, AAAI 2015, over detections as in Kueppers et al.,
    "Multivariate confidence calibration for object detection", CVPR workshops 2020. It depends on the lowest score
    that the detections were kept at: figures with other floors don't compare.

    Args:
        structures: matches of each; what the matching ignores doesn't count.
        area: place of the area range.
        bins: how many, of equal width.

    Returns:
        None without a detection.

    Raises:
        ValueError: no bins, or a score outside 0..1.
    """
    if bins < 1:
        raise ValueError(f"expected at least 1 bin, got {bins}")
    counts = [~one.ignored[area, _AT_50] for one in structures]
    scores = np.concatenate([[], *(one.scores[kept] for one, kept in zip(structures, counts, strict=True))])
    right = np.concatenate(
        [[], *(one.matched[area, _AT_50][kept] for one, kept in zip(structures, counts, strict=True))]
    )
    if not len(scores):
        return None
    if scores.min() < 0 or scores.max() > 1:
        raise ValueError(f"expected scores from 0 to 1, got {scores.min()} to {scores.max()}")
    edges = np.arange(bins + 1) / bins
    place = np.clip(np.searchsorted(edges, scores, side="right") - 1, 0, bins - 1)
    number = np.bincount(place, minlength=bins)
    total = np.bincount(place, weights=scores, minlength=bins).astype(np.float64)
    hits = np.bincount(place, weights=right, minlength=bins).astype(np.float64)
    return Calibration(
        edges=edges.tolist(),
        counts=number.tolist(),
        confidence=_means(total, number),
        accuracy=_means(hits, number),
        expected_error=float(np.abs(hits - total).sum() / len(scores)),
    )


def as_json(points: Mapping[str, OperatingPoint | None]) -> dict[str, dict[str, Any] | None]:
    """By name of the structure; None where there is nothing to choose by."""
    return {name: None if point is None else asdict(point) for name, point in points.items()}


def _means(sums: npt.NDArray[np.float64], numbers: npt.NDArray[np.int64]) -> list[float | None]:
    return [total / n if n else None for total, n in zip(sums.tolist(), numbers.tolist(), strict=True)]
