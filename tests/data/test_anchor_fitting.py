from dataclasses import replace

import numpy as np
import pytest
import torch

from fetalseg.data.anchor_fitting import PlacedShape, arrange, fit_shapes, shape_iou
from fetalseg.model.anchors import anchor_grid, best_overlap
from fetalseg.model.variants import AnchorShape, variant


def test_iou_of_shapes_around_one_centre():
    # Common 10 x 5 = 50 of 100 + 100 - 50.
    assert shape_iou(np.array([[10, 10]]), np.array([[20, 5], [10, 10]])).tolist() == [[pytest.approx(1 / 3), 1.0]]


def test_two_groups_of_boxes_give_their_medians():
    sizes = np.array([[100, 20], [10, 10], [120, 20], [10, 10], [12, 10], [100, 20]])

    fit = fit_shapes(sizes, 2)

    assert fit.shapes.tolist() == [[10, 10], [100, 20]]
    # Four boxes fit exactly; 12 x 10 by 100 / 120 and 120 x 20 by 2000 / 2400.
    assert fit.mean_iou == pytest.approx((4 + 2 * 5 / 6) / 6)
    assert fit.matched == 1


def test_the_share_of_matched_boxes_counts_those_with_half_an_overlap():
    fit = fit_shapes(np.array([[10.0, 10], [10, 10], [10, 30]]), 1)

    # The median is 10 x 10; the third box overlaps it by 100 / 300.
    assert fit.shapes.tolist() == [[10, 10]]
    assert fit.matched == pytest.approx(2 / 3)
    assert fit.mean_iou == pytest.approx((1 + 1 + 1 / 3) / 3)


def test_small_boxes_get_shapes_though_large_ones_differ_by_more_pixels():
    # The large boxes are 60 px apart with IoU 0.77, the small ones 30 px with IoU 0.25.
    sizes = np.array([[10, 10], [40, 10], [200, 200], [260, 200]])

    assert fit_shapes(sizes, 3).shapes[:2].tolist() == [[10, 10], [40, 10]]


def test_as_many_shapes_as_different_boxes_fit_perfectly():
    sizes = np.random.default_rng(0).uniform(2, 200, (12, 2))

    fit = fit_shapes(np.repeat(sizes, 3, axis=0), 12)

    assert fit.mean_iou == pytest.approx(1)
    assert (np.diff(fit.shapes.prod(axis=1)) > 0).all()


def test_the_seed_decides_and_the_boxes_are_left_alone():
    sizes = np.random.default_rng(1).lognormal(3, 1, (300, 2))
    before = sizes.copy()

    first, second = fit_shapes(sizes, 5, seed=3), fit_shapes(sizes, 5, seed=3)

    assert np.array_equal(first.shapes, second.shapes)
    assert np.array_equal(sizes, before)


def test_more_shapes_fit_better():
    sizes = np.random.default_rng(2).lognormal(3, 1, (400, 2))

    figures = [fit_shapes(sizes, count).mean_iou for count in (1, 3, 9, 27)]

    assert figures == sorted(figures)
    assert figures[-1] > figures[0] + 0.2


@pytest.mark.parametrize(
    ("sizes", "count", "message"),
    [
        (np.ones((0, 2)), 1, "expected 1 to 0 shapes for 0 different boxes, got 1"),
        (np.ones((5, 2)), 2, "expected 1 to 1 shapes for 1 different boxes, got 2"),
        (np.ones((5, 2)), 0, "got 0"),
        (np.ones((5, 4)), 1, r"expected sizes \[N, 2\] of width and height, got \[5, 4\]"),
        (np.array([[3.0, 0.0]]), 1, "expected finite widths and heights above 0"),
        (np.array([[3.0, np.nan]]), 1, "expected finite widths and heights above 0"),
    ],
)
def test_what_cannot_be_fitted_is_refused(sizes, count, message):
    with pytest.raises(ValueError, match=message):
        fit_shapes(sizes, count)


def test_shapes_go_to_the_coarsest_level_that_does_not_lose_them():
    placed = arrange(np.array([[48, 48], [171, 22], [18, 6]]), (8, 16, 32))

    assert placed == (
        # Half a stride off both ways: 16 px leave (5/6)^2 = 25/36, IoU 25 / 47; 32 px leave 4/9, IoU 4 / 14.
        PlacedShape(level=1, width=48, height=48, columns=1, rows=1),
        # 16 px: 163/171 * 14/22 = 0.607, IoU 0.44; 32 px: 155/171 * 6/22 = 0.247, IoU 0.14.
        PlacedShape(level=1, width=171, height=22, columns=1, rows=1),
        # 8 px: 14/18 * 2/6, IoU 0.15; two rows 14/18 * 4/6, IoU 14 / 40; three rows (7/9)^2, IoU 49 / 113 = 0.43.
        PlacedShape(level=0, width=18, height=6, columns=1, rows=3),
    )


def test_a_tiny_shape_does_not_ask_for_endless_copies():
    (placed,) = arrange(np.array([[1.0, 1.0]]), (8,))

    assert placed.columns * placed.rows == 16


def test_arranged_shapes_match_boxes_wherever_they_lie():
    shapes = np.array([[18, 6], [95, 14], [30, 30], [110, 70], [60, 25]])
    levels: list[list[AnchorShape]] = [[], [], []]
    for level, width, height, columns, rows in arrange(shapes, (8, 16, 32)):
        levels[level].append(AnchorShape(width, height, columns, rows))
    anchors = anchor_grid(replace(variant("fetalseg-s"), anchors=tuple(tuple(level) for level in levels)))

    generator = torch.Generator().manual_seed(0)
    size = torch.tensor(shapes, dtype=torch.float32).repeat(40, 1)
    corner = torch.rand(len(size), 2, generator=generator) * (torch.tensor([416.0, 288.0]) - size)

    # A box at the frame's edge has its centre inside the outermost places, as any other.
    assert best_overlap(torch.cat([corner, corner + size], dim=1), anchors).min() >= 0.4
