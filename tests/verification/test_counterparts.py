"""Which instance is which, and how alike masks are."""

from __future__ import annotations

import numpy as np
import pytest

from fetalseg.verification.counterparts import counterparts, mask_iou
from verification.hand_made import CRANIUM, HEART, instances

SQUARE = np.ones((4, 4), np.bool_)


@pytest.mark.parametrize(
    ("corner", "iou"),
    [((10, 10), 1.0), ((12, 10), 8 / 24), ((13, 13), 1 / 31), ((14, 10), 0.0), ((50, 50), 0.0)],
)
def test_masks_are_compared_where_they_lie_in_the_frame(corner: tuple[int, int], iou: float) -> None:
    here = np.array([10, 10, 14, 14])
    there = np.array([*corner, corner[0] + 4, corner[1] + 4])
    assert mask_iou(SQUARE, here, SQUARE, there) == pytest.approx(iou)


def test_two_empty_masks_are_the_same_and_an_empty_one_is_not_a_full_one() -> None:
    box = np.array([10, 10, 14, 14])
    empty = np.zeros((4, 4), np.bool_)
    assert mask_iou(empty, box, empty, box) == 1
    assert mask_iou(empty, box, SQUARE, box) == 0


def test_a_counterpart_is_of_the_same_structure() -> None:
    found = instances((CRANIUM, 0.9, (0, 0, 10, 10)))
    among = instances((HEART, 0.9, (0, 0, 10, 10)), (CRANIUM, 0.8, (1, 0, 11, 10)))
    pairs = counterparts(found, among)
    assert pairs.rows.tolist() == [1]
    assert pairs.scores.tolist() == pytest.approx([0.1])
    assert pairs.boxes.tolist() == [1]


def test_of_neighbouring_anchors_the_one_with_the_score_is_the_counterpart() -> None:
    found = instances((CRANIUM, 0.6, (0, 0, 100, 100)))
    nearer_box, same_anchor = (CRANIUM, 0.2, (0, 0, 100, 99)), (CRANIUM, 0.59, (0, 0, 100, 97))
    assert counterparts(found, instances(nearer_box, same_anchor)).rows.tolist() == [1]


def test_a_box_that_overlaps_by_less_than_half_is_no_counterpart() -> None:
    found = instances((CRANIUM, 0.9, (0, 0, 10, 10)))
    assert counterparts(found, instances((CRANIUM, 0.9, (0, 0, 10, 21)))).rows.tolist() == [-1]
    assert counterparts(found, instances((CRANIUM, 0.9, (0, 0, 10, 20)))).rows.tolist() == [0]


def test_nothing_has_no_counterpart() -> None:
    something = instances((CRANIUM, 0.9, (0, 0, 10, 10)))
    assert counterparts(something, instances()).rows.tolist() == [-1]
    assert counterparts(instances(), something).rows.tolist() == []
