"""How the best detections lie, in all resamples of two patients."""

from __future__ import annotations

import math

import numpy as np
import pytest

from evaluation.enumerated_draws import all_resamples
from fetalseg.evaluation.bootstrap import Interval
from fetalseg.evaluation.overlap import OverlapOutcomes
from fetalseg.evaluation.resampled_overlap import OVERLAP_MEASURES, resampled_overlap

NAN = math.nan

# Patient a: found well, and found beside with no size of a pixel. Patient b: missed, and a frame without the structure.
OUTCOMES = OverlapOutcomes(
    structure="heart",
    present=np.array([True, True, True, False]),
    centre_hit=np.array([True, False, False, False]),
    dice=np.array([0.9, 0.3, 0.0, NAN]),
    iou=np.array([0.8, 0.2, 0.0, NAN]),
    hausdorff_px=np.array([4.0, 10.0, NAN, NAN]),
    hausdorff_mm=np.array([2.0, NAN, NAN, NAN]),
)
DRAWS = all_resamples("a", "a", "b", "b")


def test_overlap_figures_of_two_patients_are_those_of_their_four_resamples() -> None:
    found = resampled_overlap(OUTCOMES, DRAWS)
    assert tuple(found) == OVERLAP_MEASURES
    # a twice: its two frames; both: three frames; b twice: one missed frame.
    assert found["centre_hit"].values == pytest.approx([1 / 2, 1 / 3, 1 / 3, 0])
    assert found["dice"].values == pytest.approx([0.6, 0.4, 0.4, 0])
    assert found["iou"].values == pytest.approx([0.5, 1 / 3, 1 / 3, 0])
    assert [found[name].value for name in ("centre_hit", "dice", "iou")] == pytest.approx([1 / 3, 0.4, 1 / 3])
    # Between the four values 0, 0.4, 0.4, 0.6, numbered 0 to 3, lie 2.5 % at 0.075 and 97.5 % at 2.925.
    interval = found["dice"].interval
    assert interval is not None
    assert (interval.low, interval.high, interval.dropped) == pytest.approx((0.075 * 0.4, 0.4 + 0.925 * 0.2, 0))


def test_a_resample_in_which_nothing_is_found_has_no_distance() -> None:
    found = resampled_overlap(OUTCOMES, DRAWS)
    assert found["hausdorff_px"].values == pytest.approx([7, 7, 7, NAN], nan_ok=True)
    assert found["hausdorff_px"].interval == Interval(7, 7, dropped=1)
    assert found["hausdorff_mm"].interval == Interval(2, 2, dropped=1)


def test_figures_of_the_set_are_those_without_resamples() -> None:
    figures = OUTCOMES.figures()
    for name, one in resampled_overlap(OUTCOMES, DRAWS).items():
        assert one.value == pytest.approx(getattr(figures, name))


def test_a_structure_that_is_nowhere_has_no_figure_and_no_interval() -> None:
    nothing, never = np.full(4, NAN), np.zeros(4, np.bool_)
    outcomes = OverlapOutcomes("heart", never, never, nothing, nothing, nothing, nothing)
    for one in resampled_overlap(outcomes, DRAWS).values():
        assert (one.value, one.interval) == (None, None)
        assert np.isnan(one.values).all()


def test_draws_over_other_frames_are_refused() -> None:
    with pytest.raises(ValueError, match="4 frames, and draws over 2"):
        resampled_overlap(OUTCOMES, all_resamples("a", "b"))
