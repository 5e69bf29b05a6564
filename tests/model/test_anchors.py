import math
from dataclasses import replace

import pytest
import torch

from fetalseg.model.anchors import anchor_grid, best_overlap, decode, encode, to_corners
from fetalseg.model.variants import AnchorShape, variant
from fetalseg.preprocess import InputRule

COARSE = (AnchorShape(32, 32),)


def finest_level(height, width, *shapes):
    """The anchors of P3 for an input of height x width px."""
    rule = InputRule(height=height, width=width, channels=1)
    small = replace(variant("fetalseg-test"), input=rule, anchors=(shapes, COARSE, COARSE))
    rows, columns = small.level_shapes[0]
    return anchor_grid(small)[: rows * columns * small.anchors_per_place[0]]


def test_the_only_place_of_a_grid_is_the_middle_of_the_input():
    assert finest_level(8, 8, AnchorShape(6, 3)).tolist() == [[4, 4, 6, 3]]


def test_places_come_row_by_row_and_shapes_within_a_place():
    grid = finest_level(16, 16, AnchorShape(6, 3), AnchorShape(5, 5))
    assert grid[:, :2].tolist() == [[4, 4], [4, 4], [12, 4], [12, 4], [4, 12], [4, 12], [12, 12], [12, 12]]
    assert grid[:, 2:].tolist() == [[6, 3], [5, 5]] * 4


def test_rows_and_columns_divide_a_place_evenly():
    grid = finest_level(8, 8, AnchorShape(4, 2, columns=2, rows=2))
    assert grid[:, :2].tolist() == [[2, 2], [6, 2], [2, 6], [6, 6]]


def test_the_reference_has_the_published_anchors():
    grid = anchor_grid(variant("yolact-r50"))
    assert grid.shape == (19248, 4)  # 3 * (69^2 + 35^2 + 18^2 + 9^2 + 5^2)
    centre = 0.5 / 69 * 550
    expected = [[centre, centre, side, side] for side in (24, 24 / math.sqrt(2), 24 * math.sqrt(2))]
    torch.testing.assert_close(grid[:3], torch.tensor(expected))
    # The last place is the last of P7, 5 x 5.
    torch.testing.assert_close(grid[-1], torch.tensor([495, 495, 384 * math.sqrt(2), 384 * math.sqrt(2)]))


def test_no_offset_gives_the_anchor():
    anchors = torch.tensor([[10.0, 20.0, 4.0, 8.0]])
    assert decode(torch.zeros(1, 4), anchors).tolist() == [[8, 16, 12, 24]]
    assert to_corners(anchors).tolist() == [[8, 16, 12, 24]]


def test_offsets_are_scaled_by_size_and_variance():
    # centre (10 + 1 * 0.1 * 4, 20 - 1 * 0.1 * 8) = (10.4, 19.2); width 4, height 8 * e^(0.2 * ln 2 / 0.2) = 16
    deltas = torch.tensor([[1.0, -1.0, 0.0, math.log(2) / 0.2]])
    boxes = decode(deltas, torch.tensor([[10.0, 20.0, 4.0, 8.0]]))
    torch.testing.assert_close(boxes, torch.tensor([[8.4, 11.2, 12.4, 27.2]]))


def test_encode_undoes_decode():
    generator = torch.Generator().manual_seed(0)
    anchors = anchor_grid(variant("fetalseg-test"))
    deltas = torch.randn(2, len(anchors), 4, generator=generator)
    torch.testing.assert_close(encode(decode(deltas, anchors), anchors), deltas, atol=1e-4, rtol=1e-4)


def test_best_overlap_is_the_iou_with_the_nearest_anchor():
    anchors = torch.tensor([[5.0, 5.0, 10.0, 10.0], [100.0, 100.0, 10.0, 10.0]])
    boxes = torch.tensor([[0.0, 0.0, 10.0, 10.0], [0.0, 0.0, 10.0, 5.0], [40.0, 40.0, 50.0, 50.0]])
    assert best_overlap(boxes, anchors).tolist() == [1, 0.5, 0]


@pytest.mark.parametrize(
    ("structure", "width", "height"),
    [("nuchal translucency", 159, 20), ("nasal bone", 22, 7), ("palate", 59, 38), ("cranium", 238, 193)],
)
def test_boxes_of_median_size_on_real_frames_find_an_anchor_of_the_default_model_wherever_they_lie(
    structure, width, height
):
    # Medians of the boxes at the scale of the input; every offset against the grid of stride 8 in steps of 2 px.
    steps = torch.cartesian_prod(torch.arange(120, 136, 2), torch.arange(96, 112, 2)).float()
    size = torch.tensor([width / 2, height / 2])
    overlap = best_overlap(torch.cat([steps - size + 40, steps + size + 40], dim=1), anchor_grid(variant("fetalseg-s")))
    assert overlap.min() >= 0.5, structure
