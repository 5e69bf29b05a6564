import math
from dataclasses import replace

import numpy as np
import pytest

from fetalseg.phantom.attenuation import above_frame_db, received_db, sliders_db
from fetalseg.phantom.scanner import Sector
from fetalseg.phantom.scene import FLUID, SOFT, Scene
from fetalseg.phantom.shapes import Pose
from tests.phantom.settings import PLAIN_CONSOLE


def limited(change: float, limit: float) -> float:
    return limit * math.tanh(change / limit)


def test_tissue_that_the_time_gain_control_is_set_for_looks_the_same_at_all_depths() -> None:
    assert not received_db(np.full((300, 4), SOFT, np.float32), 0.1, PLAIN_CONSOLE).any()


def test_tissue_that_takes_more_darkens_with_depth_there_and_back() -> None:
    # 0.3 dB/cm/MHz more than expected, 6 MHz, 2 cm deep, both ways: 0.3 * 6 * 2 * 2 = 7.2 dB
    change = received_db(np.full((200, 1), 0.8, np.float32), 0.1, PLAIN_CONSOLE)
    assert change[-1, 0] == pytest.approx(-limited(7.2, 22.0), abs=0.01)
    assert (np.diff(change[:, 0]) < 0).all()


def test_fluid_brightens_what_lies_behind_it_and_at_most_by_six_decibels() -> None:
    loss = np.full((600, 3), SOFT, np.float32)
    loss[50:100, 1] = FLUID  # 5 mm
    loss[50:550, 2] = FLUID  # 50 mm
    behind = received_db(loss, 0.1, PLAIN_CONSOLE)[-1]
    # 0.498 dB/cm/MHz less than expected, 6 MHz, 0.5 cm, both ways: 2.99 dB
    assert behind[1] == pytest.approx(limited(2.99, 6.0), abs=0.02)
    assert 5.9 < behind[2] <= 6.0


def test_behind_ten_to_thirty_millimetres_of_fluid_tissue_is_three_to_six_decibels_brighter() -> None:
    for frequency in (4.0, 6.0, 8.0):
        for depth in (100, 200, 300):
            loss = np.full((400, 1), SOFT, np.float32)
            loss[20 : 20 + depth] = FLUID
            behind = received_db(loss, 0.1, replace(PLAIN_CONSOLE, frequency_mhz=frequency))[-1, 0]
            assert 3.0 < behind < 6.0


def test_a_fetal_skull_of_four_tenths_of_a_millimetre_casts_a_partial_shadow() -> None:
    scene = Scene(Sector(300, 400, 0.1, (20.0, -1000.0), (999.9, 1030.5), (-0.02, 0.02)), seed=1)
    # drawn 1.2 mm thick, a third of it bone: 15 dB/cm/MHz * 0.04 cm * 6 MHz * 2 ways = 7.2 dB, of which the time
    # gain control expects 0.5 * 0.12 * 6 * 2 = 0.72
    skull = np.array([[0.0, 10.0], [40.0, 10.0]])
    scene.at(Pose()).line(skull, 22.0, 1.2, bone=1 / 3)
    radius, _ = scene.sector.beam_grid
    change = received_db(scene.sector.to_beams(scene.loss), float(radius[1] - radius[0]), PLAIN_CONSOLE)
    middle = change[:, change.shape[1] // 2]
    assert not middle[: np.searchsorted(radius, 1009.0)].any()
    assert middle[-1] == pytest.approx(-limited(7.2 - 0.72, 22.0), abs=0.4)


def test_a_shadow_and_an_enhancement_on_the_same_beam_add_up() -> None:
    loss = np.full((600, 1), SOFT, np.float32)
    loss[0:200] = FLUID  # 0.498 * 6 * 2 * 2 = 11.95 dB
    loss[300:310] = 6.5  # 6.0 * 6 * 2 * 0.1 = 7.2 dB
    assert received_db(loss, 0.1, PLAIN_CONSOLE)[-1, 0] == pytest.approx(
        limited(11.95, 6.0) - limited(7.2, 22.0), abs=0.02
    )


def test_the_first_and_last_slider_set_the_gain_at_the_top_and_the_bottom() -> None:
    gain = sliders_db(replace(PLAIN_CONSOLE, sliders_db=(-3.0, -3.0, 0.0, 0.0, 4.0, 4.0)), 300)
    assert gain.shape == (300, 1)
    assert gain[0, 0] == pytest.approx(-3.0, abs=0.4)
    assert gain[-1, 0] == pytest.approx(4.0, abs=0.4)


def test_what_lies_above_the_frame_darkens_whole_beams_by_less_than_forty_decibels() -> None:
    drawn = np.concatenate([above_frame_db(200, np.random.default_rng(seed)) for seed in range(200)])
    assert drawn.shape == (200, 200)
    assert np.median(drawn) == pytest.approx(0.0, abs=1.5)
    assert drawn.max() < 8.0
    deep = drawn.min(axis=1) < -6.0
    assert 0.25 < deep.mean() < 0.75  # dark streaks or sides in about half of the frames
    assert drawn.min() > -45.0
