from __future__ import annotations

import pytest

from fetalseg_server.pool.pace import Pace

# 5 ms to prepare a frame, 40 ms for the rest.
TIMING_MS = {"queue": 100.0, "decode": 3.0, "preprocess": 2.0, "infer": 35.0, "postprocess": 4.0, "encode": 1.0}


def settled() -> Pace:
    """After so many frames of the same kind that the running means have settled."""
    pace = Pace()
    for _ in range(100):
        pace.answered(0.0, TIMING_MS)
    return pace


def test_the_next_frame_is_ready_3_ms_before_the_network_is_free() -> None:
    pace = settled()
    pace.answered(10.0, TIMING_MS)  # its successor is in the network until 10.040, and takes 5 ms to prepare
    assert pace.next_at() == pytest.approx(10.040 - 0.005 - 0.003)


def test_after_an_idle_time_the_first_frame_is_prepared_before_its_network_starts() -> None:
    pace = settled()
    pace.handed_over(20.0)
    assert pace.next_at() == pytest.approx(20.0 + 0.005 + 0.040 - 0.005 - 0.003)


def test_before_anything_is_known_nothing_is_held_back() -> None:
    pace = Pace()
    pace.handed_over(5.0)
    assert pace.next_at() < 5.0


def test_frames_without_a_result_teach_nothing() -> None:
    pace = settled()
    pace.answered(10.0, {})
    assert pace.next_at() == pytest.approx(10.032)
