from __future__ import annotations

from dataclasses import dataclass

import pytest

from fetalseg_server.ladder import Rung, parse_ladder
from fetalseg_server.pool.ladder_control import LadderControl

RUNGS = parse_ladder(["detections=5", "half_rate"])


def cost_ms(rung: int) -> float:
    return [16.0, 12.0, 12.0][rung]


@dataclass
class Session:
    rung: int = 0
    weight: float = 1.0
    fps: float = 25.0
    lost: float = 0.0


def test_a_rung_keeps_what_the_rungs_before_it_changed() -> None:
    assert parse_ladder(["candidates=50 detections=10", "no_masks", "model=fetalseg-n half_rate"]) == (
        Rung(),
        Rung(candidates=50, detections=10),
        Rung(candidates=50, detections=10, no_masks=True),
        Rung(candidates=50, detections=10, no_masks=True, model="fetalseg-n", half_rate=True),
    )
    assert parse_ladder([]) == (Rung(),)


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (
            ["small"],
            "unknown word 'small' in rung 1 .* known words are candidates=N, detections=N, no_masks, model=NAME",
        ),
        (["no_masks", "detections"], "expected detections=N in rung 2, got 'detections'"),
        (["detections=0"], "expected detections=N in rung 1, got 'detections=0'"),
        (["candidates=-3"], "expected candidates=N in rung 1"),
        (["half_rate=2"], "expected half_rate in rung 1, got 'half_rate=2'"),
        (["model="], "expected model=NAME in rung 1"),
        (["no_masks", "no_masks"], "rung 2 of the ladder changes nothing: 'no_masks'"),
        ([""], "rung 1 of the ladder changes nothing"),
    ],
)
def test_a_bad_rung_says_what_is_wrong_with_it(texts: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_ladder(texts)


def test_under_load_one_session_steps_down_at_a_time_the_lightest_of_the_best_first() -> None:
    control = LadderControl(RUNGS)
    light, heavy = Session(weight=0.5, lost=0.2), Session(weight=2.0, lost=0.2)
    seen = []
    for step in range(5):
        control.regulate(step / 2, 1.0, [heavy, light], cost_ms)
        seen.append((light.rung, heavy.rung))
    assert seen == [(1, 0), (1, 1), (2, 1), (2, 2), (2, 2)]


def test_losses_on_a_worker_with_time_left_are_not_its_fault() -> None:
    session = Session(lost=1.0)
    assert LadderControl(RUNGS).regulate(0.0, 0.85, [session], cost_ms) is None
    assert session.rung == 0


def test_a_busy_worker_that_loses_nothing_is_no_reason() -> None:
    assert LadderControl(RUNGS).regulate(0.0, 1.0, [Session(lost=0.04)], cost_ms) is None


def test_after_five_calm_seconds_sessions_step_up_again_the_heaviest_of_the_lowest_first() -> None:
    control = LadderControl(RUNGS)
    light, heavy = Session(rung=1, weight=0.5), Session(rung=2, weight=2.0)
    steps = [
        (t, (light.rung, heavy.rung)) for t in range(20) if control.regulate(float(t), 0.2, [light, heavy], cost_ms)
    ]
    assert steps == [(5, (1, 1)), (10, (1, 0)), (15, (0, 0))]


def test_a_step_up_must_leave_room() -> None:
    control = LadderControl(RUNGS)
    session = Session(rung=1)
    control.regulate(0.0, 0.75, [session], cost_ms)
    # 25 frames of 4 ms more are a tenth of the worker's time.
    assert control.regulate(6.0, 0.75, [session], cost_ms) is None
    assert control.regulate(7.0, 0.65, [session], cost_ms) is session


def test_leaving_half_rate_counts_the_frames_that_come_back() -> None:
    control = LadderControl(RUNGS)
    session = Session(rung=2)
    control.regulate(0.0, 0.6, [session], cost_ms)
    # 12.5 frames more of 12 ms are 15 %.
    assert control.regulate(6.0, 0.66, [session], cost_ms) is None
    assert control.regulate(7.0, 0.64, [session], cost_ms) is session


def test_a_step_up_that_fails_makes_the_next_one_wait_twice_as_long() -> None:
    control = LadderControl(RUNGS)
    session = Session(rung=1)
    control.regulate(0.0, 0.2, [session], cost_ms)
    assert control.regulate(5.0, 0.2, [session], cost_ms) is session
    session.lost = 0.5
    assert control.regulate(6.0, 1.0, [session], cost_ms) is session
    session.lost = 0.0
    control.regulate(7.0, 0.2, [session], cost_ms)
    assert control.regulate(16.0, 0.2, [session], cost_ms) is None
    assert control.regulate(17.0, 0.2, [session], cost_ms) is session
    # This one holds, so the wait is five seconds again.
    control.regulate(28.0, 0.2, [session], cost_ms)
    session.rung, session.lost = 0, 0.5
    control.regulate(29.0, 1.0, [session], cost_ms)
    session.lost = 0.0
    control.regulate(30.0, 0.2, [session], cost_ms)
    assert control.regulate(35.0, 0.2, [session], cost_ms) is session


def test_an_unknown_cost_is_no_reason_to_stay_down() -> None:
    control = LadderControl(RUNGS)
    session = Session(rung=1)
    control.regulate(0.0, 0.2, [session], lambda rung: None)
    assert control.regulate(5.0, 0.2, [session], lambda rung: None) is session
