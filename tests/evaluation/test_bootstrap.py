"""What is drawn, and what an interval is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from fetalseg.data.records import ImageRecord
from fetalseg.evaluation.bootstrap import (
    Draws,
    Interval,
    Resampled,
    draw_resamples,
    mean_resampled,
    percentile_interval,
    resampled_figure,
    resampled_ratio,
    resampled_ratios,
)


def images(*patients: str | None) -> list[ImageRecord]:
    return [
        ImageRecord(n, Path(f"{n}.png"), 10, 10, frozenset(), (), patient=patient)
        for n, patient in enumerate(patients, 1)
    ]


def by_hand(*weights: list[int]) -> Draws:
    return Draws(np.array(weights, np.int64), "by image, optimistic", len(weights[0]), 0)


def test_frames_of_a_patient_are_drawn_together() -> None:
    draws = draw_resamples(images("a", "b", "a", "c", "a"), resamples=200)
    assert draws.weights.shape == (200, 5)
    assert (draws.weights[:, 0] == draws.weights[:, 2]).all()
    assert (draws.weights[:, 0] == draws.weights[:, 4]).all()
    # Three patients are drawn three times.
    assert (draws.weights[:, [0, 1, 3]].sum(axis=1) == 3).all()
    assert (draws.unit, draws.units) == ("by patient", 3)


@pytest.mark.parametrize(
    ("patients", "unit", "units"),
    [
        ((None, None, None), "by image, optimistic", 3),
        (("a", "a", "b"), "by patient", 2),
        # The patient called 3 is not the image 3.
        (("3", "3", None), "by patient, by image where none is named, optimistic", 2),
    ],
)
def test_the_unit_is_told_in_words(patients: tuple[str | None, ...], unit: str, units: int) -> None:
    draws = draw_resamples(images(*patients), resamples=2)
    assert (draws.unit, draws.units) == (unit, units)


def test_the_seed_alone_decides_the_draws() -> None:
    frames = images(*"abcdefgh")
    first, again = draw_resamples(frames, seed=4), draw_resamples(frames, seed=4)
    assert len(first) == 1000
    np.testing.assert_array_equal(first.weights, again.weights)
    assert (first.weights != draw_resamples(frames, seed=5).weights).any()


def test_each_unit_is_drawn_once_on_average_with_the_variance_of_a_binomial() -> None:
    # A count is binomial, 20 draws with chance 1/20: mean 1, variance 0.95.
    weights = draw_resamples(images(*map(str, range(20))), resamples=5000).weights
    assert weights.mean() == 1
    assert weights.var() == pytest.approx(0.95, abs=0.02)


@pytest.mark.parametrize(("frames", "resamples", "seed"), [(0, 10, 0), (3, 0, 0), (3, 10, -1)])
def test_numbers_outside_their_range_are_refused(frames: int, resamples: int, seed: int) -> None:
    with pytest.raises(ValueError, match=r"no images|at least 1 resample and a seed from 0 on"):
        draw_resamples(images(*["a"] * frames), resamples=resamples, seed=seed)


def test_the_interval_holds_the_middle_95_percent() -> None:
    # Of 0, 1, ... 1000 the 2.5th percentile is 25, the 97.5th 975.
    interval = percentile_interval(np.arange(1001.0))
    assert interval is not None
    assert (interval.low, interval.high, interval.dropped) == pytest.approx((25, 975, 0))


def test_resamples_without_the_figure_are_dropped_and_counted() -> None:
    assert percentile_interval(np.array([np.nan, 3, np.nan, 3, 3])) == Interval(3, 3, 2)
    assert percentile_interval(np.full(3, np.nan)) is None


def test_a_ratio_is_recounted_by_its_sums() -> None:
    # Found 1 of 2, 0 of 1, 3 of 3: 4 of 6. Twice the first frame and once the second: 2 of 5.
    recall = resampled_ratio([1, 0, 3], [2, 1, 3], by_hand([1, 1, 1], [2, 1, 0], [0, 3, 0]))
    assert recall.value == pytest.approx(4 / 6)
    assert recall.values == pytest.approx([4 / 6, 2 / 5, 0])


def test_a_resample_without_ground_truth_has_no_ratio() -> None:
    recall = resampled_ratio([1, 0], [2, 0], by_hand([1, 1], [0, 2]))
    assert np.isnan(recall.values).tolist() == [False, True]
    assert recall.interval == Interval(0.5, 0.5, 1)
    nothing = resampled_ratio([0, 0], [0, 0], by_hand([1, 1]))
    assert (nothing.value, nothing.interval) == (None, None)


def test_any_figure_of_weights_can_be_recounted() -> None:
    def most(weights: npt.NDArray[np.int64] | None) -> float | None:
        return None if weights is None else float(weights.max()) if weights[0] else None

    figure = resampled_figure(most, by_hand([1, 1], [2, 0], [0, 2]))
    assert figure.value is None
    np.testing.assert_array_equal(figure.values, [1, 2, np.nan])


def test_the_mean_is_of_the_same_figures_in_every_resample() -> None:
    first, second = Resampled(0.5, np.array([0.4, 0.6])), Resampled(1.0, np.array([1.0, np.nan]))
    absent = Resampled(None, np.array([np.nan, np.nan]))
    mean = mean_resampled([first, second, absent])
    assert mean.value == 0.75
    np.testing.assert_array_equal(mean.values, [0.7, np.nan])
    assert mean_resampled([absent]).value is None


def test_several_ratios_at_once_are_those_one_by_one() -> None:
    draws = by_hand([1, 1, 1], [3, 0, 0], [0, 0, 3])
    above, below = [[1, 0, 0], [0.5, 0.25, 0]], [[1, 1, 0], [1, 1, 1]]
    together = resampled_ratios(above, below, draws)
    for found, numerators, denominators in zip(together, above, below, strict=True):
        alone = resampled_ratio(numerators, denominators, draws)
        assert found.value == alone.value
        np.testing.assert_array_equal(found.values, alone.values)
    assert together[0].values == pytest.approx([0.5, 1, np.nan], nan_ok=True)
    assert together[1].values == pytest.approx([0.25, 0.5, 0])
    with pytest.raises(ValueError, match="2 frames, and draws over 3"):
        resampled_ratios([[1, 0]], [[1, 1]], draws)
