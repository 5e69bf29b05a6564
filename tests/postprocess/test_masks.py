"""Masks from prototypes: where they lie in the frame, and that only boxes are filled."""

from __future__ import annotations

import math

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from fetalseg.postprocess.masks import assemble_masks, pixel_boxes
from fetalseg.preprocess import FrameGeometry, InputRule

LETTERBOX = InputRule(height=288, width=416, channels=1)


def whole(geometry: FrameGeometry) -> npt.NDArray[np.int64]:
    height, width = geometry.frame_shape
    return np.array([[0, 0, width, height]])


def probability(prototypes: npt.NDArray[np.float32], weights: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    logits = (weights.astype(float)[:, None, None] * prototypes).sum(axis=0)
    return np.asarray(1 / (1 + np.exp(-logits)))


def one_pixel(table: npt.NDArray[np.float64], geometry: FrameGeometry, x: int, y: int) -> float:
    """The probability at a frame pixel's centre, by the four prototype centres around it."""
    (proto_height, proto_width), (h, w) = table.shape, geometry.input_shape
    (scale_y, scale_x), (top, left) = geometry.scale, geometry.pad
    p = min(max(((x + 0.5) * scale_x + left) * proto_width / w - 0.5, 0), proto_width - 1)
    q = min(max(((y + 0.5) * scale_y + top) * proto_height / h - 0.5, 0), proto_height - 1)
    i, j = math.floor(p), math.floor(q)
    k, m = min(i + 1, proto_width - 1), min(j + 1, proto_height - 1)
    upper = table[j, i] * (1 - p + i) + table[j, k] * (p - i)
    lower = table[m, i] * (1 - p + i) + table[m, k] * (p - i)
    return float(upper * (1 - q + j) + lower * (q - j))


@pytest.mark.parametrize("resize", ["letterbox", "stretch"])
@pytest.mark.parametrize("frame_shape", [(97, 61), (40, 150), (128, 128)])
def test_masks_equal_bilinear_interpolation_pixel_by_pixel(resize: str, frame_shape: tuple[int, int]) -> None:
    random = np.random.default_rng(3)
    rule = InputRule(height=96, width=128, channels=1, resize="stretch" if resize == "stretch" else "letterbox")
    geometry = FrameGeometry.of(frame_shape, rule)
    prototypes = random.random((5, 24, 32), dtype=np.float32)
    weights = random.normal(0, 4, (2, 5)).astype(np.float32)
    height, width = frame_shape
    boxes = np.array([[0, 0, width, height], [width // 4, height // 5, width - 7, height - 3]])
    for mask, row, (x1, y1, x2, y2) in zip(
        assemble_masks(prototypes, weights, boxes, geometry), weights, boxes.tolist(), strict=True
    ):
        table = probability(prototypes, row)
        expected = np.array([[one_pixel(table, geometry, x, y) for x in range(x1, x2)] for y in range(y1, y2)])
        assert mask.shape == expected.shape
        # Float32 may decide otherwise where the probability is a half, and nowhere else.
        assert np.abs(expected[mask != (expected > 0.5)] - 0.5).max(initial=0) < 1e-5


def test_without_padding_masks_equal_the_public_way_of_resizing_probabilities() -> None:
    random = np.random.default_rng(5)
    geometry = FrameGeometry.of((300, 444), InputRule(height=550, width=550, channels=3, resize="stretch"))
    prototypes = random.random((32, 138, 138), dtype=np.float32)
    weights = random.normal(0, 1, (1, 32)).astype(np.float32)
    resized = cv2.resize(probability(prototypes, weights[0]), (444, 300), interpolation=cv2.INTER_LINEAR)
    [mask] = assemble_masks(prototypes, weights, whole(geometry), geometry)
    assert np.abs(resized[mask != (resized > 0.5)] - 0.5).max(initial=0) < 1e-5


def test_an_edge_comes_back_through_the_letterbox_where_it_was() -> None:
    # 640x480 becomes 384x288 at a scale of 0.6 with 16 px of padding at the left; prototypes are at stride 4.
    geometry = FrameGeometry.of((480, 640), LETTERBOX)
    assert (geometry.pad, geometry.scale) == ((0, 16), (0.6, 0.6))
    # Positive up to prototype column 50: the edge is at column 51, input x = 204, frame x = (204 - 16) / 0.6 = 313.33.
    prototypes = np.zeros((2, 72, 104), np.float32)
    prototypes[0, :, :51], prototypes[1, :, 51:] = 1, 1
    [mask] = assemble_masks(prototypes, np.array([[6, -6]], np.float32), whole(geometry), geometry)
    # The last pixel whose centre lies left of 313.33 is 312 (312.5).
    assert mask[:, :313].all()
    assert not mask[:, 313:].any()


def test_a_faint_thin_line_keeps_its_width_because_probabilities_are_interpolated() -> None:
    # One column of logit 1 between columns of -8. Probability falls from 0.731 to 0.0003 from centre to centre, to a
    # half at 0.316 of the way: 2 * 0.316 columns of 10.67 px are 6.7 px. Logits would reach 0 at 1/9: 2.4 px.
    geometry = FrameGeometry.of((768, 1024), LETTERBOX)
    prototypes = np.zeros((2, 72, 104), np.float32)
    prototypes[0], prototypes[1, :, 40] = 1, 1
    [mask] = assemble_masks(prototypes, np.array([[-8, 9]], np.float32), whole(geometry), geometry)
    assert set(mask.sum(axis=1).tolist()) <= {6, 7}


def test_a_probability_of_exactly_a_half_is_background() -> None:
    geometry = FrameGeometry.of((96, 128), InputRule(height=96, width=128, channels=1))
    [mask] = assemble_masks(np.zeros((4, 24, 32), np.float32), np.ones((1, 4), np.float32), whole(geometry), geometry)
    assert not mask.any()


def test_logits_of_any_size_are_fine() -> None:
    geometry = FrameGeometry.of((96, 128), InputRule(height=96, width=128, channels=1))
    prototypes = np.ones((1, 24, 32), np.float32)
    weights = np.array([[1e30], [-1e30]], np.float32)
    boxes = np.repeat(whole(geometry), 2, axis=0)
    assert [mask.mean() for mask in assemble_masks(prototypes, weights, boxes, geometry)] == [1, 0]


def test_a_crop_is_the_same_part_of_the_whole_mask() -> None:
    random = np.random.default_rng(8)
    geometry = FrameGeometry.of((333, 517), LETTERBOX)
    prototypes = random.random((8, 72, 104), dtype=np.float32)
    weights = random.normal(0, 3, (1, 8)).astype(np.float32)
    [complete] = assemble_masks(prototypes, weights, whole(geometry), geometry)
    for x1, y1, x2, y2 in ((0, 0, 1, 1), (516, 332, 517, 333), (100, 50, 101, 250), (3, 131, 517, 133)):
        [crop] = assemble_masks(prototypes, weights, np.array([[x1, y1, x2, y2]]), geometry)
        assert np.array_equal(crop, complete[y1:y2, x1:x2])


def test_a_single_row_of_prototypes_is_stretched() -> None:
    geometry = FrameGeometry.of((32, 32), InputRule(height=32, width=32, channels=1))
    prototypes = np.array([[[-1, 1]]], np.float32)
    [mask] = assemble_masks(prototypes, np.ones((1, 1), np.float32), whole(geometry), geometry)
    assert not mask[:, :16].any()
    assert mask[:, 16:].all()


def test_no_instances_give_no_masks() -> None:
    geometry = FrameGeometry.of((96, 128), LETTERBOX)
    empty = assemble_masks(
        np.ones((4, 72, 104), np.float32), np.empty((0, 4), np.float32), np.empty((0, 4), np.int64), geometry
    )
    assert list(empty) == []


@pytest.mark.parametrize(
    ("box", "pixels"),
    [
        ((2.0, 3.0, 5.0, 7.0), (2, 3, 5, 7)),
        ((2.4, 3.6, 5.4, 7.6), (2, 4, 5, 8)),
        # A centre on the first edge is inside, on the last outside, so that boxes side by side share no pixel.
        ((2.5, 3.5, 5.5, 7.5), (2, 3, 5, 7)),
        ((0.0, 0.0, 64.0, 48.0), (0, 0, 64, 48)),
        ((10.6, 20.6, 11.4, 21.4), (11, 21, 11, 21)),
    ],
)
def test_a_box_covers_the_pixels_whose_centres_it_holds(box: tuple[float, ...], pixels: tuple[int, ...]) -> None:
    assert tuple(pixel_boxes(np.array([box], np.float32), (48, 64))[0].tolist()) == pixels
