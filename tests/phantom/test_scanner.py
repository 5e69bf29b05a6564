import math

import numpy as np
import pytest

from fetalseg.phantom.examination import draw_examination
from fetalseg.phantom.scanner import Sector, draw_sector


def zoomed() -> Sector:
    """40 x 30 mm at 0.1 mm/px, 70 mm below the apex."""
    return Sector(300, 400, 0.1, (20.0, -70.0), (69.9, 103.0), (-0.27, 0.27))


def test_the_size_in_mm_is_pixels_times_spacing() -> None:
    assert zoomed().size_mm == pytest.approx((40.0, 30.0))


def test_a_beam_straight_down_points_down_and_others_fan_out() -> None:
    sector = zoomed()
    beams = sector.beam_directions(np.array([[20.0, 10.0], [90.0, 0.0]]))
    np.testing.assert_allclose(beams, [[0.0, 1.0], [math.sqrt(0.5), math.sqrt(0.5)]])


def test_scan_conversion_brings_back_what_was_sampled_along_the_beams() -> None:
    sector = zoomed()
    y, x = np.mgrid[0:300, 0:400].astype(np.float32)
    image = (x + 2 * y).astype(np.float32)
    back = sector.to_pixels(sector.to_beams(image))
    inner = np.s_[20:280, 60:340]
    np.testing.assert_allclose(back[inner], image[inner], atol=0.6)


def test_the_whole_fan_shows_black_beside_the_sector_and_above_the_probe() -> None:
    sector = Sector(300, 400, 0.25, (50.0, -35.0), (50.0, 105.0), (-0.55, 0.55))
    assert not sector.inside[0, 200]  # above the curved face: 35 mm from the apex, the face is at 50
    assert sector.inside[100, 200]
    assert not sector.inside[100, 10]


@pytest.mark.parametrize("seed", range(12))
def test_every_drawn_sector_shows_most_of_the_frame(seed: int) -> None:
    rng = np.random.default_rng(seed)
    sector = draw_sector(rng, draw_examination(rng), 216, 320, 45.0)
    assert sector.inside.mean() > 0.45
    x, y = sector.middle
    assert sector.inside[int(y / sector.mm_per_px), int(x / sector.mm_per_px)]


def test_the_middle_of_a_slanted_zoom_lies_between_its_outermost_beams() -> None:
    # beams from (0, -50): straight down and at 45 degrees; at 15 mm down they are 65 mm apart, cut at 40 by the frame
    sector = Sector(300, 400, 0.1, (0.0, -50.0), (50.0, 130.0), (0.0, math.pi / 4))
    assert sector.middle == pytest.approx((20.0, 15.0))
    narrow = Sector(300, 400, 0.1, (0.0, -50.0), (50.0, 130.0), (0.0, math.atan(0.2)))
    assert narrow.middle == pytest.approx((6.5, 15.0))


def test_an_operator_keeps_the_structure_of_interest_near_the_same_place() -> None:
    aimed = Sector(300, 400, 0.1, (20.0, -70.0), (69.9, 103.0), (-0.27, 0.27), aim=(0.1, -0.05))
    places = np.array([aimed.wander(np.random.default_rng(seed)) for seed in range(60)])
    np.testing.assert_allclose(places.mean(axis=0) - aimed.middle, (4.0, -1.5), atol=0.4)
    assert places.std(axis=0).max() < 1.5


@pytest.mark.parametrize("probe", ["transabdominal", "transvaginal"])
def test_zoomed_frames_lie_at_the_depth_of_their_examination(probe: str) -> None:
    found = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        examination = draw_examination(rng)
        sector = draw_sector(rng, examination, 216, 320, 45.0)
        depth = -sector.apex[1] - examination.console.radius_mm  # of the frame's upper edge
        if examination.probe == probe and depth > 5.0:
            assert depth == pytest.approx(examination.console.depth_mm, rel=0.101)
            found += 1
    assert found >= 5
