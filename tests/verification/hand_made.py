"""Answers of a few instances whose differences can be worked out by hand."""

from __future__ import annotations

import numpy as np

from fetalseg.instances import Instances
from fetalseg.verification.answers import FrameAnswer
from fetalseg.verification.decisions import Decisions
from fetalseg.verification.tolerances import Limits

CRANIUM, HEART, FEMUR = 0, 1, 2
NAMES = ("cranium", "heart", "femur")

LIMITS = Limits(
    score=0.05,
    box_px=2.0,
    mask_iou=0.8,
    off=0.0,
    mean_mask_iou=0.9,
    usual_score=0.01,
    usual_box_px=0.5,
    unusual=0.1,
    ap=0.01,
    ap_detections=1.0,
)
# Of cranium and heart only the best is shown.
DECISIONS = Decisions(
    floors=np.full(3, 0.3, np.float32), single=np.array([True, True, False]), iou_threshold=0.5, max_detections=10
)

Row = tuple[int, float, tuple[int, int, int, int]]


def instances(*rows: Row) -> Instances:
    """Of a frame of 100 x 100; each mask fills its box."""
    boxes = np.array([box for _, _, box in rows], np.int64).reshape(-1, 4)
    return Instances(
        labels=np.array([label for label, _, _ in rows], np.int64),
        scores=np.array([score for _, score, _ in rows], np.float32),
        boxes=boxes.astype(np.float32),
        crops=[np.ones((y2 - y1, x2 - x1), np.bool_) for x1, y1, x2, y2 in boxes.tolist()],
        crop_boxes=boxes,
        frame_shape=(100, 100),
        structures=NAMES,
    )


def answer(*shown: Row, besides: tuple[Row, ...] = ()) -> FrameAnswer:
    """What is shown, and what was considered besides."""
    return FrameAnswer(instances(*shown), instances(*shown, *besides))


def over_the_wire(*shown: Row) -> FrameAnswer:
    return FrameAnswer(instances(*shown), None)
