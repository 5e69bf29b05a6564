"""Box voting: the box that stays becomes the mean of those that agree with it.

Neighbouring anchors see the same structure from slightly different places, and their boxes scatter around the truth;
suppression keeps one of them and throws away what the others know. Gidaris and Komodakis (ICCV 2015, section 5.3)
average them, weighted by score.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fetalseg.postprocess.nms import iou_between

__all__ = ["vote_boxes"]

Floats = npt.NDArray[np.float32]


def vote_boxes(
    boxes: Floats, scores: Floats, rows: npt.NDArray[np.int64], labels: npt.NDArray[np.int64], *, iou_threshold: float
) -> Floats:
    """The mean box of each instance, weighted by the score that the candidates give its structure.

    Args:
        boxes: [n, 4] xyxy of all candidates.
        scores: [n, C], 0 where a row is padding.
        rows: [N] candidates that stay after suppression.
        labels: [N], 0..C-1.
        iou_threshold: candidates that overlap the one that stays by at least this have a vote.

    Returns:
        [N, 4]; a box without area, or without a positive score, comes back as it is.
    """
    stays = boxes[rows]
    votes = np.where(iou_between(stays, boxes) >= iou_threshold, scores[:, labels].T, np.float32(0))  # [N, n]
    total = votes.sum(axis=1, keepdims=True)
    mean = votes @ boxes / np.maximum(total, np.finfo(np.float32).tiny)
    return np.where(total > 0, mean, stays)
