"""95 % Hausdorff distance, worked out on paper."""

from __future__ import annotations

import math

import numpy as np
import pytest

from evaluation.handmade_frames import Mask, rectangle
from fetalseg.evaluation.hausdorff import hausdorff95

SQUARE = rectangle((10, 10, 30, 30))


def pixels(*places: tuple[int, int]) -> Mask:
    """A mask of single pixels (row, column)."""
    mask = np.zeros((100, 120), np.bool_)
    for place in places:
        mask[place] = True
    return mask


def test_equal_masks_have_no_distance() -> None:
    assert hausdorff95(SQUARE, SQUARE) == 0


def test_two_pixels_are_their_centres_apart_in_px_and_in_mm() -> None:
    one, other = pixels((10, 10)), pixels((13, 14))
    assert hausdorff95(one, other) == pytest.approx(5)
    assert hausdorff95(one, other, (0.1, 0.1)) == pytest.approx(0.5)
    assert hausdorff95(one, other, (4.0, 1.25)) == pytest.approx(13)  # 12 mm down, 5 mm across


@pytest.mark.parametrize("spacing", [(1.0, 1.0), (0.5, 0.25)])
def test_a_moved_square_is_apart_by_its_move(spacing: tuple[float, float]) -> None:
    # Moved three columns: 34 of the 76 pixels of either outline lie three columns off, more than the 5 % cut away.
    moved = rectangle((13, 10, 33, 30))
    assert hausdorff95(SQUARE, moved, spacing) == pytest.approx(3 * spacing[1])
    assert hausdorff95(moved, SQUARE, spacing) == pytest.approx(3 * spacing[1])
    lower = rectangle((10, 13, 30, 33))
    assert hausdorff95(SQUARE, lower, spacing) == pytest.approx(3 * spacing[0])


def test_the_percentile_is_taken_of_each_direction() -> None:
    # 19 pixels in a row, and the same with one 40 px off: 19 distances of 0 one way; 19 of 0 and one of 40 the other,
    # whose 95th percentile lies at place 0.95 * 19 = 18.05, a twentieth of the way from 0 to 40.
    line = pixels(*[(5, column) for column in range(19)])
    with_stray = line | pixels((45, 3))
    assert hausdorff95(line, with_stray) == pytest.approx(2)
    assert hausdorff95(with_stray, line) == pytest.approx(2)
    assert hausdorff95(line, with_stray, (0.5, 0.25)) == pytest.approx(1)


def test_both_ways_of_computing_give_the_same() -> None:
    generator = np.random.default_rng(3)
    for _ in range(5):
        first, second = (generator.random((40, 50)) > 0.97 for _ in range(2))
        expected = hausdorff95(first, second, (0.3, 0.3))
        assert hausdorff95(first, second, (0.3, 0.3 + 1e-12)) == pytest.approx(expected, abs=1e-5)


def test_a_mask_at_the_edge_of_the_frame_has_its_outline_there() -> None:
    # The whole frame against its left half: the right edge is 60 columns off for 100 of its 436 pixels of outline.
    assert hausdorff95(rectangle((0, 0, 120, 100)), rectangle((0, 0, 60, 100))) == pytest.approx(60)


def test_an_empty_mask_has_no_distance() -> None:
    assert hausdorff95(SQUARE, pixels()) is None
    assert hausdorff95(pixels(), pixels()) is None


def test_masks_of_two_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"masks of two sizes, \(100, 120\) and \(10, 12\)"):
        hausdorff95(SQUARE, np.zeros((10, 12), np.bool_))


def test_a_distance_is_the_root_of_a_whole_number_to_the_last_bit() -> None:
    assert hausdorff95(pixels((10, 10)), pixels((40, 71))) == math.sqrt(30**2 + 61**2)
