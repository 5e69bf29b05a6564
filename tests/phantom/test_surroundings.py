import numpy as np
import pytest

from fetalseg.phantom.scanner import Sector
from fetalseg.phantom.scene import FLUID, Scene
from fetalseg.phantom.shapes import Pose, ellipse
from fetalseg.phantom.surroundings import FLUID_DB, draw_womb, open_sac, surround

FETUS = ellipse(24.0, 16.0, 8.0, 6.0)


def scene() -> Scene:
    """48 x 32 mm at 0.25 mm/px."""
    return Scene(Sector(128, 192, 0.25, (24.0, -70.0), (69.9, 105.0), (-0.3, 0.3)), seed=1)


def test_the_womb_fills_the_frame_with_tissue() -> None:
    for seed in range(20):
        plane = scene()
        draw_womb(plane.at(Pose()), np.random.default_rng(seed))
        assert plane.level.min() > -20.0
        assert plane.loss.min() > 0.4


def test_an_open_sac_is_black_fluid_between_brighter_walls() -> None:
    for seed in range(20):
        plane = scene()
        painter, rng = plane.at(Pose()), np.random.default_rng(seed)
        draw_womb(painter, rng)
        before = float(np.median(plane.level))
        open_sac(painter, ellipse(24.0, 16.0, 14.0, 10.0), rng)
        assert plane.loss[64:88, 76:116].min() == pytest.approx(FLUID, rel=0.01)
        assert np.percentile(plane.level[76:96, 76:116], 10) == pytest.approx(FLUID_DB, abs=1.5)
        assert np.median(plane.level[:, :20]) > before - 12.0


def test_the_fetus_lies_in_fluid_with_room_on_one_side_at_least() -> None:
    black = []
    for seed in range(40):
        plane = scene()
        surround(plane.at(Pose()), FETUS, np.random.default_rng(seed))
        assert plane.loss[64, 96] < 0.45  # its middle lies in the sac, or in cord that floats there
        black.append(np.mean(plane.loss < 0.1))
    # the fetus will take pi * 8 * 6 / (48 * 32) = 10 % of the frame; the median sac is 1.65 times as long and as wide
    assert np.percentile(black, 10) > 0.09
    assert np.median(black) == pytest.approx(0.27, abs=0.08)


def test_membrane_or_cord_floats_in_about_half_of_the_sacs() -> None:
    floating = []
    for seed in range(100):
        plane = scene()
        open_sac(plane.at(Pose()), ellipse(24.0, 16.0, 16.0, 12.0), np.random.default_rng(seed))
        y, x = np.mgrid[0:128, 0:192] * 0.25
        inner = ((x - 24) / 16) ** 2 + ((y - 16) / 12) ** 2 < 0.90**2
        floating.append(bool((plane.mirror[inner] > 0.5).any()))
    # the amnion in 0.3 of them, unless it lies within a tenth of the wall, cord in 0.3
    assert 0.3 < np.mean(floating) < 0.65
