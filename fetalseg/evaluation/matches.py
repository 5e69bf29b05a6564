"""Which detections match which ground truth, found once by pycocotools; every figure is then a recount.

A resample of the frames, a view or a slice changes how often a frame counts, but not what matches what inside it.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from fetalseg.data.records import Annotation, CocoSet
from fetalseg.errors import MissingExtraError
from fetalseg.evaluation.boundary import boundary_record
from fetalseg.evaluation.coco import Record, box_record, truth_mask
from fetalseg.evaluation.scored_frames import MAX_DETECTIONS, ScoredFrame

try:
    import pycocotools.mask as coco_mask
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval
except ModuleNotFoundError:
    raise MissingExtraError("pycocotools", "eval") from None

__all__ = ["AREAS", "IOU_THRESHOLDS", "Kind", "Matches", "is_scored", "match_all"]

Kind = Literal["bbox", "segm", "boundary"]

AREAS = ("all", "small", "medium", "large")
IOU_THRESHOLDS = np.linspace(0.5, 0.95, 10)  # as pycocotools computes them, to the last bit

_AREA_RANGES = [[0, 1e10], [0, 32**2], [32**2, 96**2], [96**2, 1e10]]  # px, COCO's own


@dataclass(frozen=True, eq=False)
class Matches:
    """What became of the D detections of one structure, over F frames.

    Attributes:
        scores: float64 [D], frame by frame in the order of the image ids (of equal ones, in that of the sequence), as
            pycocotools concatenates them; best first within a frame.
        frames: int64 [D], position in the sequence of frames.
        matched: bool [A, T, D], by `AREAS` and `IOU_THRESHOLDS`.
        ignored: bool [A, T, D], counts neither way: it lies in a crowd or matches an annotation of another size, or
            matches nothing and is itself of another size.
        positives: int64 [A, F], annotations to be found in each frame of the sequence; 0 where there are none, and
            where the structure isn't scored.
    """

    scores: npt.NDArray[np.float64]
    frames: npt.NDArray[np.int64]
    matched: npt.NDArray[np.bool_]
    ignored: npt.NDArray[np.bool_]
    positives: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.scores)

    @cached_property
    def ranks(self) -> npt.NDArray[np.int64]:
        """Place of each detection within its frame, int64 [D]: 0 for the best."""
        starts = np.flatnonzero(np.diff(self.frames, prepend=-1))
        lengths = np.diff(starts, append=len(self.frames))
        return np.arange(len(self.frames)) - np.repeat(starts, lengths)


def match_all(frames: Sequence[ScoredFrame], truth: CocoSet, kind: Kind) -> dict[int, Matches]:
    """Matches the detections of all structures that the set annotates.

    Partial labels: a structure is scored in the frames that list it; by mask only where, besides, every annotation of
    it has a mask. What belongs to other frames is neither matched nor counted.

    Sizes, for the ranges of `AREAS`, are those of masks: of an annotation, of its mask, or of its box if it has none;
    of a detection, of what is scored. That is what COCO's own files hold as `area`; the field itself isn't read.

    Args:
        frames: F frames.
        truth: the set that they are from.
        kind: by IoU of boxes, of masks, or the lower one of masks and of their boundaries.

    Returns:
        By label, of all structures that the set's file has as categories.

    Raises:
        ValueError: to be scored by mask, and the detections have none.
        DataError: a mask of the ground truth covers no pixel.
    """
    labels = sorted(truth.category_ids)
    order = sorted(range(len(frames)), key=lambda position: frames[position].image.id)
    # To pycocotools an image's id is its place in `order`, a category's id the label.
    truths, results = [], []
    for place, position in enumerate(order):
        scored = [label for label in labels if is_scored(frames[position], label, kind)]
        truths += [{"image_id": place, **record} for record in _truths(frames[position], scored, kind)]
        results += [{"image_id": place, **record} for record in _results(frames[position], scored, kind)]
    evaluation = _evaluation(truths, results, kind)
    evaluation.params.imgIds = list(range(len(frames)))
    evaluation.params.catIds = labels
    evaluation.params.areaRng = _AREA_RANGES
    evaluation.params.areaRngLbl = list(AREAS)
    evaluation.params.maxDets = [MAX_DETECTIONS]
    with contextlib.redirect_stdout(io.StringIO()):  # pycocotools prints its progress
        evaluation.evaluate()
    shape = (len(labels), len(AREAS), len(frames))
    cells = np.empty(shape, object)
    cells.ravel()[:] = evaluation.evalImgs
    return {label: _collect(cells[k], np.array(order, np.int64)) for k, label in enumerate(labels)}


def is_scored(frame: ScoredFrame, label: int, kind: Kind) -> bool:
    """Whether a structure is scored in a frame: it is listed, and to be scored by mask has no annotation without."""
    return label in frame.image.known and (kind == "bbox" or frame.is_scored_by_mask(label))


def _truths(frame: ScoredFrame, labels: Sequence[int], kind: Kind) -> Iterator[Record]:
    for annotation in frame.image.annotations:
        if annotation.label in labels:
            mask = _mask(annotation, frame)
            x, y, width, height = annotation.bbox
            area = width * height if mask is None else float(coco_mask.area(mask))
            shape = {"bbox": [x, y, width, height]} if kind == "bbox" else {"segmentation": mask}
            yield {"category_id": annotation.label, "iscrowd": int(annotation.crowd), "area": area, **shape}


def _mask(annotation: Annotation, frame: ScoredFrame) -> Record | None:
    if annotation.segmentation is None:
        return None
    return truth_mask(annotation, frame.image.height, frame.image.width)


def _results(frame: ScoredFrame, labels: Sequence[int], kind: Kind) -> Iterator[Record]:
    found = frame.found
    if kind != "bbox" and found.masks is None:
        raise ValueError(f"image {frame.image.id}: the detections have no masks to score")
    for row, (label, score) in enumerate(zip(found.labels.tolist(), found.scores.tolist(), strict=True)):
        if label not in labels:
            continue
        if kind == "bbox":
            bbox = box_record(found.boxes[row])
            shape: Record = {"bbox": bbox, "area": bbox[2] * bbox[3]}
        else:
            assert found.masks is not None
            shape = {"segmentation": found.masks[row], "area": float(coco_mask.area(found.masks[row]))}
        yield {"category_id": label, "iscrowd": 0, "score": score, **shape}


def _evaluation(truths: Sequence[Record], results: Sequence[Record], kind: Kind) -> Any:
    measure = _BoundaryEvaluation if kind == "boundary" else COCOeval
    with contextlib.redirect_stdout(io.StringIO()):
        return measure(_index(truths), _index(results), "bbox" if kind == "bbox" else "segm")


class _BoundaryEvaluation(COCOeval):  # type: ignore[misc]  # pycocotools has no types
    """Matches masks by the lower one of mask IoU and boundary IoU."""

    def computeIoU(self, imgId: int, catId: int) -> Any:  # noqa: N802, N803
        """The IoU of each detection with each annotation of a structure in a frame, best score first, [D, G].

        Below the lowest threshold it is the mask IoU: the lower one of both is below it as well, and matches nothing.
        """
        iou = super().computeIoU(imgId, catId)
        if not len(iou):
            return iou
        close = iou >= IOU_THRESHOLDS[0]
        found, wanted = np.flatnonzero(close.any(axis=1)), np.flatnonzero(close.any(axis=0))
        if len(found):
            detections = sorted(self._dts[imgId, catId], key=lambda d: -d["score"])
            bands = [boundary_record(detections[i]["segmentation"]) for i in found]
            truths = [self._gts[imgId, catId][i] for i in wanted]
            their_bands = [boundary_record(truth["segmentation"]) for truth in truths]
            both = np.ix_(found, wanted)
            between = coco_mask.iou(bands, their_bands, [truth["iscrowd"] for truth in truths])
            iou[both] = np.minimum(iou[both], between)
        return iou


def _index(records: Sequence[Record]) -> Any:
    """A COCO object. Ids start at 1: pycocotools takes a match with id 0 for none."""
    indexed = COCO()
    indexed.dataset = {
        # Sizes are looked up for every mask, but used for polygons only.
        "images": [{"id": number, "height": 0, "width": 0} for number in {record["image_id"] for record in records}],
        "categories": [{"id": number} for number in {record["category_id"] for record in records}],
        "annotations": [{**record, "id": number} for number, record in enumerate(records, 1)],
    }
    indexed.createIndex()
    return indexed


def _collect(cells: npt.NDArray[np.object_], order: npt.NDArray[np.int64]) -> Matches:
    """Puts the frames of one structure together.

    Args:
        cells: [A, F] pycocotools' result of each area range and frame; None where there is nothing.
        order: int64 [F], position of each of these frames in the caller's sequence.
    """
    positives = np.zeros(cells.shape, np.int64)
    for area, row in enumerate(cells):
        for place, cell in enumerate(row):
            if cell is not None:
                positives[area, order[place]] = np.count_nonzero(np.asarray(cell["gtIgnore"]) == 0)
    # A frame is empty in all area ranges or in none.
    there = [place for place, cell in enumerate(cells[0]) if cell is not None]
    counts = [len(cells[0, place]["dtScores"]) for place in there]

    def joined(key: str) -> npt.NDArray[np.bool_]:
        nothing = np.zeros((len(IOU_THRESHOLDS), 0), np.bool_)
        rows = [np.concatenate([nothing, *(row[place][key] for place in there)], axis=1) for row in cells]
        return np.stack(rows).astype(np.bool_)

    return Matches(
        scores=np.array([score for place in there for score in cells[0, place]["dtScores"]], np.float64),
        frames=np.repeat(order[there], counts) if there else np.empty(0, np.int64),
        matched=joined("dtMatches"),
        ignored=joined("dtIgnore"),
        positives=positives,
    )
