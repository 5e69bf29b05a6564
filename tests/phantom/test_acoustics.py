from dataclasses import replace

import numpy as np
import pytest

from fetalseg.phantom.acoustics import Speckle, envelope, pulse_kernels, scan, shadows_db, unevenness
from fetalseg.phantom.examination import Console, draw_examination
from fetalseg.phantom.scanner import Sector
from fetalseg.phantom.scene import BONE, FLUID, SOFT, Scene
from fetalseg.phantom.shapes import Pose, ellipse


def console() -> Console:
    return draw_examination(np.random.default_rng(3)).console


def speckle(seed: int, phase: float = 0.0) -> Speckle:
    return Speckle(np.random.SeedSequence(seed), phase)


def uniform_envelope(looks: int) -> np.ndarray:
    flat = np.ones((500, 400), np.float32)
    kernels = pulse_kernels(console(), 0.11, 0.19)
    echo = envelope(flat, np.zeros_like(flat), kernels, speckle(1).scatterers(flat.shape), looks)
    return echo[20:-20, 20:-20]


def test_the_speckle_of_uniform_tissue_follows_rayleigh() -> None:
    echo = uniform_envelope(looks=1)
    # a Rayleigh variable has mean / standard deviation = sqrt(pi / (4 - pi)) = 1.913, and here unit power
    assert echo.mean() / echo.std() == pytest.approx(1.913, rel=0.04)
    assert (echo**2).mean() == pytest.approx(1.0, rel=0.05)


def test_compounding_four_looks_halves_the_speckle() -> None:
    one, four = uniform_envelope(looks=1), uniform_envelope(looks=4)
    assert four.mean() / four.std() == pytest.approx(2 * 1.913, rel=0.1)
    assert four.mean() == pytest.approx(one.mean(), rel=0.05)


def test_the_speckle_is_longer_across_the_beam_than_along_it() -> None:
    echo = uniform_envelope(looks=1)
    echo = echo - echo.mean()
    along = (echo[3:] * echo[:-3]).mean() / (echo**2).mean()
    across = (echo[:, 3:] * echo[:, :-3]).mean() / (echo**2).mean()
    assert along < across


def test_a_mirror_like_echo_stands_above_the_speckle() -> None:
    flat = np.full((100, 100), 0.01, np.float32)
    mirror = np.zeros_like(flat)
    mirror[45:56] = 10.0
    kernels = pulse_kernels(console(), 0.11, 0.19)
    echo = envelope(flat, mirror, kernels, speckle(2).scatterers(flat.shape))
    assert echo[50, 50] > 5.0
    assert echo[10, 50] < 0.1


def test_soft_tissue_casts_no_shadow_bone_does_and_fluid_brightens_what_lies_behind() -> None:
    loss = np.full((200, 3), SOFT, np.float32)
    loss[50:60, 1] = BONE  # 1 mm at 0.1 mm a step
    loss[50:150, 2] = FLUID  # 10 mm
    change = shadows_db(loss, 0.1, 6.0)
    np.testing.assert_allclose(change[:, 0], 0.0, atol=1e-4)
    assert -10.0 < change[199, 1] < -5.0  # partial: what lies behind a fetal skull stays visible
    # 0.498 dB/cm/MHz less than soft tissue, 6 MHz, 1 cm there and back, of which time gain control leaves 0.45
    assert change[199, 2] == pytest.approx(0.498 * 6 * 2 * 0.45, rel=0.01)
    assert (change[:50, 1:] == 0.0).all()


def test_enhancement_behind_much_fluid_ends_at_six_decibels() -> None:
    assert shadows_db(np.full((900, 1), FLUID, np.float32), 0.1, 7.0)[-1, 0] == pytest.approx(6.0)


def test_scatterers_turn_slowly_and_keep_their_variance() -> None:
    shape = (200, 200)
    still, soon, later = (speckle(5, phase).scatterers(shape)[0] for phase in (0.0, 0.1, np.pi / 2))
    assert np.corrcoef(still.ravel(), soon.ravel())[0, 1] == pytest.approx(np.cos(0.1), abs=0.01)
    assert np.corrcoef(still.ravel(), later.ravel())[0, 1] == pytest.approx(0.0, abs=0.02)
    assert later.std() == pytest.approx(1.0, abs=0.02)


def test_unevenness_has_unit_variance_and_moves_with_the_tissue() -> None:
    sector = Sector(300, 400, 0.1, (20.0, -70.0), (69.9, 103.0), (-0.27, 0.27))
    field = unevenness(sector, np.random.default_rng(0), (0.0, 0.0))
    assert field.std() == pytest.approx(1.0, abs=0.25)
    moved = unevenness(sector, np.random.default_rng(0), (2.0, 1.0))
    np.testing.assert_allclose(moved[10:, 20:], field[:-10, :-20], atol=1e-4)


def test_a_picture_is_black_outside_of_the_sector_bright_in_tissue_and_dark_in_fluid() -> None:
    scene = Scene(Sector(300, 400, 0.1, (20.0, -70.0), (69.9, 103.0), (-0.2, 0.2)), seed=1)
    scene.at(Pose()).tissue(ellipse(20.0, 15.0, 5.0, 5.0), -56.0, loss=FLUID, texture=0.0)
    settings = replace(console(), gain_db=0.0, haze_db=-60.0, noise_db=-60.0)
    flat = np.zeros((300, 400), np.float32)
    picture, level = scan(scene, settings, speckle(1), np.random.default_rng(1), flat)
    assert picture.min() >= 0.0
    assert picture.max() <= 255.0
    assert not picture[~scene.sector.inside].any()
    assert picture[130:170, 180:220].mean() < 10.0
    assert picture[20:60, 180:220].mean() > 50.0
    assert level[150, 200] < level[40, 200] - 30.0
