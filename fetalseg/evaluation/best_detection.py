"""The detection that stands for a structure in a frame, and whether its box agrees with the annotated ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt

from fetalseg.data.records import Annotation, ImageRecord
from fetalseg.evaluation.scored_frames import ScoredFrame

__all__ = ["MIN_BEST_SCORE", "Box", "MatchRule", "agrees", "box_iou", "counted", "found_per_frame", "has_centre_inside"]

MIN_BEST_SCORE = 0.3  # a structure counts as found in a frame if its highest score there is at least this

MatchRule = Literal["centre", "iou50"]
Box = tuple[float, float, float, float]  # x, y, width, height in frame pixels, as annotations have it


def counted(image: ImageRecord, label: int) -> list[Annotation]:
    """The annotations of a structure in an image that are to be found: its crowds left out."""
    return [a for a in image.annotations if a.label == label and not a.crowd]


def found_per_frame(frames: Sequence[ScoredFrame], label: int) -> npt.NDArray[np.int64]:
    """How many detections of a structure have at least `MIN_BEST_SCORE`, int64 [F]."""
    found = (frame.found for frame in frames)
    return np.array([np.count_nonzero((f.labels == label) & (f.scores >= MIN_BEST_SCORE)) for f in found], np.int64)


def agrees(found: npt.NDArray[np.float64], boxes: Sequence[Box], rule: MatchRule) -> bool:
    """Whether a box found agrees with one of the annotated ones.

    Args:
        found: float64 [4], xyxy in frame pixels.
        boxes: annotated.
        rule: "centre": the centre of the box found lies in an annotated box or on its edge; "iou50": their
            intersection over union is at least 0.5.

    Raises:
        ValueError: another rule.
    """
    if rule == "centre":
        return has_centre_inside(found, boxes)
    if rule == "iou50":
        return any(box_iou(found, box) >= 0.5 for box in boxes)
    raise ValueError(f"unknown match rule {rule!r}; expected centre or iou50")


def has_centre_inside(found: npt.NDArray[np.float64], boxes: Sequence[Box]) -> bool:
    """Whether the centre of a box xyxy lies in one of the annotated boxes or on its edge."""
    x1, y1, x2, y2 = found.tolist()
    x, y = (x1 + x2) / 2, (y1 + y2) / 2
    return any(left <= x <= left + width and top <= y <= top + height for left, top, width, height in boxes)


def box_iou(found: npt.NDArray[np.float64], box: Box) -> float:
    """Intersection over union, 0..1, of a box xyxy and an annotated one; 0 where both are empty."""
    x1, y1, x2, y2 = found.tolist()
    left, top, width, height = box
    across = max(0.0, min(x2, left + width) - max(x1, left))
    down = max(0.0, min(y2, top + height) - max(y1, top))
    union = (x2 - x1) * (y2 - y1) + width * height - across * down
    return across * down / union if union > 0 else 0.0
