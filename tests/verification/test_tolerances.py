"""Which tolerance holds for whom."""

from __future__ import annotations

import itertools

import pytest

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
    assert (one.score, one.box_px, one.unusual, one.ap) <= (other.score, other.box_px, other.unusual, other.ap)
    assert (one.mask_iou, one.mean_mask_iou) >= (other.mask_iou, other.mean_mask_iou)
