"""Polygons: their form by hand, and what they promise for masks of every kind."""

from __future__ import annotations

import json

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from fetalseg.encoding import polygons, polygons_json

Mask = npt.NDArray[np.bool_]
Ring = list[float]


def rings_of(mask: Mask) -> list[Ring]:
    return polygons([mask], np.zeros((1, 2), np.int64))[0]


def mask_of(*rows: str) -> Mask:
    return np.array([[letter == "#" for letter in row] for row in rows])


def corners(ring: Ring) -> set[tuple[float, float]]:
    return set(zip(ring[0::2], ring[1::2], strict=True))


def fill(rings: list[Ring], shape: tuple[int, int]) -> Mask:
    """Even-odd rule at pixel centres, one edge after the other."""
    result = np.zeros(shape, np.bool_)
    y, x = np.arange(shape[0]) + 0.5, np.arange(shape[1]) + 0.5
    for ring in rings:
        points = np.array(ring).reshape(-1, 2)
        for (x1, y1), (x2, y2) in zip(points, np.roll(points, -1, axis=0), strict=True):
            rows = np.flatnonzero((y >= min(y1, y2)) & (y < max(y1, y2)))
            if len(rows):
                result[rows] ^= x > (x1 + (y[rows] - y1) / (y2 - y1) * (x2 - x1))[:, None]
    return result


def without_holes(mask: Mask) -> Mask:
    """Background that can't be reached from outside over the sides of pixels becomes foreground."""
    _, parts = cv2.connectedComponents(np.pad(~mask, 1, constant_values=True).astype(np.uint8), connectivity=4)
    return np.asarray((parts != parts[0, 0])[1:-1, 1:-1])


def ellipse(shape: tuple[int, int], centre: tuple[float, float], axes: tuple[float, float], degrees: float) -> Mask:
    y, x = np.mgrid[: shape[0], : shape[1]] + 0.5
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    u = (x - centre[0]) * cos + (y - centre[1]) * sin
    v = (y - centre[1]) * cos - (x - centre[0]) * sin
    return np.asarray((u / axes[0]) ** 2 + (v / axes[1]) ** 2 < 1)


def blob(seed: int, size: int, smoothness: float) -> Mask:
    noise = cv2.GaussianBlur(np.random.default_rng(seed).normal(size=(size, size)), (0, 0), smoothness)
    return np.asarray(noise > np.median(noise))


def line(seed: int, thickness: float) -> Mask:
    """All pixels whose centre lies within half the thickness of a segment."""
    random = np.random.default_rng(seed)
    start, end = random.uniform(10, 80, 2), random.uniform(10, 80, 2)
    y, x = np.mgrid[:90, :90] + 0.5
    direction = end - start
    along = np.clip(((x - start[0]) * direction[0] + (y - start[1]) * direction[1]) / (direction @ direction), 0, 1)
    return np.asarray(
        np.hypot(x - start[0] - along * direction[0], y - start[1] - along * direction[1]) < thickness / 2
    )


def test_one_pixel_is_a_square_of_one() -> None:
    [ring] = polygons([np.array([[True]])], np.array([[7, 3]]))[0]
    assert corners(ring) == {(7, 3), (8, 3), (8, 4), (7, 4)}
    assert len(ring) == 8


def test_a_rectangle_keeps_its_four_corners() -> None:
    [ring] = rings_of(np.ones((40, 60), np.bool_))
    assert corners(ring) == {(0, 0), (60, 0), (60, 40), (0, 40)}
    assert len(ring) == 8


def test_a_line_one_pixel_wide_keeps_its_area() -> None:
    [ring] = rings_of(mask_of("....", ".##.", "...."))
    assert corners(ring) == {(1, 1), (3, 1), (3, 2), (1, 2)}


def test_pixels_that_touch_at_a_corner_are_one_part() -> None:
    [ring] = rings_of(mask_of("#.", ".#"))
    # The ring passes the shared corner twice.
    assert corners(ring) == {(0, 0), (1, 0), (1, 1), (2, 1), (2, 2), (1, 2), (0, 1)}
    assert len(ring) == 16


def test_holes_are_filled() -> None:
    [ring] = rings_of(mask_of("####", "#..#", "#.##", "####"))
    assert corners(ring) == {(0, 0), (4, 0), (4, 4), (0, 4)}


def test_parts_come_largest_first() -> None:
    mask = mask_of("#....", "..##.", ".....", "####.", "####.")
    assert [len(corners(ring)) for ring in rings_of(mask)] == [4, 4, 4]
    assert [min(corners(ring)) for ring in rings_of(mask)] == [(0, 3), (2, 1), (0, 0)]


def test_each_mask_has_its_own_rings_and_an_empty_one_has_none() -> None:
    masks = [
        np.ones((2, 3), np.bool_),
        np.zeros((4, 4), np.bool_),
        np.empty((0, 5), np.bool_),
        np.ones((1, 1), np.bool_),
    ]
    found = polygons(masks, np.array([[10, 20], [0, 0], [0, 0], [5, 5]]))
    assert [len(rings) for rings in found] == [1, 0, 0, 1]
    assert corners(found[0][0]) == {(10, 20), (13, 20), (13, 22), (10, 22)}
    assert corners(found[3][0]) == {(5, 5), (6, 5), (6, 6), (5, 6)}
    assert polygons([], np.empty((0, 2), np.int64)) == []


def test_json_has_the_same_rings_and_whole_numbers_without_a_point() -> None:
    masks = [ellipse((50, 70), (35, 25), (30, 20), 20), np.zeros((4, 4), np.bool_), mask_of("#..", "..#")]
    corners_of_masks = np.array([[10, 20], [0, 0], [2000, 1000]])
    written = polygons_json(masks, corners_of_masks)
    assert [json.loads(text) for text in written] == polygons(masks, corners_of_masks)
    assert ".5," in written[0]
    assert ".0" not in written[0]
    assert written[1] == "[]"
    assert sorted(json.loads(written[2])) == sorted(
        json.loads("[[2000,1001,2000,1000,2001,1000,2001,1001],[2002,1002,2002,1001,2003,1001,2003,1002]]")
    )
    assert polygons_json([], np.empty((0, 2), np.int64)) == []


def test_masks_of_any_memory_layout_are_taken_and_left_alone() -> None:
    mask = np.asfortranarray(ellipse((50, 70), (35, 25), (30, 20), 20))
    mask.setflags(write=False)
    assert rings_of(mask) == rings_of(np.ascontiguousarray(mask))
    assert rings_of(mask[:, ::-1])


def test_the_largest_frame_does_not_overflow() -> None:
    mask = np.ones((8192, 8192), np.bool_)
    mask[0, :4000] = False
    [ring] = rings_of(mask)
    assert corners(ring) == {(4000, 0), (8192, 0), (8192, 8192), (0, 8192), (0, 1), (4000, 1)}


@settings(deadline=None, max_examples=100)
@given(arrays(np.bool_, st.tuples(st.integers(1, 14), st.integers(1, 14))))
def test_filling_gives_any_small_mask_back_without_its_holes(mask: Mask) -> None:
    rings = rings_of(mask)
    assert np.array_equal(fill(rings, mask.shape), without_holes(mask))
    assert all(len(ring) >= 6 and len(ring) % 2 == 0 for ring in rings)
    assert all(ring[:2] != ring[-2:] for ring in rings)


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 10**6), smoothness=st.floats(1, 9))
def test_filling_gives_any_blob_back_without_its_holes(seed: int, smoothness: float) -> None:
    mask = blob(seed, 90, smoothness)
    assert np.array_equal(fill(rings_of(mask), mask.shape), without_holes(mask))


@settings(deadline=None, max_examples=30)
@given(
    centre=st.tuples(st.floats(0, 120), st.floats(0, 100)),
    axes=st.tuples(st.floats(2, 80), st.floats(2, 80)),
    degrees=st.floats(0, 180),
)
def test_filling_gives_any_ellipse_back(centre: tuple[float, float], axes: tuple[float, float], degrees: float) -> None:
    mask = ellipse((100, 120), centre, axes, degrees)
    assert np.array_equal(fill(rings_of(mask), mask.shape), mask)


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 10**6), thickness=st.floats(0.8, 6))
def test_up_to_six_pixels_wide_the_ring_follows_every_pixel(seed: int, thickness: float) -> None:
    mask = line(seed, thickness)
    for ring in rings_of(mask):
        moves = np.diff(np.array([*ring, *ring[:2]]).reshape(-1, 2), axis=0)
        assert np.array_equal(ring, np.round(ring))
        assert (moves.prod(axis=1) == 0).all()
    assert np.array_equal(fill(rings_of(mask), mask.shape), without_holes(mask))


def distance(points: npt.NDArray[np.float64], start: npt.NDArray[np.float64], end: npt.NDArray[np.float64]) -> float:
    """The largest over the points of the distance to the nearest of the segments [m, 2]."""
    direction, offset = end - start, points[:, None] - start
    along = np.clip((offset * direction).sum(axis=-1) / np.square(direction).sum(axis=-1), 0, 1)
    return float(np.linalg.norm(offset - along[..., None] * direction, axis=-1).min(axis=1).max())


@pytest.mark.parametrize(
    "mask",
    [ellipse((90, 110), (55, 45), (50, 35), angle) for angle in (0, 25, 70)]
    + [blob(seed, 80, 7) for seed in range(2)]
    + [line(seed, 14) for seed in range(2)],
)
def test_no_ring_is_further_than_half_a_pixel_from_the_edges_of_the_pixels(mask: Mask) -> None:
    padded = np.pad(without_holes(mask), 1)
    upright = np.argwhere(padded[:, 1:] != padded[:, :-1])[:, ::-1] - np.array([0, 1])
    level = np.argwhere(padded[1:] != padded[:-1])[:, ::-1] - np.array([1, 0])
    crack_starts = np.concatenate([upright, level]).astype(float)
    crack_ends = np.concatenate([upright + np.array([0, 1]), level + np.array([1, 0])]).astype(float)
    points = [np.array(ring).reshape(-1, 2) for ring in rings_of(mask)]
    starts, ends = np.concatenate(points), np.concatenate([np.roll(p, -1, axis=0) for p in points])
    assert distance(crack_starts, starts, ends) <= 0.5 + 1e-9
    along = np.linspace(0, 1, 9)[:, None, None]
    on_rings = (starts + along * (ends - starts)).reshape(-1, 2)
    assert distance(on_rings, crack_starts, crack_ends) <= 0.5 + 1e-9


def test_a_large_ellipse_needs_less_than_a_third_of_its_corners() -> None:
    mask = ellipse((768, 1024), (500, 380), (480, 360), 0)
    # Where the outline has a corner, one or three of the four pixels around it are set.
    around = sum(np.pad(mask, 1)[y : y + 769, x : x + 1025].astype(int) for y in (0, 1) for x in (0, 1))
    [ring] = rings_of(mask)
    assert len(ring) / 2 < np.count_nonzero(around % 2) / 3
