"""Which tolerance holds for whom."""

from __future__ import annotations

import itertools

import pytest

from fetalseg.verification.figures import one_detection
from fetalseg.verification.tolerances import PRECISIONS, TOLERANCES, limits_for


def test_the_coarsest_precision_decides() -> None:
    assert limits_for(["fp32", "fp32"], 1.0) == ("fp32", TOLERANCES["fp32"])
    assert limits_for(["fp32", "bf16", "fp16"], 1.0)[0] == "bf16"
    assert limits_for(["int8", "bf16"], 1.0)[0] == "int8"


def test_a_box_may_differ_by_more_px_in_a_larger_frame() -> None:
    _, limits = limits_for(["bf16"], 2.5)
    assert limits.box_px == pytest.approx(2.5 * TOLERANCES["bf16"].box_px)
    assert limits.usual_box_px == pytest.approx(2.5 * TOLERANCES["bf16"].usual_box_px)
    assert limits.score == TOLERANCES["bf16"].score


def test_a_precision_that_nothing_is_known_of_is_refused() -> None:
    with pytest.raises(ValueError, match="no tolerance for precision fp8; there is one for fp32, fp16, bf16, int8"):
        limits_for(["fp32", "fp8"], 1.0)


@pytest.mark.parametrize(("finer", "coarser"), list(itertools.pairwise(PRECISIONS)))
def test_a_coarser_precision_is_allowed_more(finer: str, coarser: str) -> None:
    one, other = TOLERANCES[finer], TOLERANCES[coarser]  # type: ignore[index]
    for name in ("score", "box_px", "off", "usual_score", "usual_box_px", "ap", "ap_detections"):
        assert getattr(one, name) <= getattr(other, name), name
    assert one.mask_iou >= other.mask_iou
    assert one.mean_mask_iou >= other.mean_mask_iou


def test_one_detection_moves_a_mean_by_the_root_of_the_sum_of_squares() -> None:
    assert one_detection([10]) == pytest.approx(0.1)
    assert one_detection([4, 3]) == pytest.approx(5 / 12 / 2)  # 1/4 and 1/3 are legs of a triangle of hypotenuse 5/12
    assert one_detection([4, 0, 3]) == one_detection([4, 3])  # without annotations a structure has no figure
    assert one_detection([]) == 0


def test_average_precision_may_change_more_in_a_set_of_few_annotations_but_not_in_fp32() -> None:
    limits = TOLERANCES["bf16"]
    assert limits.ap_tolerance(0.1) - limits.ap == pytest.approx(0.1)
    assert limits.ap_tolerance(0.0) == limits.ap
    assert TOLERANCES["fp32"].ap_tolerance(0.1) == TOLERANCES["fp32"].ap


def test_what_four_bits_cost_is_far_beyond_the_tolerance_of_eight() -> None:
    """0.145 of AP, measured where the three structures of the neck have so many annotations."""
    assert TOLERANCES["int8"].ap_tolerance(one_detection([77, 71, 69])) < 0.145 / 5
