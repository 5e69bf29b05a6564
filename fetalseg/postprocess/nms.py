"""Non-maximum suppression: of several boxes around one structure, the best stays.

Numeric conventions, the same for every kind:

- IoU is of continuous boxes: a box is (x2 - x1) wide, no pixel is added. A box without area overlaps nothing.
- A box is suppressed, or decayed by `soft_linear`, by an IoU **above** the threshold; an IoU equal to it is harmless
  (as in the public code of YOLACT and of soft-NMS; soft-NMS is printed with >=).
- Scores at or above the score threshold stay; a score of 0 is padding and never stays, whatever the threshold.
- All arithmetic is float32.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from fetalseg.postprocess.options import NMS_KINDS, NmsKind

__all__ = ["NmsResult", "iou_between", "nms", "pairwise_iou"]

Floats = npt.NDArray[np.float32]
Integers = npt.NDArray[np.int64]


class NmsResult(NamedTuple):
    """The m boxes that stay, best score first; equal scores in the order of the input.

    Attributes:
        indices: int64 [m], rows of the boxes given. A row may come several times, with different labels.
        scores: float32 [m], decayed by the soft kinds and by `matrix`.
        labels: int64 [m].
    """

    indices: Integers
    scores: Floats
    labels: Integers


class _Detections(NamedTuple):
    """Boxes with one label each, as columns of equal length."""

    rows: Integers
    scores: Floats
    labels: Integers

    def take(self, index: npt.NDArray[Any]) -> _Detections:
        return _Detections(self.rows[index], self.scores[index], self.labels[index])


def nms(
    boxes: npt.ArrayLike,
    scores: npt.ArrayLike,
    labels: npt.ArrayLike | None = None,
    *,
    kind: NmsKind,
    iou_threshold: float = 0.5,
    score_threshold: float = 0.05,
    top_k: int = 200,
    max_detections: int = 100,
    sigma: float = 0.5,
) -> NmsResult:
    """Suppresses boxes that overlap better ones.

    Kinds, the best score of a class first in each:

    - `fast` (Bolya et al., YOLACT, ICCV 2019, section 4): a box goes if any better one overlaps it, even one that is
      suppressed itself. The score threshold holds for each pair of box and class ("second threshold" of the public
      code, which leaves it off).
    - `greedy`: a box goes if a better one that stays overlaps it.
    - `soft_linear`, `soft_gaussian` (Bodla et al., ICCV 2017, equation 3 and below): instead of going, a box's score is
      multiplied by 1 - IoU (above the threshold), or by exp(-IoU^2 / sigma), for each better one; what falls below the
      score threshold goes.
    - `matrix` (Wang et al., SOLOv2, NeurIPS 2020, section 3.3; Gaussian; on the boxes' IoU): all decays at once, the
      decay of a box relative to how far the decaying box is overlapped itself.
    - `fast_cross_class`, `greedy_cross_class`: the same between boxes of all classes.

    Args:
        boxes: [n, 4] xyxy, in any unit.
        scores: [n] with labels, or [n, C] without: then each class with a score above the threshold is a detection of
            its own, but for the cross-class kinds, where a box has only its best class.
        labels: integers [n], or None.
        kind: one of `NMS_KINDS`.
        iou_threshold: 0..1; not used by `soft_gaussian` and `matrix`.
        score_threshold: before and after suppression.
        top_k: best boxes of a class (of all, for cross-class kinds) that take part.
        max_detections: at most so many are returned, the best of what stays.
        sigma: of the Gaussian, used by `soft_gaussian` and `matrix`.

    Raises:
        ValueError: an unknown kind, wrong shapes, values that are not finite, a number out of range.
    """
    _check_choices(kind, iou_threshold, score_threshold, top_k, max_detections, sigma)
    boxes = _finite("boxes", boxes)
    if boxes.ndim != 2 or boxes.shape[1] != 4:
        raise ValueError(f"boxes must have shape [n, 4], got {list(boxes.shape)}")
    cross_class = kind in _CROSS_CLASS
    found = _detections(len(boxes), _finite("scores", scores), labels, score_threshold, best_class_only=cross_class)
    groups, is_padding = _groups(found, cross_class, top_k)
    group_scores = np.where(is_padding, np.float32(0), found.scores[groups])
    group_iou = pairwise_iou(np.where(is_padding[..., None], np.float32(0), boxes[found.rows[groups]]))
    suppress = _suppression(kind, iou_threshold, score_threshold, sigma)
    kept = np.zeros_like(found.scores)
    kept[groups[~is_padding]] = suppress(group_iou, group_scores)[~is_padding]
    found = found._replace(scores=kept).take(_stays(kept, score_threshold))
    best = np.lexsort((found.labels, found.rows, -found.scores))[:max_detections]
    return NmsResult(*found.take(best))


def pairwise_iou(boxes: Floats) -> Floats:
    """Intersection over union of each box with each: [..., n, n] from xyxy [..., n, 4]; 0 where a box has no area."""
    return iou_between(boxes, boxes)


def iou_between(boxes: Floats, others: Floats) -> Floats:
    """IoU of each box [..., N, 4] with each of the others [..., n, 4]: [..., N, n]; 0 where a box has no area."""
    x1, y1, x2, y2 = np.ascontiguousarray(np.moveaxis(boxes, -1, 0))[..., None]
    left, top, right, bottom = np.ascontiguousarray(np.moveaxis(others, -1, 0))[..., None, :]
    area = np.maximum(x2 - x1, 0) * np.maximum(y2 - y1, 0)
    intersection = _overlap(x1, x2, left, right)
    intersection *= _overlap(y1, y2, top, bottom)
    union = area + np.maximum(right - left, 0) * np.maximum(bottom - top, 0)
    union -= intersection
    intersection /= np.maximum(union, np.finfo(np.float32).tiny)
    return intersection


def _overlap(start: Floats, end: Floats, other_start: Floats, other_end: Floats) -> Floats:
    """Common length [..., N, n] of intervals [..., N, 1] with others [..., 1, n].

    In place, here and above: fetching fresh memory for each step takes three times as long as the arithmetic.
    """
    overlap: Floats = np.minimum(end, other_end)
    overlap -= np.maximum(start, other_start)
    return np.maximum(overlap, 0, out=overlap)


def _check_choices(
    kind: str, iou_threshold: float, score_threshold: float, top_k: int, max_detections: int, sigma: float
) -> None:
    if kind not in NMS_KINDS:
        raise ValueError(f"unknown kind of NMS {kind!r}; expected one of {', '.join(NMS_KINDS)}")
    for name, threshold in (("iou_threshold", iou_threshold), ("score_threshold", score_threshold)):
        if not 0 <= threshold <= 1:
            raise ValueError(f"{name} must be within 0..1, got {threshold}")
    for name, count in (("top_k", top_k), ("max_detections", max_detections)):
        if count < 1:
            raise ValueError(f"{name} must be at least 1, got {count}")
    if not sigma > 0:
        raise ValueError(f"sigma must be above 0, got {sigma}")


def _finite(name: str, values: npt.ArrayLike) -> Floats:
    array = np.asarray(values, np.float32)
    if not np.isfinite(array).all():
        raise ValueError(f"{name} must be finite, got NaN or infinity in {np.sum(~np.isfinite(array))} of its values")
    return array


def _stays(scores: Floats, score_threshold: float) -> npt.NDArray[np.bool_]:
    return (scores >= score_threshold) & (scores > 0)


def _detections(
    n: int, scores: Floats, labels: npt.ArrayLike | None, score_threshold: float, *, best_class_only: bool
) -> _Detections:
    """One row for each pair of box and class that can be found."""
    if labels is None:
        if scores.ndim != 2 or len(scores) != n or scores.shape[1] < 1:
            raise ValueError(f"scores without labels must have shape [{n}, C], got {list(scores.shape)}")
        if not best_class_only:
            rows, classes = np.nonzero(_stays(scores, score_threshold))
            return _Detections(rows, scores[rows, classes], classes)
        labels, scores = scores.argmax(axis=1), scores.max(axis=1)
    classes = np.asarray(labels)
    if classes.size == 0:
        classes = classes.astype(np.int64)
    if not np.issubdtype(classes.dtype, np.integer):
        raise ValueError(f"labels must be integers, got {classes.dtype}")
    if scores.shape != (n,) or classes.shape != (n,):
        raise ValueError(
            f"with labels, scores and labels must have shape [{n}], got {list(scores.shape)} and {list(classes.shape)}"
        )
    found = _Detections(np.arange(n), scores, classes.astype(np.int64))
    return found.take(_stays(scores, score_threshold))


def _groups(found: _Detections, cross_class: bool, top_k: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """The boxes that compete with each other: of each class, or of all, the best `top_k`, best first.

    Returns:
        Positions [G, m], one row a group; and which of them only fill up the row.
    """
    classes = np.zeros_like(found.labels) if cross_class else found.labels
    order = np.lexsort((found.rows, -found.scores, classes))
    classes = classes[order]
    starts = np.flatnonzero(np.append(True, classes[1:] != classes[:-1])[: len(order)])
    sizes = np.minimum(np.append(starts[1:], len(order)) - starts, top_k)
    rank = np.arange(sizes.max(initial=0))
    is_padding = rank >= sizes[:, None]
    return order[np.where(is_padding, 0, starts[:, None] + rank)], is_padding


# From the IoU [G, m, m] and scores [G, m] of the boxes of each group, best first, to their new scores; 0: it goes.
Suppression = Callable[[Floats, Floats], Floats]

_CROSS_CLASS = frozenset({"fast_cross_class", "greedy_cross_class"})


def _suppression(kind: NmsKind, iou_threshold: float, score_threshold: float, sigma: float) -> Suppression:
    if kind in ("fast", "fast_cross_class"):
        return partial(_fast, iou_threshold=iou_threshold)
    if kind in ("greedy", "greedy_cross_class"):
        return partial(_greedy, iou_threshold=iou_threshold)
    if kind == "matrix":
        return partial(_matrix, sigma=sigma)
    decay = partial(_linear_decay, iou_threshold=iou_threshold)
    if kind == "soft_gaussian":
        decay = partial(_gaussian_decay, sigma=sigma)
    return partial(_soft, decay=decay, score_threshold=score_threshold)


def _fast(iou: Floats, scores: Floats, *, iou_threshold: float) -> Floats:
    overlaps_better = _overlaps_better(iou, iou_threshold).any(axis=-2)
    return np.where(overlaps_better, np.float32(0), scores)


def _greedy(iou: Floats, scores: Floats, *, iou_threshold: float) -> Floats:
    overlaps_better = _overlaps_better(iou, iou_threshold)
    stays = np.ones(scores.shape, np.bool_)
    # What becomes of a box depends on better ones alone: after k rounds the best k of each group are right, and when
    # nothing changes all are, mostly after three.
    while True:
        before = stays
        stays = np.logical_not((overlaps_better & before[..., None]).any(axis=-2))
        if (stays == before).all():
            return np.where(stays, scores, np.float32(0))


def _overlaps_better(iou: Floats, iou_threshold: float) -> npt.NDArray[np.bool_]:
    """[G, m, m]: the box of the row overlaps that of the column, and has the better score."""
    is_better = np.tri(iou.shape[-1], k=-1, dtype=np.bool_).T
    return is_better & (iou > iou_threshold)


def _soft(iou: Floats, scores: Floats, *, decay: Callable[[Floats], Floats], score_threshold: float) -> Floats:
    groups = np.arange(len(scores))
    waiting, decided = scores.copy(), np.zeros_like(scores)
    for _ in range(scores.shape[1]):
        best = waiting.argmax(axis=1)
        best_score = waiting[groups, best]
        # Decay only lowers scores: once the best is below the threshold, so is the rest.
        if (best_score < score_threshold).all():
            break
        decided[groups, best] = np.maximum(decided[groups, best], best_score)
        waiting *= decay(iou[groups, best])
        waiting[groups, best] = 0
    return decided


def _linear_decay(iou: Floats, *, iou_threshold: float) -> Floats:
    return np.where(iou > iou_threshold, 1 - iou, np.float32(1))


def _gaussian_decay(iou: Floats, *, sigma: float) -> Floats:
    decay: Floats = np.exp(-(iou * iou) / np.float32(sigma))
    return decay


def _matrix(iou: Floats, scores: Floats, *, sigma: float) -> Floats:
    squared = np.square(np.triu(iou, k=1))
    # Box i decays box j; i's own largest overlap with a better box compensates, as i may be suppressed itself.
    compensation = squared.max(axis=-2, initial=0)
    decay: Floats = np.exp((compensation[..., :, None] - squared) / np.float32(sigma)).min(axis=-2, initial=1)
    return scores * decay
