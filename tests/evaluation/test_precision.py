"""Counting with weights, and numbers worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from fetalseg.evaluation.matches import Matches
from fetalseg.evaluation.precision import (
    AveragePrecision,
    average_precision,
    average_recall,
    mean_precision,
    precision_recall,
)

T = 10


def matches(
    *frames: list[tuple[float, bool]], positives: list[int], ignored: tuple[int, ...] = (), up_to: int = T
) -> Matches:
    """Of all areas alike. Each frame lists its detections, score and whether right at the first `up_to` thresholds."""
    rows = [row for frame in frames for row in frame]
    right = np.array([right for _, right in rows], np.bool_)
    matched = np.zeros((4, T, len(rows)), np.bool_)
    matched[:, :up_to] = right
    out = np.zeros_like(matched)
    out[:, :, list(ignored)] = True
    return Matches(
        scores=np.array([score for score, _ in rows], np.float64),
        frames=np.repeat(np.arange(len(frames)), [len(frame) for frame in frames]),
        matched=matched,
        ignored=out,
        positives=np.tile(np.array(positives, np.int64), (4, 1)),
    )


def ap50(found: Matches, weights: list[int] | None = None) -> float | None:
    return average_precision(found, weights=None if weights is None else np.array(weights)).ap50


def test_all_found_without_a_false_detection_is_one() -> None:
    figures = average_precision(matches([(0.9, True)], positives=[1]))
    assert (figures.ap, figures.ap50, figures.ap75, figures.n) == pytest.approx((1, 1, 1, 1))


def test_one_false_detection_above_the_true_one_halves_it() -> None:
    # Precision after the false one is 0/1, after the true one 1/2 at recall 1: 1/2 at all 101 points.
    assert ap50(matches([(0.9, False), (0.8, True)], positives=[1])) == pytest.approx(0.5)


def test_a_false_detection_below_the_true_one_costs_nothing() -> None:
    assert ap50(matches([(0.8, True), (0.1, False)], positives=[1])) == pytest.approx(1)


def test_one_of_two_found_fills_51_of_101_recall_points() -> None:
    # Recall ends at 0.5, and the points 0.00, 0.01, ... 0.50 are 51.
    assert ap50(matches([(0.9, True)], [], positives=[1, 1])) == pytest.approx(51 / 101)


def test_a_match_at_three_of_ten_thresholds_gives_three_tenths() -> None:
    figures = average_precision(matches([(0.9, True)], positives=[1], up_to=3))
    assert (figures.ap50, figures.ap75, figures.ap) == pytest.approx((1, 0, 0.3))


def test_no_detection_at_all_is_a_figure_of_zero() -> None:
    found = matches([], [], positives=[2, 1])
    assert average_precision(found) == AveragePrecision(0.0, 0.0, 0.0, 3)
    assert average_recall(found) == 0


def test_without_ground_truth_there_is_no_figure() -> None:
    found = matches([(0.9, False)], positives=[0])
    assert average_precision(found) == AveragePrecision(None, None, None, 0)
    assert average_recall(found) is None


def test_what_is_ignored_counts_neither_way() -> None:
    assert ap50(matches([(0.95, True), (0.9, True)], positives=[1], ignored=(0,))) == pytest.approx(1)


def test_recall_of_the_best_detection_of_each_frame() -> None:
    # Of three annotations the best detections find one, the best two of each frame two.
    found = matches([(0.9, True), (0.8, True)], [(0.7, False)], positives=[2, 1])
    assert average_recall(found, max_detections=1) == pytest.approx(1 / 3)
    assert average_recall(found, max_detections=10) == pytest.approx(2 / 3)


def test_scores_are_those_at_which_a_recall_is_reached() -> None:
    scores = precision_recall(matches([(0.9, True)], [(0.4, True)], positives=[1, 1])).scores
    assert (scores[0, 0], scores[0, 50], scores[0, 51], scores[0, 100]) == (0.9, 0.9, 0.4, 0.4)


def test_a_frame_that_counts_twice_is_as_good_as_two_copies_of_it() -> None:
    first, second, third = [(0.9, True), (0.5, False)], [(0.7, False)], [(0.6, True), (0.3, True)]
    found = matches(first, second, third, positives=[1, 1, 3])
    copied = matches(first, first, third, third, third, positives=[1, 1, 3, 3, 3])
    weighted = precision_recall(found, weights=np.array([2, 0, 3]))
    whole = precision_recall(copied)
    assert np.array_equal(weighted.precision, whole.precision)
    assert np.array_equal(weighted.recall, whole.recall)
    assert np.array_equal(weighted.scores, whole.scores)
    assert weighted.positives == whole.positives == 11


def test_weights_of_one_change_nothing_and_truth_values_choose_frames() -> None:
    found = matches([(0.9, False)], [(0.8, True)], positives=[1, 1])
    assert ap50(found, [1, 1]) == ap50(found)
    assert average_precision(found, weights=np.array([False, True])).ap50 == pytest.approx(1)
    assert average_precision(found, weights=np.array([True, False])).ap50 == 0


def test_a_resample_without_ground_truth_has_no_figure() -> None:
    found = matches([(0.9, True)], [(0.8, False)], positives=[1, 0])
    assert average_precision(found, weights=np.array([0, 2])) == AveragePrecision(None, None, None, 0)


def test_some_thresholds_alone_give_their_rows() -> None:
    found = matches([(0.9, True), (0.8, False), (0.7, True)], positives=[3], up_to=4)
    whole, part = precision_recall(found), precision_recall(found, thresholds=(0, 5))
    assert np.array_equal(part.precision, whole.precision[[0, 5]])
    assert np.array_equal(part.recall, whole.recall[[0, 5]])


def test_weights_of_another_number_of_frames_are_refused() -> None:
    with pytest.raises(ValueError, match=r"expected a weight for each of 2 frames, got an array of shape \(3,\)"):
        precision_recall(matches([], [], positives=[1, 1]), weights=np.ones(3, np.int64))


def test_the_mean_leaves_out_what_has_no_figure_and_says_its_n() -> None:
    figures = [
        AveragePrecision(0.2, 0.4, 0.1, 10),
        AveragePrecision(None, None, None, 0),
        AveragePrecision(0.4, 0.8, 0.3, 1),
    ]
    mean = mean_precision(figures)
    assert (mean.ap, mean.ap50, mean.ap75, mean.n) == (pytest.approx(0.3), pytest.approx(0.6), pytest.approx(0.2), 2)
    assert mean_precision([]) == AveragePrecision(None, None, None, 0)
