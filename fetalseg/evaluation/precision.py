"""Average precision and recall as COCO defines them, from matches in which every frame may count several times.

The steps are those of pycocotools' `COCOeval.accumulate` in the same order, so that without weights each number is the
same to the last bit.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fetalseg.evaluation.frame_weights import FrameWeights, frame_weights
from fetalseg.evaluation.matches import IOU_THRESHOLDS, Matches
from fetalseg.evaluation.scored_frames import MAX_DETECTIONS

__all__ = [
    "RECALL_POINTS",
    "AveragePrecision",
    "PrecisionCurve",
    "average_precision",
    "average_recall",
    "mean_precision",
    "precision_recall",
]

RECALL_POINTS = np.linspace(0.0, 1.0, 101)

_ALL = range(len(IOU_THRESHOLDS))
_AT_50, _AT_75 = 0, 5  # among the thresholds


@dataclass(frozen=True)
class AveragePrecision:
    """Figures 0..1; None where there is nothing to find.

    Attributes:
        ap: mean over the IoU thresholds 0.5, 0.55, ... 0.95.
        ap50: at IoU 0.5.
        ap75: at IoU 0.75.
        n: how many annotations stand behind it; of a mean, how many structures.
    """

    ap: float | None
    ap50: float | None
    ap75: float | None
    n: int


@dataclass(frozen=True, eq=False)
class PrecisionCurve:
    """Precision over recall at T IoU thresholds.

    Attributes:
        precision: float64 [T, 101] at `RECALL_POINTS`: the highest that is reached at this recall or a higher one, 0
            where the recall isn't reached.
        recall: float64 [T], of all detections.
        scores: float64 [T, 101], of the detection with which each recall point is reached; 0 where it isn't.
        positives: annotations to be found; at 0 the arrays hold zeros that mean nothing.
    """

    precision: npt.NDArray[np.float64]
    recall: npt.NDArray[np.float64]
    scores: npt.NDArray[np.float64]
    positives: int

    @property
    def ap(self) -> float | None:
        """Mean over all thresholds and recall points; None without positives."""
        return float(self.precision.mean()) if self.positives else None

    def ap_at(self, threshold: int) -> float | None:
        """Mean over the recall points at one of the thresholds, by its place."""
        return float(self.precision[threshold].mean()) if self.positives else None

    @property
    def average_recall(self) -> float | None:
        """Mean over the thresholds; None without positives."""
        return float(self.recall.mean()) if self.positives else None


def precision_recall(
    matches: Matches,
    area: int = 0,
    weights: FrameWeights | None = None,
    *,
    max_detections: int = MAX_DETECTIONS,
    thresholds: Sequence[int] = _ALL,
) -> PrecisionCurve:
    """Counts from the highest score down.

    Copies of a frame follow one another directly: a frame that counts twice gives the figures of a set that has its
    image twice, but for the order of equal scores.

    Args:
        matches: of one structure.
        area: place in `AREAS`.
        weights: how often each frame counts, [F] of whole numbers; of truth values, which frames count. None: each
            once.
        max_detections: the best so many of a frame count.
        thresholds: places in `IOU_THRESHOLDS`; fewer are faster.

    Raises:
        ValueError: weights of another number of frames, or weights that are no whole numbers or negative.
    """
    times = _detection_times(matches, weights, max_detections)
    positives = int(matches.positives[area] @ frame_weights(weights, matches.positives.shape[1]))
    # What doesn't count has to go, or its score would stand where a recall of 0 is reached.
    kept = np.flatnonzero(times)
    order = kept[np.argsort(-matches.scores[kept], kind="stable")]
    shape = (len(thresholds), len(RECALL_POINTS))
    curve = PrecisionCurve(np.zeros(shape), np.zeros(len(thresholds)), np.zeros(shape), positives)
    if not positives or not len(order):
        return curve
    rows = np.asarray(thresholds)[:, None]
    matched, counts = matches.matched[area][rows, order], ~matches.ignored[area][rows, order] * times[order]
    true = np.cumsum(matched * counts, axis=1).astype(np.float64)
    false = np.cumsum(~matched * counts, axis=1).astype(np.float64)
    recall = true / positives
    precision = true / (false + true + np.spacing(1))
    # At each detection the highest precision from there on.
    precision = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    scores = matches.scores[order]
    for t in range(len(thresholds)):
        reached = np.searchsorted(recall[t], RECALL_POINTS, side="left")
        reached = reached[reached < len(order)]  # the points ascend, and so do these
        curve.precision[t, : len(reached)] = precision[t, reached]
        curve.scores[t, : len(reached)] = scores[reached]
    curve.recall[:] = recall[:, -1]
    return curve


def average_precision(matches: Matches, area: int = 0, weights: FrameWeights | None = None) -> AveragePrecision:
    """AP, AP50 and AP75 of one structure."""
    curve = precision_recall(matches, area, weights)
    return AveragePrecision(curve.ap, curve.ap_at(_AT_50), curve.ap_at(_AT_75), curve.positives)


def average_recall(
    matches: Matches, area: int = 0, weights: FrameWeights | None = None, *, max_detections: int = MAX_DETECTIONS
) -> float | None:
    """Share of annotations that the best `max_detections` of each frame find, mean over the IoU thresholds."""
    return precision_recall(matches, area, weights, max_detections=max_detections).average_recall


def mean_precision(figures: Iterable[AveragePrecision]) -> AveragePrecision:
    """The mean over the structures that have figures."""
    rows = [(f.ap, f.ap50, f.ap75) for f in figures if f.ap is not None]
    if not rows:
        return AveragePrecision(None, None, None, 0)
    ap, ap50, ap75 = np.asarray(rows, np.float64).mean(axis=0).tolist()
    return AveragePrecision(ap, ap50, ap75, len(rows))


def _detection_times(matches: Matches, weights: FrameWeights | None, max_detections: int) -> npt.NDArray[np.int64]:
    """How often each detection counts, [D]."""
    times = frame_weights(weights, matches.positives.shape[1])[matches.frames]
    if max_detections < MAX_DETECTIONS:
        times[matches.ranks >= max_detections] = 0
    return times
