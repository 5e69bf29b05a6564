"""Where segmentations lie and whether rings cross themselves, on shapes drawn by hand."""

import math

import numpy as np
import pytest

from fetalseg.data.segmentation import crossing, extent_of_rings, extent_of_runs, ring_area, thickness
from fetalseg.encoding import run_lengths


def runs_of(mask):
    return run_lengths(mask, corner=(0, 0), frame_shape=mask.shape)


def test_the_extent_of_runs_is_the_box_around_the_pixels():
    mask = np.zeros((8, 10), np.bool_)
    mask[2:5, 3:7] = True

    assert extent_of_runs(runs_of(mask), 8) == (3, 2, 7, 5)


def test_a_run_that_goes_on_in_the_next_column_reaches_from_edge_to_edge():
    mask = np.zeros((4, 6), np.bool_)
    mask[2:, 1] = mask[:2, 2] = True  # one run of four pixels

    assert extent_of_runs(runs_of(mask), 4) == (1, 0, 3, 4)


def test_runs_without_foreground_have_no_extent():
    assert extent_of_runs(np.array([24]), 4) is None
    assert extent_of_runs(np.array([12, 0, 12]), 4) is None


@pytest.mark.parametrize("seed", range(5))
def test_the_extent_of_any_mask_is_that_of_its_pixels(seed):
    mask = np.random.default_rng(seed).random((9, 7)) < 0.1
    ys, xs = np.nonzero(mask)

    assert extent_of_runs(runs_of(mask), 9) == (xs.min(), ys.min(), xs.max() + 1, ys.max() + 1)


def test_the_extent_of_rings_covers_all_of_them():
    assert extent_of_rings([[1, 2, 5, 2, 5, 6], [4, 0.5, 9, 3, 4, 3]]) == (1, 0.5, 9, 6)


def test_the_area_of_a_ring_is_that_inside():
    assert ring_area([0, 0, 4, 0, 4, 3]) == 6
    assert ring_area([0, 3, 4, 3, 4, 0, 0, 0]) == 12
    assert ring_area([0, 0, 2, 2, 5, 5]) == 0


def test_the_thickness_of_a_band_is_its_width_and_of_a_line_nothing():
    assert thickness([0, 0, 1000, 0, 1000, 2, 0, 2]) == pytest.approx(2, rel=0.01)
    assert thickness([0, 0, 2, 2, 5, 5]) == 0
    assert thickness([1, 1, 1, 1, 1, 1]) == 0


def test_a_bow_tie_crosses_itself_in_its_middle():
    assert crossing([0, 0, 10, 10, 10, 0, 0, 10]) == pytest.approx((5, 5))


def test_a_star_drawn_in_one_stroke_crosses_itself():
    corners = [(math.cos(2 * math.pi * k / 5), math.sin(2 * math.pi * k / 5)) for k in (0, 2, 4, 1, 3)]

    point = crossing([value for corner in corners for value in corner])

    assert point is not None
    # The inner corners of a pentagram lie on a circle of 1 / golden ratio squared.
    assert math.hypot(*point) == pytest.approx(0.381966, abs=1e-5)


@pytest.mark.parametrize(
    "ring",
    [
        [0, 0, 4, 0, 4, 4, 0, 4],
        [0, 0, 4, 0, 4, 4, 0, 4, 0, 0],  # closed by hand
        [0, 0, 6, 0, 6, 6, 4, 6, 4, 2, 2, 2, 2, 6, 0, 6],  # an arch
        [0, 0, 2, 0, 2, 2, 4, 2, 4, 4, 2, 4, 2, 2, 0, 2],  # two pixels that meet at a corner
        [0, 0, 5, 0, 5, 0, 5, 5, 0, 5],  # a point twice
        [0, 0, 4, 0, 2, 0, 2, 3],  # an edge that runs back on itself
    ],
)
def test_a_ring_that_only_touches_itself_does_not_cross(ring):
    assert crossing(ring) is None


def test_an_outline_of_many_points_crosses_only_where_it_was_made_to():
    angle = np.linspace(0, 2 * np.pi, 3000, endpoint=False)
    ring = np.stack([300 + 200 * np.cos(angle), 200 + 90 * np.sin(angle)], 1)

    assert crossing(ring.ravel().tolist()) is None
    ring[[700, 701]] = ring[[701, 700]]
    x, y = crossing(ring.ravel().tolist())
    assert math.hypot(x - ring[700, 0], y - ring[700, 1]) < 1
