"""Average precision of boxes and masks by pycocotools: 101 recall points, 100 detections a frame, all areas."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from fetalseg.data.records import Annotation
from fetalseg.encoding import decode_runs
from fetalseg.errors import DataError, MissingExtraError

try:
    import pycocotools.mask as coco_mask
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval
except ModuleNotFoundError:
    raise MissingExtraError("pycocotools", "eval") from None

__all__ = [
    "MAX_DETECTIONS",
    "AveragePrecision",
    "Record",
    "average_precision",
    "box_record",
    "mask_iou",
    "mean_precision",
    "truth_mask",
]

MAX_DETECTIONS = 100  # of a frame

Record = dict[str, Any]  # one annotation or result in COCO's form
_ALL_AREAS = [0, 1e10]  # px


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


def average_precision(
    truths: Sequence[Record], results: Sequence[Record], kind: Literal["bbox", "segm"]
) -> dict[int, AveragePrecision]:
    """Scores results against ground truth, category by category.

    Args:
        truths: COCO annotations with `image_id`, `category_id`, `iscrowd` and `bbox` or `segmentation` (RLE).
        results: COCO results, with `score`.
        kind: "bbox" or "segm".

    Returns:
        By category id, for the categories that have ground truth besides crowds.
    """
    support: dict[int, int] = {}
    for truth in truths:
        if not truth["iscrowd"]:
            support[truth["category_id"]] = support.get(truth["category_id"], 0) + 1
    if not support:
        return {}
    image_ids = sorted({record["image_id"] for record in (*truths, *results)})
    with contextlib.redirect_stdout(io.StringIO()):  # pycocotools prints its progress
        evaluation = COCOeval(_index(truths, kind), _index(results, kind), kind)
        evaluation.params.imgIds = image_ids
        evaluation.params.catIds = sorted(support)
        evaluation.params.areaRng = [_ALL_AREAS]
        evaluation.params.areaRngLbl = ["all"]
        evaluation.params.maxDets = [MAX_DETECTIONS]
        evaluation.evaluate()
        evaluation.accumulate()
    # [threshold, recall point, category]
    precision: npt.NDArray[np.float64] = evaluation.eval["precision"][:, :, :, 0, 0]
    at75 = int(np.flatnonzero(np.isclose(evaluation.params.iouThrs, 0.75))[0])
    return {
        category: AveragePrecision(
            ap=float(precision[:, :, k].mean()),
            ap50=float(precision[0, :, k].mean()),
            ap75=float(precision[at75, :, k].mean()),
            n=support[category],
        )
        for k, category in enumerate(sorted(support))
    }


def mean_precision(figures: Iterable[AveragePrecision]) -> AveragePrecision:
    """The mean over the structures that have figures."""
    rows = [(f.ap, f.ap50, f.ap75) for f in figures if f.ap is not None]
    if not rows:
        return AveragePrecision(None, None, None, 0)
    ap, ap50, ap75 = np.asarray(rows, np.float64).mean(axis=0).tolist()
    return AveragePrecision(ap, ap50, ap75, len(rows))


def truth_mask(annotation: Annotation, height: int, width: int) -> Record:
    """The segmentation of an annotation as compressed RLE; polygons are filled by the rules of pycocotools.

    Raises:
        DataError: it covers no pixel.
    """
    written = annotation.segmentation
    assert written is not None
    if isinstance(written, list):
        rle: Record = coco_mask.merge(coco_mask.frPyObjects(written, height, width))
    else:
        # pycocotools trusts the runs: where they don't add up it reads foreign memory or never returns.
        runs = decode_runs(written["counts"], (height, width))
        rle = coco_mask.frPyObjects({"size": [height, width], "counts": runs.tolist()}, height, width)
    if coco_mask.area(rle) == 0:
        raise DataError(f"annotation {annotation.id}: the segmentation covers no pixel")
    return rle


def box_record(box: npt.NDArray[np.floating[Any]]) -> list[float]:
    """A box [4] xyxy as COCO writes it: x, y, width, height."""
    x1, y1, x2, y2 = box.tolist()
    return [x1, y1, x2 - x1, y2 - y1]


def mask_iou(found: Mapping[str, object], truths: Sequence[Record]) -> npt.NDArray[np.float64]:
    """IoU of one RLE mask with each of several, [M]."""
    iou: npt.NDArray[np.float64] = coco_mask.iou([found], list(truths), [0] * len(truths))[0]
    return iou


def _index(records: Sequence[Record], kind: Literal["bbox", "segm"]) -> Any:
    """A COCO object. Ids start at 1: pycocotools takes a match with id 0 for none."""
    indexed = COCO()
    annotations = [
        {"iscrowd": 0, **record, "id": number, "area": _area(record, kind)} for number, record in enumerate(records, 1)
    ]
    indexed.dataset = {
        # Sizes are looked up for every mask, but used for polygons only.
        "images": [{"id": number, "height": 0, "width": 0} for number in {record["image_id"] for record in records}],
        "categories": [{"id": number} for number in {record["category_id"] for record in records}],
        "annotations": annotations,
    }
    indexed.createIndex()
    return indexed


def _area(record: Record, kind: Literal["bbox", "segm"]) -> float:
    if kind == "segm":
        return float(coco_mask.area(record["segmentation"]))
    return float(record["bbox"][2] * record["bbox"][3])
