"""Which instance of one answer is which of another, and how alike their masks are."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from fetalseg.instances import Instances
from fetalseg.lazy_crops import Mask
from fetalseg.postprocess.nms import iou_between

__all__ = ["Counterparts", "counterparts", "mask_iou"]

LEAST_IOU = 0.5  # of two boxes of the same structure


class Counterparts(NamedTuple):
    """For each of N instances its counterpart.

    Attributes:
        rows: int64 [N], -1 where there is none.
        scores: float32 [N], absolute differences, and so on; of no meaning where there is none.
        boxes: float32 [N], the largest of four, in px of the frame.
    """

    rows: npt.NDArray[np.int64]
    scores: npt.NDArray[np.float32]
    boxes: npt.NDArray[np.float32]


def counterparts(found: Instances, among: Instances) -> Counterparts:
    """Each instance's counterpart: of the same structure, with a box IoU of at least 0.5, and the most alike.

    Alike is what has the smallest sum of 1 - IoU and the difference of the scores: neighbouring anchors give almost the
    same box with another score, and in reduced precision the box of one of them may be nearer than that of the same
    anchor.
    """
    if not len(found) or not len(among):
        nothing = np.zeros(len(found), np.float32)
        return Counterparts(np.full(len(found), -1, np.int64), nothing, nothing)
    iou = iou_between(found.boxes, among.boxes)
    possible = (found.labels[:, None] == among.labels) & (iou >= LEAST_IOU)
    unlike = 1 - iou + np.abs(found.scores[:, None] - among.scores)
    rows = np.where(possible, unlike, np.inf).argmin(axis=1)
    return Counterparts(
        rows=np.where(possible.any(axis=1), rows, -1).astype(np.int64),
        scores=np.abs(found.scores - among.scores[rows]),
        boxes=np.abs(found.boxes - among.boxes[rows]).max(axis=1),
    )


def mask_iou(one: Mask, one_box: npt.NDArray[np.int64], other: Mask, other_box: npt.NDArray[np.int64]) -> float:
    """IoU of two masks; 1 where both are empty.

    Args:
        one: crop, bool.
        one_box: xyxy int64 [4], where in the frame it lies.
        other: crop, bool.
        other_box: likewise.
    """
    x1, y1 = np.maximum(one_box[:2], other_box[:2]).tolist()
    x2, y2 = np.minimum(one_box[2:], other_box[2:]).tolist()
    common = 0
    if x1 < x2 and y1 < y2:
        common = int(np.count_nonzero(_part(one, one_box, x1, y1, x2, y2) & _part(other, other_box, x1, y1, x2, y2)))
    union = int(np.count_nonzero(one)) + int(np.count_nonzero(other)) - common
    return common / union if union else 1.0


def _part(crop: Mask, box: npt.NDArray[np.int64], x1: int, y1: int, x2: int, y2: int) -> Mask:
    left, top = box[:2].tolist()
    return crop[y1 - top : y2 - top, x1 - left : x2 - left]
