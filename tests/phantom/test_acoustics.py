from dataclasses import replace

import numpy as np

from fetalseg.phantom.acoustics import Speckle, scan, unevenness
from fetalseg.phantom.scanner import Map, Sector
from fetalseg.phantom.scene import FLUID, Scene
from fetalseg.phantom.shapes import Pose, ellipse
from tests.phantom.settings import PLAIN_CONSOLE

_FLAT = np.zeros((300, 400), np.float32)


def scene() -> Scene:
    """40 x 30 mm, the upper edge 20 mm below the probe's face."""
    return Scene(Sector(300, 400, 0.1, (20.0, -70.0), (69.9, 103.0), (-0.2, 0.2)), seed=1)


def scanned(plane: Scene, seed: int = 1) -> tuple[Map, Map]:
    speckle = Speckle(np.random.SeedSequence(seed))
    return scan(plane, PLAIN_CONSOLE, speckle, np.random.default_rng(seed), _FLAT)


def test_a_picture_is_black_outside_of_the_sector_bright_in_tissue_and_dark_in_fluid() -> None:
    plane = scene()
    plane.at(Pose()).tissue(ellipse(20.0, 15.0, 5.0, 5.0), -56.0, loss=FLUID, texture=0.0)
    picture, level = scanned(plane)
    assert picture.min() >= 0.0
    assert picture.max() <= 255.0
    assert not picture[~plane.sector.inside].any()
    assert picture[130:170, 180:220].mean() < 10.0
    assert picture[20:60, 180:220].mean() > 50.0
    assert level[150, 200] < level[40, 200] - 30.0


def test_equal_seeds_give_equal_pictures() -> None:
    np.testing.assert_array_equal(scanned(scene(), 7), scanned(scene(), 7))
    assert (scanned(scene(), 7)[0] != scanned(scene(), 8)[0]).any()


def test_a_skull_is_brighter_in_the_picture_where_the_beam_meets_it_head_on() -> None:
    plane = scene()
    painter = plane.at(Pose(20.0, 15.0))
    painter.tissue(ellipse(0.0, 0.0, 14.0, 14.0), -56.0, loss=FLUID, texture=0.0)
    painter.line(ellipse(0.0, 0.0, 8.0, 8.0, count=180), 18.0, 1.0, power=4, uneven=0.0, closed=True)
    picture, _ = scanned(plane)
    top, bottom = picture[65:80, 190:210].max(axis=0).mean(), picture[220:240, 190:210].max(axis=0).mean()
    left, right = picture[140:160, 110:130].max(axis=1).mean(), picture[140:160, 270:290].max(axis=1).mean()
    assert min(top, bottom) > 1.4 * max(left, right)
    assert min(left, right) > 20.0  # the floor of the specular law: it doesn't vanish


def test_a_shadow_lies_straight_below_bone_along_the_beams() -> None:
    plane = scene()
    plane.at(Pose()).line(np.array([[16.0, 5.0], [24.0, 5.0]]), 22.0, 1.0, bone=1.0)
    _, level = scanned(plane)
    # the beams fan out about (20, -70): 4 mm to the side at 5 mm are 5.1 mm to the side at 25 mm
    assert level[250, 200] < level[250, 330] - 10.0
    assert level[250, 200 + 47] < level[250, 330] - 5.0
    assert level[250, 200 + 60] > level[250, 330] - 2.0


def test_shadows_from_above_the_frame_and_haze_stay_where_they_are_from_frame_to_frame() -> None:
    hazy = replace(PLAIN_CONSOLE, haze_db=-20.0)
    frames = [
        scan(scene(), hazy, Speckle(np.random.SeedSequence(1)), np.random.default_rng(noise), _FLAT)[0]
        for noise in (1, 2)
    ]
    inside = scene().sector.inside
    assert np.corrcoef(frames[0][inside], frames[1][inside])[0, 1] > 0.99


def test_haze_lifts_black_fluid_most_at_the_top_of_the_frame() -> None:
    plane = scene()
    plane.at(Pose()).tissue(np.array([[0.0, 0.0], [40.0, 0.0], [40.0, 30.0], [0.0, 30.0]]), -60.0, loss=FLUID)
    speckle = Speckle(np.random.SeedSequence(1))
    hazy = replace(PLAIN_CONSOLE, haze_db=-20.0)
    clear, lifted = (scan(plane, c, speckle, np.random.default_rng(1), _FLAT)[0] for c in (PLAIN_CONSOLE, hazy))
    assert clear[20:280, 150:250].mean() < 5.0
    assert lifted[10:60, 150:250].mean() > lifted[240:290, 150:250].mean()
    assert lifted[10:60, 150:250].mean() > 15.0


def test_unevenness_has_unit_variance_and_moves_with_the_tissue() -> None:
    sector = Sector(300, 400, 0.1, (20.0, -70.0), (69.9, 103.0), (-0.27, 0.27))
    fields = [unevenness(sector, np.random.default_rng(seed), (0.0, 0.0)) for seed in range(6)]
    assert abs(np.mean([field.std() for field in fields]) - 1.0) < 0.15
    moved = unevenness(sector, np.random.default_rng(0), (2.0, 1.0))
    np.testing.assert_allclose(moved[10:, 20:], fields[0][:-10, :-20], atol=1e-4)
