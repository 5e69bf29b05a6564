from dataclasses import replace

import numpy as np
import pytest

from fetalseg.phantom.display import compress, filter_speckle, grey_curve, shown, stored
from tests.phantom.settings import PLAIN_DISPLAY


def test_log_compression_is_linear_in_decibels_from_black_to_white() -> None:
    # white at +25 dB, black 60 dB below; soft tissue, 0 dB, 35/60 of the way
    power = 10.0 ** (np.array([[25.0, 0.0, -35.0, 40.0, -90.0]], np.float32) / 10)
    np.testing.assert_allclose(compress(power, PLAIN_DISPLAY), [[1.0, 35 / 60, 0.0, 1.0, 0.0]], atol=1e-5)


def test_a_plain_grey_curve_is_straight_and_a_contrasty_one_pushes_greys_apart() -> None:
    plain, hard = grey_curve(PLAIN_DISPLAY), grey_curve(replace(PLAIN_DISPLAY, contrast=1.0))
    np.testing.assert_allclose(plain, np.linspace(0, 255, len(plain)), atol=1e-3)
    assert hard[0] == 0.0
    assert hard[-1] == 255.0
    # 3 s^2 - 2 s^3 at a quarter: 0.15625
    assert hard[len(hard) // 4] == pytest.approx(255 * 0.15625, abs=0.5)
    assert (np.diff(hard) >= 0).all()


def test_shares_become_grey_by_the_curve() -> None:
    display = replace(PLAIN_DISPLAY, gamma=2.0)
    np.testing.assert_allclose(shown(np.array([[0.0, 0.5, 1.0]], np.float32), display), [[0, 63.75, 255]], atol=0.3)


def test_the_speckle_filter_smooths_even_tissue_and_keeps_a_wall() -> None:
    rng = np.random.default_rng(4)
    share = np.clip(rng.normal(0.4, 5.57 / 60.0, (80, 80)), 0, 1).astype(np.float32)
    share[:, 40:] += 0.5
    display = replace(PLAIN_DISPLAY, speckle_filter=0.9)
    before = share.copy()
    smooth = filter_speckle(share, display)
    np.testing.assert_array_equal(share, before)
    assert smooth[:, 5:35].std() < 0.75 * share[:, 5:35].std()
    step = smooth[:, 42:46].mean() - smooth[:, 34:38].mean()
    assert step == pytest.approx(share[:, 42:46].mean() - share[:, 34:38].mean(), rel=0.1)


def test_without_filter_and_sharpening_the_picture_stays_as_it_is() -> None:
    share = np.random.default_rng(5).random((20, 20), dtype=np.float32)
    np.testing.assert_array_equal(filter_speckle(share, PLAIN_DISPLAY), share)


def test_sharpening_steepens_an_edge() -> None:
    share = np.tile(np.clip((np.arange(60, dtype=np.float32) - 25) / 10, 0.2, 0.8), (10, 1))
    sharp = filter_speckle(share, replace(PLAIN_DISPLAY, sharpening=0.8))
    assert np.diff(sharp[5]).max() > 1.2 * np.diff(share[5]).max()


def test_a_posterised_frame_has_so_many_greys() -> None:
    ramp = np.tile(np.arange(256, dtype=np.uint8), (4, 1))
    greys = np.unique(stored(ramp, replace(PLAIN_DISPLAY, levels=11)))
    assert len(greys) == 11
    assert greys[0] == 0
    assert greys[-1] == 255


def test_a_plain_frame_is_stored_as_it_is_and_a_lossy_or_small_one_is_not() -> None:
    noise = np.random.default_rng(6).integers(0, 256, (64, 96)).astype(np.uint8)
    image = noise.copy()
    np.testing.assert_array_equal(stored(noise, PLAIN_DISPLAY), noise)
    for change in ({"jpeg_quality": 40}, {"sharpness": 0.4}):
        after = stored(noise, replace(PLAIN_DISPLAY, **change))
        assert after.shape == noise.shape
        assert after.dtype == np.uint8
        assert (after != noise).mean() > 0.5
        assert after.mean() == pytest.approx(noise.mean(), abs=2.0)
    np.testing.assert_array_equal(noise, image)


def test_few_pixels_leave_a_soft_edge() -> None:
    edge = np.zeros((40, 64), np.uint8)
    edge[:, 32:] = 200
    soft = stored(edge, replace(PLAIN_DISPLAY, sharpness=0.35))
    assert np.diff(soft[20].astype(int)).max() < 100
    assert soft[20, 20] == 0
    assert soft[20, 44] == 200
