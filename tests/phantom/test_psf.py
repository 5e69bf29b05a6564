import math
from dataclasses import replace

import numpy as np
import pytest

from fetalseg.phantom.psf import Zones, spread_at
from tests.phantom.settings import PLAIN_CONSOLE


def zones() -> tuple[Zones, float, float]:
    """Zones of a fan from 10 to 70 mm below the probe's face, step in mm along the beam, and between beams in rad."""
    radius, angle = np.linspace(60.0, 120.0, 601), np.linspace(-0.3, 0.3, 301)
    return Zones.of(PLAIN_CONSOLE, radius, angle), 0.1, 0.002


def width(profile: np.ndarray, step: float) -> float:
    """Full width at half height of a single peak, by linear interpolation."""
    peak = int(profile.argmax())
    half = profile[peak] / 2
    right = peak + int(np.argmax(profile[peak:] < half))
    left = peak - int(np.argmax(profile[peak::-1] < half))
    over = (profile[right - 1] - half) / (profile[right - 1] - profile[right])
    under = (profile[left + 1] - half) / (profile[left + 1] - profile[left])
    return float((right - 1 + over - left - 1 + under) * step)


def test_a_pulse_at_the_skin_is_as_long_as_its_bandwidth_allows() -> None:
    # 2 ln 2 / pi * 1.54 mm/us / (0.4 * 6 MHz)
    assert spread_at(PLAIN_CONSOLE, 0.0).along == pytest.approx(0.4413 * 1.54 / 2.4, rel=1e-3)


def test_the_pulse_lengthens_with_depth() -> None:
    lengths = [spread_at(PLAIN_CONSOLE, depth).along for depth in (10.0, 30.0, 60.0, 90.0)]
    assert lengths == sorted(lengths)
    # the spectrum's SD is 2.4 / 2.355 = 1.019 MHz; 60 mm there and back at 0.005756 neper/mm/MHz take 0.717 MHz
    assert lengths[2] == pytest.approx(0.4413 * 1.54 / 0.4 / (6.0 - 0.717), rel=1e-3)


def test_the_beam_is_narrowest_at_the_focus_and_there_wavelength_times_depth_over_aperture() -> None:
    depths = np.arange(10.0, 80.0, 1.0)
    across = [spread_at(PLAIN_CONSOLE, depth).across for depth in depths]
    assert abs(depths[int(np.argmin(across))] - 40.0) <= 2.0  # the falling frequency moves it a little to the probe
    # 6 MHz less 0.478 at 40 mm: wavelength 0.2789 mm, times 40 / 20
    assert spread_at(PLAIN_CONSOLE, 40.0).across == pytest.approx(0.2789 * 2.0, rel=1e-3)
    assert across[0] > 1.3 * min(across)
    assert across[-1] > 1.3 * min(across)


def test_half_the_aperture_doubles_the_width_at_the_focus() -> None:
    whole, half = PLAIN_CONSOLE, replace(PLAIN_CONSOLE, aperture_mm=10.0)
    assert spread_at(half, 40.0).across == pytest.approx(2.0 * spread_at(whole, 40.0).across)


@pytest.mark.parametrize("row", [100, 300, 520])
def test_a_point_spreads_as_far_as_the_formula_says_at_its_depth(row: int) -> None:
    model, step, turn = zones()
    point = np.zeros((601, 301), np.float32)
    point[row, 150] = 1.0
    image = model.mirrored(point)
    radius = 60.0 + row * step
    expected = spread_at(PLAIN_CONSOLE, radius - 50.0)
    assert width(image[:, 150], step) == pytest.approx(expected.along, rel=0.06)
    assert width(image[row], turn * radius) == pytest.approx(expected.across, rel=0.08)


def test_uniform_tissue_has_the_same_power_at_all_depths_also_between_two_zones() -> None:
    model, _, _ = zones()
    rng = np.random.default_rng(1)
    power = np.zeros(601)
    for _ in range(24):
        echo = model.scattered(rng.standard_normal((601, 301), dtype=np.float32))
        power += (echo**2).mean(axis=1) / 24
    parts = power[:600].reshape(24, 25).mean(axis=1)  # 25 rows, about half the distance between two zones
    np.testing.assert_allclose(parts, 1.0, atol=0.07)
    assert power.mean() == pytest.approx(1.0, abs=0.015)


def test_an_even_mirror_keeps_its_height_at_all_depths() -> None:
    model, _, _ = zones()
    np.testing.assert_allclose(model.mirrored(np.full((601, 301), 3.0, np.float32)), 3.0, rtol=1e-4)


def test_one_zone_is_a_plain_convolution() -> None:
    model = Zones(200, 0.1, ((2.0, 3.0), (2.0, 3.0)))
    noise = np.random.default_rng(2).standard_normal((200, 200), dtype=np.float32)
    echo = model.scattered(noise)
    lag = (echo[:, 3:] * echo[:, :-3]).mean() / (echo**2).mean()
    assert lag == pytest.approx(math.exp(-(3.0**2) / (4 * 3.0**2)), abs=0.03)  # autocorrelation of Gaussian kernels
