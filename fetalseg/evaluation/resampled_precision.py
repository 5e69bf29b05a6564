"""Average precision in a thousand resamples at once, from one matching.

A resample gives each frame a weight, and a detection counts as often as its frame. The curve by which pycocotools
scores changes its course at true positives only, so that only those columns are gone through. In a resample with equal
weights the figures are those of pycocotools; in any other, those of a set that holds each frame so many times.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from fetalseg.evaluation.bootstrap import Draws, Resampled, mean_resampled
from fetalseg.evaluation.matches import Matches
from fetalseg.evaluation.precision import RECALL_POINTS, average_precision

__all__ = [
    "MEAN",
    "MEASURES",
    "figure_name",
    "figure_names",
    "precision_figures",
    "resampled_precision",
    "weighted_average_precision",
]

# Over which IoU thresholds of 0.5, 0.55, ... 0.95 a measure is the mean.
MEASURES = {"AP": slice(None), "AP50": slice(0, 1), "AP75": slice(5, 6)}
MEAN = "mean"  # in the place of a structure's name: over all with ground truth

_ROWS = 128  # resamples at a time: their counts stay in the processor's cache


def figure_name(subject: str, kind: str, measure: str) -> str:
    """What a figure is called in files and rules, such as `nasal_bone.mask.AP50`."""
    return f"{subject}.{kind}.{measure}"


def figure_names(structures: Sequence[str], kinds: Sequence[str]) -> list[str]:
    """The names of what `precision_figures` computes."""
    return [figure_name(s, kind, measure) for kind in kinds for s in (MEAN, *structures) for measure in MEASURES]


def precision_figures(
    matches: Mapping[str, Mapping[int, Matches]], structures: Sequence[str], draws: Draws
) -> dict[str, Resampled]:
    """All average precisions of one system, with their resamples.

    Args:
        matches: by the word for a kind ("box", "mask", "boundary"), then by label.
        structures: names in label order.
        draws: over the frames that were matched.

    Returns:
        By name, see `figure_name`: of each structure and of their mean.
    """
    figures: dict[str, Resampled] = {}
    for kind, by_label in matches.items():
        rows = {structures[label]: resampled_precision(one, draws) for label, one in by_label.items()}
        for measure in MEASURES:
            if rows:
                mean = mean_resampled([row[measure] for row in rows.values()])
                figures[figure_name(MEAN, kind, measure)] = mean
            figures |= {figure_name(name, kind, measure): row[measure] for name, row in rows.items()}
    return figures


def resampled_precision(matches: Matches, draws: Draws, area: int = 0) -> dict[str, Resampled]:
    """AP, AP50 and AP75 of one structure, by the names in `MEASURES`.

    Args:
        matches: of the structure, F frames.
        draws: over the same frames.
        area: place of the area range in `matches`.

    Raises:
        ValueError: draws over another number of frames.
    """
    whole = average_precision(matches, area)
    values = {"AP": whole.ap, "AP50": whole.ap50, "AP75": whole.ap75}
    rows = weighted_average_precision(matches, draws.weights, area)
    return {measure: Resampled(values[measure], rows[:, place].mean(axis=1)) for measure, place in MEASURES.items()}


def weighted_average_precision(
    matches: Matches, weights: npt.NDArray[np.int64], area: int = 0
) -> npt.NDArray[np.float64]:
    """Average precision at each IoU threshold in each resample.

    Args:
        matches: of one structure.
        weights: int64 [R, F].
        area: place of the area range in `matches`.

    Returns:
        float64 [R, T]; NaN in resamples without a ground truth.

    Raises:
        ValueError: weights of another number of frames.
    """
    positives = matches.positives[area]
    if weights.ndim != 2 or weights.shape[1] != len(positives):
        raise ValueError(f"expected weights of {len(positives)} frames, got an array of shape {weights.shape}")
    order = np.argsort(-matches.scores, kind="stable")
    true = matches.matched[area][:, order] & ~matches.ignored[area][:, order]
    # Of the curve only true positives matter, so what comes after the last of them is left out.
    order = order[: np.flatnonzero(true.any(axis=0)).max(initial=-1) + 1]
    frames, true = matches.frames[order], true[:, : len(order)]
    counted = ~matches.ignored[area][:, order]
    parts = [
        _average_precision(part.astype(np.int32), frames, true, counted, part @ positives)
        for part in np.split(weights, range(_ROWS, len(weights), _ROWS))
    ]
    return np.concatenate(parts)


def _average_precision(
    weights: npt.NDArray[np.int32],
    frames: npt.NDArray[np.int64],
    true: npt.NDArray[np.bool_],
    counted: npt.NDArray[np.bool_],
    positives: npt.NDArray[np.int64],
) -> npt.NDArray[np.float64]:
    """The same for a few resamples.

    Args:
        weights: [R, F].
        frames: [D], of the detections, best first.
        true: [T, D], whether a detection is right.
        counted: [T, D], whether it counts, rightly or wrongly.
        positives: [R], ground truths.
    """
    copies = weights[:, frames]
    reached = _points_reached(positives)
    found = np.full((len(weights), len(true)), np.nan)
    for threshold, (right, counts) in enumerate(zip(true, counted, strict=True)):
        if threshold == 0 or not np.array_equal(counts, counted[threshold - 1]):
            detections = np.cumsum(copies * counts, axis=1, dtype=np.int32)
        places = np.flatnonzero(right)
        hits = np.cumsum(copies[:, places], axis=1, dtype=np.int32)
        found[:, threshold] = _area_under(hits, detections[:, places], reached)
    found[positives == 0] = np.nan
    return found


def _points_reached(positives: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """How many of the 101 recall points are reached with 0, 1, 2, ... hits of so many ground truths, [R, max + 1]."""
    hits = np.arange(positives.max(initial=0) + 1)
    recall = hits / np.maximum(positives, 1)[:, None]
    return np.searchsorted(RECALL_POINTS, recall, side="right")


def _area_under(
    hits: npt.NDArray[np.int32], detections: npt.NDArray[np.int32], reached: npt.NDArray[np.int64]
) -> npt.NDArray[np.float64]:
    """Mean of the highest precision at or beyond each of the recall points, [R].

    Args:
        hits: [R, K], true positives up to each of the K right detections.
        detections: [R, K], detections up to there, itself counted.
        reached: [R, P], see `_points_reached`.
    """
    precision = hits / (detections + np.spacing(1))
    highest = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    points = np.take_along_axis(reached, hits, axis=1)
    share: npt.NDArray[np.float64] = (highest * np.diff(points, axis=1, prepend=0)).sum(axis=1)
    return share / len(RECALL_POINTS)
