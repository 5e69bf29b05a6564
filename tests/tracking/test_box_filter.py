"""A box over time: gains worked out by hand, and how far it lags."""

from __future__ import annotations

import numpy as np
import pytest

from fetalseg.tracking.box_filter import BoxFilter
from fetalseg.tracking.options import TrackerOptions

OPTIONS = TrackerOptions()
FRAME_S = 0.04
BOX = [100.0, 100.0, 200.0, 200.0]  # of size 100


def shifted(x: float, y: float = 0.0) -> list[float]:
    return [BOX[0] + x, BOX[1] + y, BOX[2] + x, BOX[3] + y]


def test_the_second_box_is_weighed_as_the_covariances_say() -> None:
    options = TrackerOptions(jitter=0.02, restlessness=0.3)
    box = BoxFilter(BOX, options)
    box.predict(FRAME_S)
    box.correct(shifted(2))
    # Place: 0.02^2 of the first box, 0.04^2 of its unknown speed (1 size/s), 0.3 * 0.04^3 / 3 of its restlessness.
    place = 0.0004 + 0.0016 + 0.0000064
    assert box.box == pytest.approx(shifted(2 * place / (place + 0.0004)))


def test_what_moves_evenly_is_followed_without_lag() -> None:
    box = BoxFilter(shifted(0), OPTIONS)
    for frame in range(1, 60):
        box.predict(FRAME_S)
        box.correct(shifted(3.0 * frame))
    assert box.box == pytest.approx(shifted(3.0 * 59), abs=0.05)


def test_a_standing_box_trembles_less_than_what_is_detected() -> None:
    noise = np.random.default_rng(5).normal(0, 2, (400, 4))
    box, seen = BoxFilter(BOX, OPTIONS), []
    for error in noise:
        box.predict(FRAME_S)
        box.correct([side + wrong for side, wrong in zip(BOX, error.tolist(), strict=True)])
        seen.append(box.box)
    steady = np.diff(np.array(seen)[50:], axis=0).std() / np.diff(noise[50:], axis=0).std()
    assert steady < 0.5


def test_a_swing_is_followed_with_less_than_a_frames_lag() -> None:
    # A probe that is moved to and fro by 30 px in 2 s: cosine of the phase at each frame, as detected and as filtered.
    angle = 2 * np.pi * FRAME_S / 2 * np.arange(200)
    box, seen = BoxFilter(BOX, OPTIONS), []
    for a in angle:
        box.predict(FRAME_S)
        box.correct(shifted(15 * float(np.sin(a))))
        seen.append(box.box[0] - BOX[0])
    late = np.array(seen)[50:150] @ np.exp(1j * angle[50:150])
    lag_frames = (np.angle(late) - np.pi / 2) / (2 * np.pi * FRAME_S / 2)
    assert 0 <= lag_frames < 1


def test_one_slip_moves_a_box_by_half_and_a_jump_is_made_one_frame_late() -> None:
    box = BoxFilter(BOX, OPTIONS)
    for _ in range(30):
        box.predict(FRAME_S)
        assert not box.correct(BOX)
    box.predict(FRAME_S)
    assert not box.correct(shifted(80))
    assert 0 < box.box[0] - BOX[0] < 60
    box.predict(FRAME_S)
    assert box.correct(shifted(80))
    assert box.box == shifted(80)


def test_a_box_that_is_not_found_slows_down() -> None:
    box = BoxFilter(shifted(0), OPTIONS)
    for frame in range(1, 60):
        box.predict(FRAME_S)
        box.correct(shifted(5.0 * frame))
    places = [box.box[0]]
    for _ in range(4):
        box.predict(FRAME_S)
        box.miss()
        places.append(box.box[0])
    # 5 px a frame, 0.6 of it after each miss.
    assert np.diff(places) == pytest.approx([5, 3, 1.8, 1.08], rel=0.05)


def test_sides_never_pass_each_other() -> None:
    box = BoxFilter([100, 100, 110, 110], OPTIONS)
    for width in (8, 6, 4, 2):
        box.predict(FRAME_S)
        box.correct([100, 100, 100 + width, 110])
    for _ in range(20):
        box.predict(0.5)
        x1, y1, x2, y2 = box.box
        assert x2 >= x1 + 1
        assert y2 >= y1 + 1
