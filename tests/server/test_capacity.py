from __future__ import annotations

import pytest

from fetalseg_server.pool.capacity import FrameCost, WorkerLoad, stage_ms

TIMING_MS = {"queue": 9.0, "decode": 3.0, "preprocess": 2.0, "infer": 12.0, "postprocess": 2.0, "encode": 1.0}


def test_the_longer_of_two_stages_is_what_a_frame_costs() -> None:
    assert stage_ms(TIMING_MS) == 15.0
    assert stage_ms(TIMING_MS, batch=4) == 6.0
    assert stage_ms(TIMING_MS, batch=12) == 5.0  # now decoding takes longer


def test_of_what_a_worker_can_do_85_percent_are_promised() -> None:
    cost = FrameCost()
    assert cost.ms(0.0) is None
    assert cost.fps(0.0) == 0.0
    cost.calibrate(0, 20.0)
    cost.calibrate(1, 10.0)
    assert cost.fps(0.0) == pytest.approx(42.5)
    assert cost.fps(0.0, rung=1) == pytest.approx(85.0)


def test_live_frames_count_where_they_are_dearer_and_only_for_ten_seconds() -> None:
    cost = FrameCost()
    cost.calibrate(0, 20.0)
    for number in range(10):
        cost.observe(100 + number / 10, 0, 30.0)
    assert cost.ms(101.0) == 30.0
    assert cost.ms(112.0) == 20.0
    for number in range(10):
        cost.observe(200 + number / 10, 0, 5.0)
    assert cost.ms(201.0) == 20.0


def test_a_measurement_at_a_bad_moment_is_corrected_by_live_frames() -> None:
    cost = FrameCost()
    cost.calibrate(0, 300.0)
    cost.calibrate(1, 250.0)
    cost.calibrate_alone(200.0, most=3.0)  # beside busy workers a frame takes half as long again
    for number in range(10):
        cost.observe(number / 10, 0, 20.0)
        cost.observe(number / 10, 1, 10.0)
    assert cost.ms(1.0) == pytest.approx(30.0)
    assert cost.ms(1.0, rung=1) == pytest.approx(15.0)
    cost.calibrate_alone(20.0, most=3.0)
    assert cost.ms(1.0) == pytest.approx(60.0)


def test_a_few_slow_frames_are_no_measurement() -> None:
    cost = FrameCost()
    cost.calibrate(0, 20.0)
    for number in range(9):
        cost.observe(number / 10, 0, 500.0)
    assert cost.ms(1.0) == 20.0


def test_a_worker_with_a_frame_half_of_the_time_is_busy_by_half() -> None:
    load = WorkerLoad()
    for number in range(10):
        start = 50 + number / 10
        load.handed_over(start, 0)
        load.answered(start + 0.05, TIMING_MS, rung=0, batch=1)
    assert load.busy(51.0) == pytest.approx(0.5)
    assert load.busy(53.0) == 0.0


def test_with_frames_all_the_time_the_time_between_answers_is_the_cost() -> None:
    load = WorkerLoad()
    load.handed_over(50.0, 0)
    load.handed_over(50.01, 1)
    for number in range(1, 21):
        load.answered(50 + number * 0.04, TIMING_MS, rung=0, batch=1)
        load.handed_over(50 + number * 0.04, 1)
    assert load.cost.ms(50.8) == pytest.approx(40.0)
    assert load.busy(50.8) == pytest.approx(0.8)


def test_frames_that_came_one_by_one_cost_what_their_stages_say() -> None:
    load = WorkerLoad()
    for number in range(10):
        load.handed_over(50 + number / 10, 0)
        load.answered(50 + number / 10 + 0.05, TIMING_MS, rung=0, batch=1)
    assert load.cost.ms(51.0) == 15.0


def test_frames_without_a_result_keep_a_worker_busy_and_teach_no_cost() -> None:
    load = WorkerLoad()
    for number in range(10):
        load.handed_over(50 + number / 10, 0)
        load.answered(50 + number / 10 + 0.1, {}, rung=0, batch=1)
    assert load.busy(51.0) == pytest.approx(1.0, abs=0.11)
    assert load.cost.ms(51.0) is None
