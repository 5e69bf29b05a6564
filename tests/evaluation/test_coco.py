"""Masks and boxes in COCO's form."""

from __future__ import annotations

import numpy as np
import pycocotools.mask as coco_mask
import pytest

from fetalseg.data.records import Annotation
from fetalseg.errors import DataError
from fetalseg.evaluation.coco import mask_iou, mask_record, truth_mask
from fetalseg.evaluation.scored_frames import Detections


def annotation(segmentation: object) -> Annotation:
    return Annotation(id=5, label=0, bbox=(1, 1, 2, 2), segmentation=segmentation, crowd=False)  # type: ignore[arg-type]


SQUARE = np.zeros((4, 6), np.uint8, order="F")
SQUARE[1:3, 2:4] = 1  # down the columns: 9 background, 2 square, 2 background, 2 square, 9 background


@pytest.mark.parametrize(
    "segmentation",
    [
        {"size": [4, 6], "counts": [9, 2, 2, 2, 9]},
        {"size": [4, 6], "counts": coco_mask.encode(SQUARE)["counts"]},
        {"size": [4, 6], "counts": coco_mask.encode(SQUARE)["counts"].decode()},
        [[2, 1, 4, 1, 4, 3, 2, 3]],
    ],
    ids=["run lengths", "compressed bytes", "compressed text", "polygon"],
)
def test_every_form_of_segmentation_is_read(segmentation: object) -> None:
    assert truth_mask(annotation(segmentation), 4, 6) == coco_mask.encode(SQUARE)


@pytest.mark.parametrize(
    "segmentation",
    [{"size": [4, 6], "counts": [24]}, [[2, 1, 2, 1, 2, 1]]],
    ids=["run lengths", "polygon"],
)
def test_a_segmentation_without_a_pixel_names_its_annotation(segmentation: object) -> None:
    with pytest.raises(DataError, match="annotation 5: the segmentation covers no pixel"):
        truth_mask(annotation(segmentation), 4, 6)


def test_runs_that_do_not_add_up_never_reach_pycocotools() -> None:
    with pytest.raises(ValueError, match="RLE covers 11 pixels, expected 4 x 6 = 24"):
        truth_mask(annotation({"size": [4, 6], "counts": [9, 2]}), 4, 6)


def test_a_mask_may_cover_no_pixel_where_it_is_no_ground_truth() -> None:
    assert coco_mask.area(mask_record({"size": [4, 6], "counts": [24]}, 4, 6)) == 0


def test_a_box_is_written_with_its_size() -> None:
    boxes = np.array([[1.0, 2.0, 4.0, 8.0], [0.0, 0.0, 1.5, 1.0]])
    assert Detections(np.array([0, 1]), np.array([0.9, 0.8]), boxes, None).coco_boxes == [[1, 2, 3, 6], [0, 0, 1.5, 1]]


def test_iou_of_masks_is_intersection_over_union() -> None:
    shifted = np.roll(SQUARE, 1, axis=1)
    found, truths = coco_mask.encode(SQUARE), [coco_mask.encode(np.asfortranarray(m)) for m in (SQUARE, shifted)]
    assert mask_iou(found, truths) == pytest.approx([1.0, 2 / 6])
