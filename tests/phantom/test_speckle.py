from dataclasses import replace

import numpy as np
import pytest

from fetalseg.phantom.psf import Zones
from fetalseg.phantom.speckle import Speckle, envelope_power
from tests.phantom.settings import PLAIN_CONSOLE

_SHAPE = (600, 400)


def speckle(seed: int, phase: float = 0.0) -> Speckle:
    return Speckle(np.random.SeedSequence(seed), phase)


def zones() -> Zones:
    console = replace(PLAIN_CONSOLE, aperture_mm=24.0)
    return Zones.of(console, np.linspace(60.0, 120.0, 600), np.linspace(-0.4, 0.4, 400))


def uniform_envelope(looks: int, seed: int = 1) -> np.ndarray:
    flat = np.ones(_SHAPE, np.float32)
    power = envelope_power(flat, np.zeros_like(flat), zones(), speckle(seed).scatterers(_SHAPE), looks)
    return np.sqrt(power)


def test_the_speckle_of_uniform_tissue_follows_rayleigh() -> None:
    echo = uniform_envelope(looks=1)
    # a Rayleigh variable has mean / standard deviation = sqrt(pi / (4 - pi)) = 1.913
    assert echo.mean() / echo.std() == pytest.approx(1.913, abs=0.1)
    assert (echo**2).mean() == pytest.approx(1.0, rel=0.05)
    # and a fourth moment of twice the square of its second
    assert (echo**4).mean() / (echo**2).mean() ** 2 == pytest.approx(2.0, rel=0.1)


def test_uniform_tissue_has_the_same_mean_level_at_all_depths() -> None:
    power = np.mean([uniform_envelope(1, seed) ** 2 for seed in range(8)], axis=0)
    bands = power.reshape(12, 50, 400).mean(axis=(1, 2))
    assert np.abs(10 * np.log10(bands)).max() < 0.4  # dB


def test_compounding_three_looks_divides_the_spread_by_the_root_of_three() -> None:
    one, three = uniform_envelope(looks=1), uniform_envelope(looks=3)
    assert three.mean() / three.std() == pytest.approx(3**0.5 * 1.913, rel=0.1)
    assert three.mean() == pytest.approx(one.mean(), rel=0.05)


def test_the_speckle_is_longer_across_the_beam_than_along_it() -> None:
    echo = uniform_envelope(looks=1)
    echo = echo - echo.mean()
    along = (echo[3:] * echo[:-3]).mean() / (echo**2).mean()
    across = (echo[:, 2:] * echo[:, :-2]).mean() / (echo**2).mean()  # 0.36 mm there at mid depth, along 0.30
    assert along < across


def test_a_mirror_like_echo_stands_above_the_speckle_with_its_own_amplitude() -> None:
    quiet = np.full(_SHAPE, 0.01, np.float32)
    mirror = np.zeros_like(quiet)
    mirror[295:306] = 10.0
    power = envelope_power(quiet, mirror, zones(), speckle(2).scatterers(_SHAPE))
    assert np.sqrt(power[300, 200]) == pytest.approx(10.0, rel=0.02)
    assert np.sqrt(power[30, 200]) < 0.1


def test_scatterers_turn_slowly_and_keep_their_variance() -> None:
    shape = (200, 200)
    still, soon, later = (speckle(5, phase).scatterers(shape)[0] for phase in (0.0, 0.1, np.pi / 2))
    assert np.corrcoef(still.ravel(), soon.ravel())[0, 1] == pytest.approx(np.cos(0.1), abs=0.01)
    assert np.corrcoef(still.ravel(), later.ravel())[0, 1] == pytest.approx(0.0, abs=0.02)
    assert later.std() == pytest.approx(1.0, abs=0.02)


def test_equal_seeds_give_equal_scatterers_and_other_seeds_others() -> None:
    first, again, other = (speckle(seed).scatterers((20, 30)) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first, again)
    assert (first[0] != other[0]).any()
    assert (first[0] != first[1]).any()
