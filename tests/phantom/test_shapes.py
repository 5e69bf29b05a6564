import math

import numpy as np
import pytest

from fetalseg.phantom.shapes import (
    Pose,
    capsule,
    ellipse,
    normals,
    offset,
    polygon_area,
    resample,
    ribbon,
    shifted,
    smooth,
)


def test_a_pose_mirrors_scales_turns_and_shifts_in_this_order() -> None:
    # (1, 0) mirrored is (-1, 0), doubled (-2, 0), turned by 90 degrees from x to y (0, -2), shifted (10, 3)
    moved = Pose(10.0, 5.0, math.pi / 2, 2.0, mirror=True).apply(np.array([[1.0, 0.0]]))
    np.testing.assert_allclose(moved, [[10.0, 3.0]], atol=1e-12)


@pytest.mark.parametrize("mirror_outer", [False, True])
@pytest.mark.parametrize("mirror_inner", [False, True])
def test_a_pose_inside_another_is_one_pose_after_the_other(mirror_outer: bool, mirror_inner: bool) -> None:
    outer, inner = Pose(3.0, -2.0, 0.7, 1.5, mirror_outer), Pose(-1.0, 4.0, -0.3, 0.5, mirror_inner)
    points = np.random.default_rng(0).normal(size=(5, 2))
    np.testing.assert_allclose(inner.inside(outer).apply(points), outer.apply(inner.apply(points)), atol=1e-12)


def test_an_ellipse_has_the_area_of_the_formula() -> None:
    assert polygon_area(ellipse(3.0, -1.0, 5.0, 2.0, 0.4, count=720)) == pytest.approx(math.pi * 10.0, rel=1e-4)


def test_a_ribbon_of_a_straight_line_is_a_rectangle() -> None:
    strip = ribbon(np.array([[0.0, 0.0], [5.0, 0.0], [10.0, 0.0]]), 2.0)
    assert polygon_area(strip) == pytest.approx(20.0)


def test_normals_of_a_line_to_the_right_point_down_the_screen() -> None:
    np.testing.assert_allclose(normals(np.array([[0.0, 0.0], [1.0, 0.0]])), [[0.0, 1.0], [0.0, 1.0]])


def test_an_ellipse_pushed_along_its_normals_grows_or_shrinks_by_the_distance_everywhere() -> None:
    circle = ellipse(0.0, 0.0, 10.0, 10.0, count=360)
    radii = np.hypot(*offset(circle, -2.0, closed=True).T)
    np.testing.assert_allclose(radii, 12.0, atol=1e-3)


def test_a_smooth_curve_goes_through_its_knots() -> None:
    knots = [(0.0, 0.0), (1.0, 2.0), (3.0, 1.0)]
    curve = smooth(knots, per_span=4)
    np.testing.assert_allclose(curve[[0, 4, 8]], knots)
    closed = smooth(knots, closed=True, per_span=4)
    assert len(closed) == 12
    np.testing.assert_allclose(closed[::4], knots)


def test_resampling_keeps_both_ends_and_the_step() -> None:
    points = resample(np.array([[0.0, 0.0], [3.0, 0.0], [3.0, 4.0]]), 0.5)
    np.testing.assert_allclose(points[[0, -1]], [[0.0, 0.0], [3.0, 4.0]])
    np.testing.assert_allclose(np.hypot(*np.diff(points, axis=0).T), 0.5)


def test_a_capsule_is_as_long_and_wide_as_asked_plus_its_round_ends() -> None:
    limb = capsule(10.0, 4.0, 4.0)
    assert limb[:, 1].max() - limb[:, 1].min() == pytest.approx(4.0, abs=0.05)
    assert limb[:, 0].max() - limb[:, 0].min() == pytest.approx(10.0 + 2 * 0.35 * 4.0, abs=0.05)


def test_points_are_left_alone_by_every_function() -> None:
    points = np.array([[0.0, 0.0], [1.0, 2.0], [3.0, 1.0]])
    kept = points.copy()
    shifted(points, 1.0, 1.0)
    smooth(points)
    ribbon(points, 1.0)
    Pose(1.0).apply(points)
    np.testing.assert_array_equal(points, kept)
