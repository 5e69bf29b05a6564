"""Matching by pycocotools itself: the reference that the search in `fetalseg.evaluation.matches` is held against."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator, Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from fetalseg.data.records import CocoSet
from fetalseg.errors import MissingExtraError
from fetalseg.evaluation.coco import Record, truth_mask
from fetalseg.evaluation.matches import AREA_RANGES, AREAS, IOU_THRESHOLDS, Matches, is_scored
from fetalseg.evaluation.scored_frames import MAX_DETECTIONS, ScoredFrame

try:
    import pycocotools.mask as coco_mask
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval
except ModuleNotFoundError:
    raise MissingExtraError("pycocotools", "eval") from None

__all__ = ["match_by_reference"]


def match_by_reference(
    frames: Sequence[ScoredFrame], truth: CocoSet, kind: Literal["bbox", "segm"]
) -> dict[int, Matches]:
    """What `match_all` finds, found by `COCOeval.evaluate`; arguments, result and errors are the same.

    pycocotools knows no boundary IoU.
    """
    labels = sorted(truth.category_ids)
    order = sorted(range(len(frames)), key=lambda position: frames[position].image.id)
    # To pycocotools an image's id is its place in `order`, a category's id the label.
    truths: list[Record] = []
    results: list[Record] = []
    for place, position in enumerate(order):
        scored = [label for label in labels if is_scored(frames[position], label, kind)]
        truths += [{"image_id": place, **record} for record in _truths(frames[position], scored, kind)]
        results += [{"image_id": place, **record} for record in _results(frames[position], scored, kind)]
    with contextlib.redirect_stdout(io.StringIO()):  # pycocotools prints its progress
        evaluation = COCOeval(_index(truths), _index(results), kind)
        evaluation.params.imgIds = list(range(len(frames)))
        evaluation.params.catIds = labels
        evaluation.params.areaRng = [list(limits) for limits in AREA_RANGES]
        evaluation.params.areaRngLbl = list(AREAS)
        evaluation.params.maxDets = [MAX_DETECTIONS]
        evaluation.evaluate()
    cells = np.empty((len(labels), len(AREAS), len(frames)), object)
    cells.ravel()[:] = evaluation.evalImgs
    return {label: _collect(cells[k], np.array(order, np.int64)) for k, label in enumerate(labels)}


def _truths(frame: ScoredFrame, labels: Sequence[int], kind: str) -> Iterator[Record]:
    for annotation in frame.image.annotations:
        if annotation.label not in labels:
            continue
        x, y, width, height = annotation.bbox
        mask = None
        if annotation.segmentation is not None:
            mask = truth_mask(annotation, frame.image.height, frame.image.width)
        area = width * height if mask is None else float(coco_mask.area(mask))
        shape = {"bbox": [x, y, width, height]} if kind == "bbox" else {"segmentation": mask}
        yield {"category_id": annotation.label, "iscrowd": int(annotation.crowd), "area": area, **shape}


def _results(frame: ScoredFrame, labels: Sequence[int], kind: str) -> Iterator[Record]:
    found = frame.found
    if kind == "segm" and found.masks is None:
        raise ValueError(f"image {frame.image.id}: the detections have no masks to score")
    for row, (label, score) in enumerate(zip(found.labels.tolist(), found.scores.tolist(), strict=True)):
        if label not in labels:
            continue
        if kind == "bbox":
            bbox = found.coco_boxes[row]
            shape: Record = {"bbox": bbox, "area": bbox[2] * bbox[3]}
        else:
            assert found.masks is not None
            shape = {"segmentation": found.masks[row], "area": float(coco_mask.area(found.masks[row]))}
        yield {"category_id": label, "iscrowd": 0, "score": score, **shape}


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
