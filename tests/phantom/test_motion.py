import math

import numpy as np
import pytest

from fetalseg.phantom.motion import GONE, STILL, Motion, draw_movement

SECONDS = np.arange(0.0, 6.0, 0.02)


def course(seed: int) -> list[Motion]:
    movement = draw_movement(np.random.default_rng(seed), 6.0)
    return [movement.at(float(seconds), beat=0.0) for seconds in SECONDS]


def test_a_ball_cut_at_a_distance_shrinks_as_a_circle_does() -> None:
    # at 0.6 of its radius the cut of a ball has 0.8 of its radius
    assert Motion(away=0.3).shown(0.5) == pytest.approx(0.8)
    assert STILL.shown(0.5) == 1.0
    assert Motion(away=0.7).shown(0.5) == GONE


def test_a_movement_begins_where_the_still_picture_is() -> None:
    movement = draw_movement(np.random.default_rng(3), 4.0)
    assert movement.at(0.0, beat=0.0) == STILL


def test_probe_and_trunk_move_as_fast_as_real_ones() -> None:
    fastest, turning = [], []
    for seed in range(30):
        moments = course(seed)
        places = np.array([(moment.x_mm, moment.y_mm) for moment in moments])
        fastest.append(np.hypot(*(np.diff(places, axis=0) / 0.02).T).max())
        turning.append(np.abs(np.diff([moment.turn for moment in moments]) / 0.02).max())
    # probe 1 to 5 mm/s and the trunk 2 to 10 mm/s on top of it; 2 to 10 degrees/s and the fetus's own turns
    assert min(fastest) > 2.0
    assert max(fastest) < 16.0
    assert math.radians(2.0) < min(turning)
    assert max(turning) < math.radians(45.0)


def test_the_fetus_moves_in_bursts_and_rests_between_them() -> None:
    for seed in range(10):
        bent = np.array([moment.swing for moment in course(seed)])
        assert bent.max() > 0.2
        assert np.mean(np.abs(bent) < 0.07) > 0.15


def test_a_beat_squeezes_the_heart_by_an_eighth_and_lets_it_go() -> None:
    assert Motion(beat=0.0).squeeze == pytest.approx(1.0)
    assert Motion(beat=0.5).squeeze == pytest.approx(0.88)
    assert Motion(beat=1.0).squeeze == pytest.approx(1.0)
