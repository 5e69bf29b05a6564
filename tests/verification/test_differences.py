"""What counts as a difference between two engines, and what only looks like one."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fetalseg.verification.answers import FrameAnswer
from fetalseg.verification.differences import Differences, compare
from verification.hand_made import CRANIUM, DECISIONS, FEMUR, HEART, LIMITS, Row, answer, instances, over_the_wire

HEAD: Row = (CRANIUM, 0.9, (10, 10, 50, 50))
BONE: Row = (FEMUR, 0.7, (60, 60, 80, 70))


def held(reference: FrameAnswer, other: FrameAnswer) -> Differences:
    return compare([reference], [other], LIMITS, DECISIONS)


def test_the_same_answers_differ_in_nothing() -> None:
    found = held(answer(HEAD, BONE), answer(HEAD, BONE))
    assert found.instances == (2, 2)
    assert (found.score, found.box_px, found.mask_ious) == (0, 0, [1, 1, 1, 1])
    assert (found.missing, found.extra, found.near_threshold, found.ties) == (0, 0, 0, 0)
    assert (found.candidates, found.unusual) == (4, 0)
    assert found.faults(LIMITS) == []


def test_the_largest_differences_of_score_box_and_mask_are_told() -> None:
    moved: Row = (CRANIUM, 0.86, (10, 10, 50, 54))
    found = held(answer(HEAD, BONE), answer(moved, BONE))
    assert found.score == pytest.approx(0.04)
    assert found.box_px == 4
    assert found.smallest_mask_iou == pytest.approx(40 / 44)
    assert found.mean_mask_iou == pytest.approx((40 / 44 + 1) / 2)
    assert found.faults(LIMITS) == [
        "2 of 4 instances differ beyond the tolerance, allowed 0%: the score by up to 0.04, the box by 4 px, "
        "mask IoU 0.9091",
        "50.0 % of 4 candidates differ by more than 0.01 or 0.5 px or are absent, tolerance 10 %",
    ]


def test_a_score_beyond_its_tolerance_is_a_fault() -> None:
    found = held(answer(HEAD), answer((CRANIUM, 0.8, HEAD[2])))
    assert found.faults(LIMITS)[0].startswith(
        "2 of 2 instances differ beyond the tolerance, allowed 0%: the score by up"
    )


def test_a_mask_beyond_its_tolerance_is_a_fault() -> None:
    thin = instances(HEAD)
    thin.crops[0][:, 20:] = False
    found = held(answer(HEAD), FrameAnswer(thin, thin))
    assert found.faults(LIMITS) == [
        "2 of 2 instances differ beyond the tolerance, allowed 0%: the score by up to 0, the box by 0 px, "
        "mask IoU 0.5000",
        "the mean mask IoU is 0.5000, tolerance 0.9",
    ]


def test_a_share_of_the_instances_may_be_off_where_the_precision_allows_it() -> None:
    bones = [(FEMUR, 0.9, (10 * i, 0, 10 * i + 8, 8)) for i in range(9)]
    found = held(answer(*bones, HEAD), answer(*bones, (CRANIUM, 0.8, HEAD[2])))
    assert (found.off, found.compared, found.off_share) == (2, 20, 0.1)
    for allowed, passed in ((0.1, True), (0.06, True), (0.05, False)):  # of 20: 2, 1.2 rounded up, 1
        limits = replace(LIMITS, off=allowed)
        assert (found.faults(limits) == []) == passed


def test_an_instance_that_the_other_side_never_considered_is_missing_or_extra() -> None:
    assert held(answer(HEAD, BONE), answer(HEAD)).missing == 1
    found = held(answer(HEAD), answer(HEAD, BONE))
    assert (found.missing, found.extra) == (0, 1)
    assert "0 instances of the reference are missing, 1 are found beyond it" in found.faults(LIMITS)


def test_an_instance_next_to_the_lowest_score_may_be_absent() -> None:
    faint: Row = (FEMUR, 0.34, (60, 60, 80, 70))
    below: Row = (FEMUR, 0.29, (60, 60, 80, 70))
    for other in (answer(HEAD), answer(HEAD, besides=(below,))):
        found = held(answer(HEAD, faint), other)
        assert (found.near_threshold, found.ties, found.missing) == (1, 0, 0)
    clear: Row = (FEMUR, 0.36, (60, 60, 80, 70))
    assert held(answer(HEAD, clear), answer(HEAD)).missing == 1


def test_two_candidates_of_almost_one_score_may_swap_places() -> None:
    here: Row = (HEART, 0.61, (10, 10, 30, 30))
    there: Row = (HEART, 0.60, (60, 60, 80, 80))
    found = held(answer(here, besides=(there,)), answer(there, besides=(here,)))
    assert (found.ties, found.near_threshold, found.missing, found.extra) == (2, 0, 0, 0)
    assert (found.score, found.box_px) == (0, 0)
    assert found.faults(LIMITS) == []


def test_the_last_of_a_full_frame_may_be_another() -> None:
    rows = [(FEMUR, 0.9, (9 * i, 0, 9 * i + 8, 8)) for i in range(9)]
    one: Row = (FEMUR, 0.50, (0, 50, 20, 60))
    other: Row = (FEMUR, 0.51, (50, 50, 70, 60))
    found = held(answer(*rows, one), answer(*rows, other))
    assert (found.near_threshold, found.missing, found.extra) == (2, 0, 0)


def test_candidates_that_are_never_shown_count_as_well() -> None:
    doubtful: Row = (FEMUR, 0.2, (60, 60, 80, 70))
    found = held(answer(HEAD, besides=(doubtful,)), answer(HEAD))
    assert (found.candidates, found.unusual) == (3, 1)
    assert found.faults(LIMITS) == [
        "33.3 % of 3 candidates differ by more than 0.01 or 0.5 px or are absent, tolerance 10 %"
    ]
    hardly: Row = (FEMUR, 0.09, (60, 60, 80, 70))
    assert held(answer(HEAD, besides=(hardly,)), answer(HEAD)).unusual == 0


def test_over_the_wire_the_answers_are_measured_against_what_the_reference_considered() -> None:
    found = held(answer(HEAD, BONE), over_the_wire((CRANIUM, 0.88, (10, 10, 50, 51)), BONE))
    assert found.score == pytest.approx(0.02)
    assert found.box_px == 1
    assert found.compared == 2
    assert found.candidates == 0
    assert found.faults(LIMITS) == []


def test_over_the_wire_what_is_absent_is_missing() -> None:
    assert held(answer(HEAD, BONE), over_the_wire(HEAD)).missing == 1
    assert held(answer(HEAD), over_the_wire(HEAD, BONE)).extra == 1


def test_over_the_wire_the_best_of_a_structure_may_be_another_of_almost_its_score() -> None:
    here: Row = (HEART, 0.61, (10, 10, 30, 30))
    there: Row = (HEART, 0.60, (60, 60, 80, 80))
    found = held(answer(here, besides=(there,)), over_the_wire(there))
    assert (found.ties, found.missing, found.extra) == (2, 0, 0)
    worse: Row = (HEART, 0.45, (60, 60, 80, 80))
    assert held(answer(here, besides=(worse,)), over_the_wire(worse)).missing == 1


def test_over_the_wire_suppression_may_fall_out_otherwise_where_boxes_overlap_about_as_much_as_it_takes() -> None:
    bone: Row = (FEMUR, 0.70, (0, 0, 30, 10))
    half_over_it: Row = (FEMUR, 0.72, (12, 0, 42, 10))  # IoU 18 / 42: below the threshold here, perhaps not there
    found = held(answer(half_over_it, bone), over_the_wire(half_over_it))
    assert (found.ties, found.missing) == (1, 0)
    far_off: Row = (FEMUR, 0.72, (50, 0, 80, 10))
    assert held(answer(far_off, bone), over_the_wire(far_off)).missing == 1


def test_frames_in_which_both_find_nothing_are_no_difference() -> None:
    found = held(answer(), answer())
    assert (found.compared, found.smallest_mask_iou, found.mean_mask_iou, found.unusual_share) == (0, None, None, 0)
    assert found.faults(LIMITS) == []
    assert held(answer(), over_the_wire()).faults(LIMITS) == []
