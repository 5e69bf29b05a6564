"""Boxes as a network sees them."""

import numpy as np
import pytest

from fetalseg.data.box_sizes import input_boxes
from fetalseg.data.coco import read_coco
from fetalseg.preprocess import InputRule


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        # 60 x 40 becomes 120 x 80 with 10 rows of padding above and below.
        (InputRule(height=100, width=120, channels=1), [[40, 30, 80, 70], [10, 20, 70, 32], [20, 30, 36, 38]]),
        (
            InputRule(height=80, width=180, channels=1, resize="stretch"),
            [[60, 20, 120, 60], [15, 10, 105, 22], [30, 20, 54, 28]],
        ),
    ],
    ids=["letterbox", "stretch"],
)
def test_boxes_move_with_the_frame(write_set, content, rule, expected):
    found = input_boxes([read_coco(write_set(content))], rule)

    np.testing.assert_allclose(found.boxes, expected)
    assert found.names.tolist() == ["cranium", "nuchal_translucency", "nasal_bone"]
    np.testing.assert_allclose(found.sizes, np.array(expected)[:, 2:] - np.array(expected)[:, :2])


def test_crowds_and_boxes_beyond_the_edge_are_left_out(write_set, content):
    content["annotations"][1]["iscrowd"] = 1
    content["annotations"][2] |= {"bbox": [60, 10, 1, 4], "segmentation": None}

    found = input_boxes([read_coco(write_set(content))], InputRule(height=40, width=60, channels=1))

    assert found.names.tolist() == ["cranium"]


def test_no_boxes_are_an_empty_array():
    assert input_boxes([], InputRule(height=40, width=60, channels=1)).sizes.shape == (0, 2)
