import math

import numpy as np
import pytest

from fetalseg.phantom.scanner import Sector
from fetalseg.phantom.scene import BONE, FLUID, SOFT, Scene, coverage
from fetalseg.phantom.shapes import Pose, ellipse


def empty_scene() -> Scene:
    return Scene(Sector(300, 400, 0.1, (20.0, -70.0), (69.9, 103.0), (-0.27, 0.27)), seed=1)


@pytest.mark.parametrize("turn", [0.0, 0.3, 1.1])
def test_a_mask_has_the_area_of_the_ellipse_that_was_drawn(turn: float) -> None:
    scene = empty_scene()
    scene.at(Pose(20.0, 15.0, turn)).label("cranium", ellipse(0.0, 0.0, 9.0, 6.0, count=360))
    assert scene.shapes[0].mask.sum() * 0.1**2 == pytest.approx(math.pi * 9.0 * 6.0, rel=0.01)


def test_a_bar_thinner_than_a_millimetre_keeps_its_area() -> None:
    scene = empty_scene()
    bar = np.array([[5.03, 10.0], [7.03, 10.0], [7.03, 10.8], [5.03, 10.8]])
    scene.at(Pose()).label("nasal_bone", bar)
    assert scene.shapes[0].mask.sum() * 0.1**2 == pytest.approx(2.0 * 0.8, rel=0.05)


def test_coverage_counts_pixels_by_their_share_and_follows_pixel_edges() -> None:
    found = coverage(np.array([[2.0, 3.0], [4.5, 3.0], [4.5, 5.0], [2.0, 5.0]]), (10, 10))
    assert found is not None
    rows, columns, part = found
    full = np.zeros((10, 10))
    full[rows, columns] = part / 255
    assert full[3, 2:4].tolist() == [1.0, 1.0]
    assert full[3, 4] == pytest.approx(0.5, abs=0.26)  # drawn four times finer: its edge may be an eighth too wide
    assert full[3, 6] == 0.0
    assert full[6, 3] == 0.0


def test_an_outline_outside_of_the_frame_covers_nothing_and_labels_an_empty_mask() -> None:
    scene = empty_scene()
    scene.at(Pose(-100.0, 0.0)).label("hand", ellipse(0.0, 0.0, 3.0, 3.0))
    scene.at(Pose(-100.0, 0.0)).tissue(ellipse(0.0, 0.0, 3.0, 3.0), 10.0)
    scene.at(Pose(-100.0, 0.0)).line(ellipse(0.0, 0.0, 3.0, 3.0), 10.0, 1.0)
    assert not scene.shapes[0].mask.any()
    assert (scene.level == scene.level[0, 0]).all()
    assert not scene.mirror.any()


def test_tissue_hides_what_was_drawn_before() -> None:
    scene = empty_scene()
    painter = scene.at(Pose(20.0, 15.0))
    painter.line(np.array([[-5.0, 0.0], [5.0, 0.0]]), 20.0, 1.0)
    painter.tissue(ellipse(0.0, 0.0, 8.0, 8.0), -56.0, loss=FLUID)
    assert scene.mirror[150, 200] == 0.0
    assert scene.level[150, 200] == pytest.approx(-56.0)
    assert scene.loss[150, 200] == pytest.approx(FLUID, rel=1e-4)


def test_a_limb_in_front_takes_the_hidden_part_out_of_the_mask_behind() -> None:
    scene = empty_scene()
    painter = scene.at(Pose(20.0, 15.0))
    painter.label("calf", ellipse(0.0, 0.0, 6.0, 3.0), hides=True)
    painter.label("thigh", ellipse(4.0, 0.0, 6.0, 3.0), hides=True)
    calf, thigh = scene.shapes
    assert not (calf.mask & thigh.mask).any()
    assert calf.whole_px == pytest.approx(thigh.whole_px)
    assert calf.mask.sum() < 0.7 * calf.whole_px


def test_a_skull_is_bright_where_the_beam_meets_it_head_on_and_drops_out_on_the_sides() -> None:
    scene = empty_scene()
    ring = ellipse(20.0, 15.0, 10.0, 10.0, count=180)
    scene.at(Pose()).line(ring, 22.0, 1.0, power=4, uneven=0.0, closed=True)
    near, far = scene.mirror[40:60, 200].max(), scene.mirror[240:260, 200].max()
    left, right = scene.mirror[150, 90:110].max(), scene.mirror[150, 290:310].max()
    head_on = 10 ** (22 / 20)
    assert near == pytest.approx(head_on, rel=0.02)
    assert far == pytest.approx(head_on, rel=0.02)
    assert max(left, right) < 0.15 * head_on
    assert min(left, right) == pytest.approx(0.08 * head_on, rel=0.1)  # the floor of the specular law


def test_a_line_keeps_its_pattern_when_another_line_changes() -> None:
    drawn = []
    for length in (4.0, 9.0):
        scene = empty_scene()
        painter = scene.at(Pose(5.0, 5.0))
        painter.line(np.array([[0.0, 0.0], [length, 0.0]]), 10.0, 0.5)
        painter.line(np.array([[0.0, 15.0], [20.0, 15.0]]), 10.0, 0.5)
        drawn.append(scene.mirror[180:])
    np.testing.assert_array_equal(*drawn)


@pytest.mark.parametrize("blur_px", [0.0, 1.5, 2.4, 2.6, 8.0])
def test_a_soft_edge_keeps_the_area_and_lies_half_way_on_the_outline(blur_px: float) -> None:
    found = coverage(ellipse(100.0, 80.0, 50.0, 40.0, count=180), (160, 200), blur_px)
    assert found is not None
    full = np.zeros((160, 200))
    full[found[0], found[1]] = found[2] / 255
    assert full.sum() == pytest.approx(math.pi * 50 * 40, rel=0.015)
    assert full[80, 148:152].mean() == pytest.approx(0.5, abs=0.12)


def test_a_soft_shape_fades_out_without_a_step_at_its_bounding_box() -> None:
    found = coverage(np.array([[60.0, 60.0], [100.0, 60.0], [100.0, 100.0], [60.0, 100.0]]), (160, 160), 4.0)
    assert found is not None
    full = np.zeros((160, 160))
    full[found[0], found[1]] = found[2] / 255
    assert np.abs(np.diff(full[80])).max() < 0.14
    assert full[80, 64] > full[80, 60] > full[80, 56] > 0.0


def test_bone_in_a_line_takes_its_share_of_the_loss_where_the_line_lies() -> None:
    scene = empty_scene()
    scene.at(Pose()).line(np.array([[5.0, 15.0], [35.0, 15.0]]), 20.0, 1.0, bone=0.4)
    column = scene.loss[:, 200]
    assert column[150] == pytest.approx(0.4 * BONE)
    assert column[140] == pytest.approx(SOFT)
    # 1 mm thick: the loss through it is 1 mm of it, whatever the pixels at its edges hold
    assert ((column - SOFT).sum() * 0.1) == pytest.approx(0.4 * BONE - SOFT, rel=0.06)
