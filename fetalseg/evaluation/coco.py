"""Masks in COCO's form, by pycocotools, which defines how polygons are filled and IoU is counted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from fetalseg.data.records import Annotation
from fetalseg.encoding import decode_runs
from fetalseg.errors import DataError, MissingExtraError

try:
    import pycocotools.mask as coco_mask
except ModuleNotFoundError:
    raise MissingExtraError("pycocotools", "eval") from None

__all__ = ["Record", "mask_box", "mask_iou", "mask_record", "truth_mask"]

Record = dict[str, Any]  # one annotation or result, or one mask, in COCO's form


def mask_record(written: Mapping[str, Any] | list[list[float]], height: int, width: int) -> Record:
    """A segmentation of a whole image as compressed RLE; polygons are filled by the rules of pycocotools.

    Args:
        written: polygons of three points at least each, or run lengths with `counts`.
        height: px.
        width: px.

    Raises:
        ValueError: the run lengths are malformed or don't add up.
    """
    if isinstance(written, list):
        filled: Record = coco_mask.merge(coco_mask.frPyObjects(written, height, width))
        return filled
    # pycocotools trusts the runs: where they don't add up it reads foreign memory or never returns.
    counts = written["counts"]
    if isinstance(counts, (str, bytes)):
        return {"size": [height, width], "counts": _checked(counts, height, width)}
    runs = decode_runs(counts, (height, width)).tolist()
    packed: Record = coco_mask.frPyObjects({"size": [height, width], "counts": runs}, height, width)
    return packed


@lru_cache(maxsize=1 << 16)  # an evaluation asks for each annotation by box, by mask, and for its errors
def _checked(counts: str | bytes, height: int, width: int) -> bytes:
    """Compressed run lengths that add up to an image of this size."""
    decode_runs(counts, (height, width))
    return counts.encode() if isinstance(counts, str) else counts


def truth_mask(annotation: Annotation, height: int, width: int) -> Record:
    """The segmentation of an annotation as compressed RLE; it must have one.

    Raises:
        DataError: it covers no pixel.
        ValueError: as of `mask_record`.
    """
    assert annotation.segmentation is not None
    rle = mask_record(annotation.segmentation, height, width)
    if coco_mask.area(rle) == 0:
        raise DataError(f"annotation {annotation.id}: the segmentation covers no pixel")
    return rle


def mask_box(mask: Mapping[str, object]) -> tuple[float, float, float, float]:
    """The box around an RLE mask: x, y, width, height; zeros around nothing."""
    x, y, width, height = coco_mask.toBbox(mask).tolist()
    return x, y, width, height


def mask_iou(found: Mapping[str, object], truths: Sequence[Record]) -> npt.NDArray[np.float64]:
    """IoU of one RLE mask with each of several, [M]."""
    iou: npt.NDArray[np.float64] = coco_mask.iou([found], list(truths), [0] * len(truths))[0]
    return iou
