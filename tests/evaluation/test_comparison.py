"""Differences of two systems, worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from fetalseg.evaluation.bootstrap import Resampled
from fetalseg.evaluation.comparison import as_json, compare, holm, two_sided_p


def test_the_p_value_is_twice_the_smaller_side_of_zero() -> None:
    # 9 of 199 resamples are not above zero: 2 * (9 + 1) / (199 + 1).
    differences = np.concatenate([np.full(9, -0.1), np.full(190, 0.1)])
    assert two_sided_p(differences) == pytest.approx(0.1)
    assert two_sided_p(-differences) == pytest.approx(0.1)


def test_no_finite_number_of_resamples_proves_a_chance_of_zero() -> None:
    assert two_sided_p(np.full(999, 0.2)) == pytest.approx(0.002)


def test_equal_systems_differ_by_nothing() -> None:
    assert two_sided_p(np.zeros(1000)) == 1
    assert two_sided_p(np.full(5, np.nan)) is None


def test_holm_adjusts_step_by_step() -> None:
    # Sorted 0.01, 0.02, 0.03, 0.04 times 4, 3, 2, 1 is 0.04, 0.06, 0.06, 0.04; the last may not fall below 0.06.
    assert holm([0.04, 0.01, 0.03, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert holm([0.5, 0.9]) == [1, 1]
    assert holm([]) == []


def figures(offset: float) -> dict[str, Resampled]:
    """Three structures and their mean; the third has no ground truth."""
    noise = np.linspace(-0.01, 0.01, 199)
    return {
        "mean.mask.AP50": Resampled(0.5 + offset, 0.5 + offset + noise),
        "cranium.mask.AP50": Resampled(0.6 + offset, 0.6 + offset + noise),
        "yolk.sac.mask.AP50": Resampled(0.4, 0.4 + noise),
        "heart.mask.AP50": Resampled(None, np.full(199, np.nan)),
    }


def test_shared_draws_make_a_small_difference_sure() -> None:
    # Each system varies by 0.02, the difference of the two not at all.
    mean, cranium, sac, heart = compare(figures(0), figures(0.005))
    assert mean.difference == pytest.approx(0.005)
    assert mean.interval is not None
    assert (mean.interval.low, mean.interval.high) == pytest.approx((0.005, 0.005))
    assert mean.p == pytest.approx(0.01)
    assert mean.adjusted_p is None
    # Two structures with a difference: the smaller p counts twice.
    assert (cranium.p, cranium.adjusted_p) == pytest.approx((0.01, 0.02))
    assert (sac.difference, sac.p, sac.adjusted_p) == (0, 1, 1)
    assert (heart.base, heart.difference, heart.interval, heart.p, heart.adjusted_p) == (None,) * 5


def test_resamples_without_ground_truth_are_dropped_and_counted() -> None:
    base = {"heart.box.AP": Resampled(0.5, np.array([0.5, np.nan, 0.5]))}
    new = {"heart.box.AP": Resampled(0.75, np.array([0.75, np.nan, 0.75]))}
    (row,) = compare(base, new)
    assert as_json([row]) == {
        "heart.box.AP": {
            "base": 0.5,
            "new": 0.75,
            "difference": 0.25,
            "interval": {"low": 0.25, "high": 0.25, "dropped": 1},
            "p": pytest.approx(2 / 3),
            "adjusted_p": pytest.approx(2 / 3),
        }
    }


def test_other_figures_or_draws_are_refused() -> None:
    with pytest.raises(ValueError, match=r"only one of them has heart\.box\.AP"):
        compare({"heart.box.AP": Resampled(0.5, np.zeros(3))}, {})
    with pytest.raises(ValueError, match="3 resamples of one system and 4 of the other"):
        compare({"heart.box.AP": Resampled(0.5, np.zeros(3))}, {"heart.box.AP": Resampled(0.5, np.zeros(4))})
