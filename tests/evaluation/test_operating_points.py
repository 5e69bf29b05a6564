"""Thresholds, curves and calibration of a few detections, worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from fetalseg.evaluation.matches import Matches
from fetalseg.evaluation.operating_points import as_json, best_threshold, calibration, threshold_curve


def matches(*rows: tuple[float, bool], positives: int, ignored: tuple[int, ...] = ()) -> Matches:
    """Detections (score, right at IoU 0.5), one a frame, that match at no higher IoU; some are ignored."""
    matched = np.zeros((1, 10, len(rows)), np.bool_)
    matched[0, 0] = [right for _, right in rows]
    out = np.zeros_like(matched)
    out[:, :, list(ignored)] = True
    return Matches(
        scores=np.array([score for score, _ in rows], np.float64),
        frames=np.arange(len(rows)),
        matched=matched,
        ignored=out,
        positives=np.array([[positives] + [0] * max(len(rows) - 1, 0)], np.int64),
    )


# In order of the scores: right, wrong, right, right, wrong; 4 ground truths, one of which is missed.
FIVE = matches((0.6, True), (0.9, True), (0.4, True), (0.8, False), (0.2, False), positives=4)


def test_the_curve_has_a_point_for_every_score() -> None:
    curve = threshold_curve(FIVE)
    assert curve.thresholds.tolist() == [0.9, 0.8, 0.6, 0.4, 0.2]
    assert (curve.true.tolist(), curve.false.tolist(), curve.positives) == ([1, 1, 2, 3, 3], [0, 1, 1, 1, 2], 4)
    assert curve.precision == pytest.approx([1, 1 / 2, 2 / 3, 3 / 4, 3 / 5])
    assert curve.recall == pytest.approx([1 / 4, 1 / 4, 2 / 4, 3 / 4, 3 / 4])
    # 2 TP / (TP + FP + ground truths)
    assert curve.f1 == pytest.approx([2 / 5, 2 / 6, 4 / 7, 6 / 8, 6 / 9])


def test_the_best_threshold_keeps_what_gives_the_highest_f1() -> None:
    point = best_threshold(threshold_curve(FIVE))
    assert point is not None
    # Halfway between 0.4, which is kept, and 0.2, which is not.
    assert (point.threshold, point.precision, point.recall, point.f1) == pytest.approx((0.3, 0.75, 0.75, 0.75))
    assert as_json({"heart": point, "cord": None}) == {
        "heart": {
            "threshold": pytest.approx(0.3),
            "precision": 0.75,
            "recall": 0.75,
            "f1": 0.75,
            "positives": 4,
        },
        "cord": None,
    }


def test_of_equal_f1_the_higher_threshold_is_taken() -> None:
    # F1 is 2/3 with the first alone, 4/6 with all four.
    point = best_threshold(threshold_curve(matches((0.9, True), (0.7, False), (0.5, False), (0.3, True), positives=2)))
    assert point is not None
    assert point.f1 == pytest.approx(2 / 3)
    assert point.threshold == pytest.approx(0.8)


def test_where_all_is_kept_the_threshold_lies_halfway_to_zero() -> None:
    point = best_threshold(threshold_curve(matches((0.5, True), positives=1)))
    assert point is not None
    assert (point.threshold, point.f1) == (0.25, 1)


def test_equal_scores_are_kept_or_dropped_together() -> None:
    curve = threshold_curve(matches((0.5, False), (0.5, True), (0.3, False), positives=1))
    assert (curve.thresholds.tolist(), curve.true.tolist(), curve.false.tolist()) == ([0.5, 0.3], [1, 1], [1, 2])


def test_what_is_ignored_is_on_no_curve() -> None:
    rows = matches((0.9, True), (0.8, True), positives=1, ignored=(1,))
    assert threshold_curve(rows).thresholds.tolist() == [0.9]
    found = calibration([rows])
    assert found is not None
    assert sum(found.counts) == 1


def test_without_ground_truth_or_a_right_detection_there_is_nothing_to_choose_by() -> None:
    assert best_threshold(threshold_curve(matches((0.9, False), positives=0))) is None
    assert best_threshold(threshold_curve(matches((0.9, False), positives=3))) is None
    empty = threshold_curve(matches(positives=3))
    assert (len(empty.f1), len(empty.precision), best_threshold(empty)) == (0, 0, None)
    assert np.isnan(threshold_curve(matches((0.9, False), positives=0)).recall).all()


FOUR_FIFTHS = ((0.8, True), (0.8, False))


def test_calibration_is_the_distance_of_score_and_share_that_is_right() -> None:
    # Bin 0.8..0.9: four of 0.8, three right, off by 0.05. Bin 0.2..0.3: one of 0.25, wrong, off by 0.25.
    first, second = matches((0.8, True), (0.8, True), (0.25, False), positives=2), matches(*FOUR_FIFTHS, positives=1)
    found = calibration([first, second])
    assert found is not None
    assert found.counts == [0, 0, 1, 0, 0, 0, 0, 0, 4, 0]
    assert (found.confidence[8], found.accuracy[8]) == pytest.approx((0.8, 0.75))
    assert (found.confidence[2], found.accuracy[2], found.accuracy[0]) == (0.25, 0, None)
    assert found.expected_error == pytest.approx((4 * 0.05 + 0.25) / 5)


def test_scores_at_the_ends_have_a_bin() -> None:
    found = calibration([matches((1.0, True), (0.0, False), (0.5, True), positives=2)], bins=2)
    assert found is not None
    assert (found.edges, found.counts, found.accuracy) == ([0, 0.5, 1], [1, 2], [0, 1])


def test_calibration_of_nothing_is_none_and_of_a_wrong_score_refused() -> None:
    assert calibration([matches(positives=2)]) is None
    with pytest.raises(ValueError, match=r"expected scores from 0 to 1, got 1.5 to 1.5"):
        calibration([matches((1.5, True), positives=1)])
    with pytest.raises(ValueError, match="at least 1 bin"):
        calibration([FIVE], bins=0)
