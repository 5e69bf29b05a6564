"""Which kind of error each detection of a frame is, by the rules in `fetalseg.evaluation.error_kinds`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from fetalseg.data.records import Annotation
from fetalseg.errors import MissingExtraError
from fetalseg.evaluation.coco import truth_mask
from fetalseg.evaluation.matches import is_scored
from fetalseg.evaluation.scored_frames import ScoredFrame

try:
    import pycocotools.mask as coco_mask
except ModuleNotFoundError:
    raise MissingExtraError("pycocotools", "eval") from None

__all__ = ["ErrorKind", "FrameErrors", "JudgedDetection", "Kind", "assign_errors"]

Kind = Literal["bbox", "segm"]
ErrorKind = Literal["localisation", "class", "duplicate", "background", "both", "missed"]

FOREGROUND_IOU = 0.5
BACKGROUND_IOU = 0.1


@dataclass(frozen=True)
class JudgedDetection:
    """One detection.

    Attributes:
        label: the structure that it says.
        score: 0..1.
        error: None if it is right.
        mended_label: the structure under which it would be right if this error alone were mended; None if mending it
            means to take it away.
    """

    label: int
    score: float
    error: ErrorKind | None
    mended_label: int | None = None


@dataclass(frozen=True)
class FrameErrors:
    """What is right and wrong in one frame.

    Attributes:
        detections: those that count, best first; what lies in a crowd of its structure is left out.
        positives: labels of the annotations that are to be found.
        missed: labels of those that nothing points at.
    """

    detections: tuple[JudgedDetection, ...]
    positives: tuple[int, ...]
    missed: tuple[int, ...]


def assign_errors(frame: ScoredFrame, kind: Kind) -> FrameErrors:
    """Matches one frame at IoU 0.5, as pycocotools does, and says what each unmatched detection is.

    Args:
        frame: the frame.
        kind: by box or by mask; by mask, structures are left out that have an annotation here without one.

    Raises:
        ValueError: to be judged by mask, and the detections have none.
        DataError: a mask of the ground truth covers no pixel.
    """
    scored = {label for label in frame.image.known if is_scored(frame, label, kind)}
    rows = np.flatnonzero(np.isin(frame.found.labels, list(scored)))
    truths = [a for a in frame.image.annotations if a.label in scored]
    crowds = np.array([a.crowd for a in truths], np.bool_)
    iou = _iou(frame, rows, truths, kind)
    labels = frame.found.labels[rows]
    same = labels[:, None] == np.array([a.label for a in truths], np.int64)[None]
    to_find = np.flatnonzero(~crowds)
    matches = _match((iou * same)[:, to_find])
    # What lies in a crowd of its structure is neither right nor wrong.
    in_crowd = (iou * same * crowds).max(axis=1, initial=0) >= FOREGROUND_IOU
    kept = np.flatnonzero((matches >= 0) | ~in_crowd)
    return _judge(
        labels=labels[kept],
        scores=frame.found.scores[rows][kept],
        matches=matches[kept],
        iou=iou[np.ix_(kept, to_find)],
        truths=np.array([truths[i].label for i in to_find], np.int64),
    )


def _match(iou: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """Place of the annotation that each detection takes, -1 for none, [D].

    Args:
        iou: [D, G] best score first, 0 where the structures differ.
    """
    left = iou.copy()
    matches = np.full(len(iou), -1, np.int64)
    for row in range(len(iou) if iou.shape[1] else 0):
        # Of equal ones the last, as in pycocotools.
        best = left.shape[1] - 1 - int(left[row, ::-1].argmax())
        if left[row, best] >= FOREGROUND_IOU:
            matches[row] = best
            left[:, best] = 0
    return matches


def _judge(
    labels: npt.NDArray[np.int64],
    scores: npt.NDArray[np.float64],
    matches: npt.NDArray[np.int64],
    iou: npt.NDArray[np.float64],
    truths: npt.NDArray[np.int64],
) -> FrameErrors:
    """Names the errors of D detections and G annotations.

    Args:
        labels: [D], best score first.
        scores: [D].
        matches: [D], place of the annotation that each took, or -1.
        iou: [D, G].
        truths: [G], labels.
    """
    taken = set(matches.tolist())
    pointed_at: set[int] = set()
    judged = []
    pointers = _point(labels, matches, iou, truths)
    for label, score, (error, target) in zip(labels.tolist(), scores.tolist(), pointers, strict=True):
        mended = None
        if target >= 0 and target not in taken:
            # The first to point at it has the highest score: it alone could have been right.
            mended = None if target in pointed_at else int(truths[target])
            pointed_at.add(target)
        judged.append(JudgedDetection(label, score, error, mended))
    missed = [label for place, label in enumerate(truths.tolist()) if place not in taken | pointed_at]
    return FrameErrors(tuple(judged), tuple(truths.tolist()), tuple(missed))


def _point(
    labels: npt.NDArray[np.int64],
    matches: npt.NDArray[np.int64],
    iou: npt.NDArray[np.float64],
    truths: npt.NDArray[np.int64],
) -> list[tuple[ErrorKind | None, int]]:
    """The error of each of D detections, and the place of the annotation that it points at, or -1; as of `_judge`."""
    if not len(truths):
        return [("background", -1) for _ in labels]
    same = labels[:, None] == truths[None]
    own, other = iou * same, iou * ~same
    best_own, best_other, best = own.max(axis=1), other.max(axis=1), iou.max(axis=1)
    # The first that fits counts.
    fitting: list[tuple[ErrorKind | None, npt.NDArray[np.bool_], npt.NDArray[np.int64] | None]] = [
        (None, matches >= 0, None),
        ("localisation", (best_own >= BACKGROUND_IOU) & (best_own < FOREGROUND_IOU), own.argmax(axis=1)),
        ("class", best_other >= FOREGROUND_IOU, other.argmax(axis=1)),
        ("duplicate", best_own >= FOREGROUND_IOU, None),
        ("background", best <= BACKGROUND_IOU, None),
        ("both", np.ones(len(labels), np.bool_), None),
    ]
    kinds = np.stack([fits for _, fits, _ in fitting]).argmax(axis=0).tolist()
    return [
        (error, -1 if targets is None else int(targets[row]))
        for row, (error, _, targets) in enumerate(fitting[kind] for kind in kinds)
    ]


def _iou(
    frame: ScoredFrame, rows: npt.NDArray[np.int64], truths: Sequence[Annotation], kind: Kind
) -> npt.NDArray[np.float64]:
    """IoU of detections and annotations [D, G]; with a crowd, the share of the detection that lies in it."""
    if not len(rows) or not truths:
        return np.zeros((len(rows), len(truths)))
    found, crowds = frame.found, [int(a.crowd) for a in truths]
    if kind == "bbox":
        boxes, annotated = [found.coco_boxes[row] for row in rows.tolist()], [list(a.bbox) for a in truths]
        return np.asarray(coco_mask.iou(boxes, annotated, crowds), np.float64)
    if found.masks is None:
        raise ValueError(f"image {frame.image.id}: the detections have no masks to judge")
    masks = [truth_mask(a, frame.image.height, frame.image.width) for a in truths]
    return np.asarray(coco_mask.iou([found.masks[row] for row in rows], masks, crowds), np.float64)
