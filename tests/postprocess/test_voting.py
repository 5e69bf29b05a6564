"""Box voting: who votes, with which weight, and the cases without a vote."""

from __future__ import annotations

import numpy as np

from fetalseg.postprocess.voting import vote_boxes

BOXES = np.array([[0, 0, 10, 10], [0, 0, 10, 8], [0, 0, 10, 5], [30, 30, 30, 40]], np.float32)
# Structure 0 and 1; the last row has no area.
SCORES = np.array([[0.9, 0.2], [0.3, 0.6], [0.5, 0.5], [0.4, 0.0]], np.float32)


def vote(rows: list[int], labels: list[int], iou_threshold: float) -> list[list[float]]:
    result = vote_boxes(
        BOXES, SCORES, np.array(rows, np.int64), np.array(labels, np.int64), iou_threshold=iou_threshold
    )
    assert result.dtype == np.float32
    return [[round(float(v), 4) for v in box] for box in result]


def test_the_votes_weigh_as_the_scores_of_the_instance_s_own_structure() -> None:
    # IoU with the first box: 0.8 and 0.5. At 0.7 two vote: y2 = (0.9 * 10 + 0.3 * 8) / 1.2 = 9.5 for structure 0,
    # (0.2 * 10 + 0.6 * 8) / 0.8 = 8.5 for structure 1.
    assert vote([0, 0], [0, 1], 0.7) == [[0, 0, 10, 9.5], [0, 0, 10, 8.5]]


def test_a_candidate_exactly_at_the_threshold_votes() -> None:
    # All three: (0.9 * 10 + 0.3 * 8 + 0.5 * 5) / 1.7.
    assert vote([0], [0], 0.5) == [[0, 0, 10, 8.1765]]


def test_a_box_that_nobody_votes_for_stays() -> None:
    assert vote([3], [0], 0.7) == [[30, 30, 30, 40]]
    assert vote([], [], 0.7) == []


def test_the_arguments_are_left_as_they_are() -> None:
    before = BOXES.copy(), SCORES.copy()
    vote([0, 1], [0, 1], 0.5)
    assert (before[0] == BOXES).all()
    assert (before[1] == SCORES).all()
