"""From frames to the network's input and back: numbers worked out by hand, and round trips."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fetalseg.errors import FrameError
from fetalseg.preprocess import FrameGeometry, InputRule, prepare

LETTERBOX = InputRule(height=288, width=416, channels=1)
STRETCH = InputRule(height=288, width=416, channels=1, resize="stretch")
# A gray level that no interpolation of 50 and 200 gives, so that padding is told from picture.
PADDED = InputRule(height=20, width=40, channels=1, pad_value=7)


@pytest.mark.parametrize(
    ("frame_shape", "content", "pad"),
    [
        # 640 x 480: the height limits, 288/480 = 0.6; 384 wide, 16 px on each side.
        ((480, 640), (288, 384), (0, 16)),
        # 640 x 360: the width limits, 416/640 = 0.65; 234 high, 27 px above and below.
        ((360, 640), (234, 416), (27, 0)),
        ((288, 416), (288, 416), (0, 0)),
        # 1024 x 768: 288/768 = 0.375 again leaves 384.
        ((768, 1024), (288, 384), (0, 16)),
        # 100 x 100: enlarged 2.88 times; 128 px are left over.
        ((100, 100), (288, 288), (0, 64)),
        # An odd remainder: 333/288 of height, 416 - 287 = 129, the left side has the smaller half.
        ((289, 288), (288, 287), (0, 64)),
    ],
)
def test_a_letterbox_keeps_the_aspect_ratio_and_centres(
    frame_shape: tuple[int, int], content: tuple[int, int], pad: tuple[int, int]
) -> None:
    geometry = FrameGeometry.of(frame_shape, LETTERBOX)
    assert (geometry.content, geometry.pad) == (content, pad)
    assert geometry.scale == (content[0] / frame_shape[0], content[1] / frame_shape[1])


def test_stretching_fills_the_input() -> None:
    geometry = FrameGeometry.of((480, 640), STRETCH)
    assert (geometry.content, geometry.pad, geometry.scale) == ((288, 416), (0, 0), (0.6, 0.65))


def test_a_sliver_still_has_a_line_of_pixels() -> None:
    assert FrameGeometry.of((16, 8192), LETTERBOX).content == (1, 416)


def test_boxes_map_as_continuous_coordinates() -> None:
    geometry = FrameGeometry.of((480, 640), LETTERBOX)
    boxes = np.array([[0, 0, 640, 480], [100, 50, 200, 150]], np.float32)
    expected = np.array([[16, 0, 400, 288], [76, 30, 136, 90]], np.float32)
    assert geometry.boxes_to_input(boxes) == pytest.approx(expected, abs=1e-4)
    assert geometry.boxes_to_frame(expected) == pytest.approx(boxes, abs=1e-3)


def test_boxes_are_clipped_to_the_frame() -> None:
    geometry = FrameGeometry.of((480, 640), LETTERBOX)
    boxes = np.array([[0, -10, 416, 300]], np.float32)
    assert geometry.boxes_to_frame(boxes).tolist() == [[0, 0, 640, 480]]


def test_no_boxes_map_to_no_boxes() -> None:
    geometry = FrameGeometry.of((480, 640), LETTERBOX)
    for mapped in (
        geometry.boxes_to_frame(np.empty((0, 4), np.float32)),
        geometry.boxes_to_input(np.empty((0, 4), np.float32)),
    ):
        assert (mapped.shape, mapped.dtype) == ((0, 4), np.float32)


sides = st.integers(16, 2000)
fractions = st.floats(0, 1, width=32)


@given(sides, sides, st.sampled_from([LETTERBOX, STRETCH]), st.tuples(fractions, fractions, fractions, fractions))
def test_a_box_survives_the_round_trip(
    height: int, width: int, rule: InputRule, box: tuple[float, float, float, float]
) -> None:
    geometry = FrameGeometry.of((height, width), rule)
    boxes = np.array([box], np.float32) * np.array([width, height, width, height], np.float32)
    there = geometry.boxes_to_input(boxes)
    assert (there >= -1e-3).all()
    assert (there <= np.array([416, 288, 416, 288]) + 1e-3).all()
    # float32 resolves 3e-5 of 416 input pixels, seen through the scale.
    assert geometry.boxes_to_frame(there) == pytest.approx(boxes, abs=1e-4 / min(geometry.scale))


def test_the_picture_lies_where_the_geometry_says_and_the_rest_is_padding() -> None:
    image, geometry = prepare(np.full((30, 30), 200, np.uint8), PADDED)
    assert (image.shape, image.dtype) == ((20, 40, 1), np.uint8)
    assert (geometry.content, geometry.pad) == ((20, 20), (0, 10))
    assert (image[:, 10:30] == 200).all()
    assert (image[:, :10] == 7).all()
    assert (image[:, 30:] == 7).all()


def test_a_frame_of_the_inputs_size_is_not_resampled() -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (20, 40), np.uint8)
    image, _ = prepare(pixels, PADDED)
    assert np.array_equal(image[:, :, 0], pixels)


def test_shrinking_averages_areas() -> None:
    # A checkerboard of single pixels becomes even gray: a method that samples points would keep the pattern.
    pixels = np.indices((80, 160)).sum(axis=0).astype(np.uint8) % 2 * 200
    image, _ = prepare(pixels, InputRule(height=20, width=40, channels=1))
    assert (image == 100).all()


def test_gray_from_rgb_is_the_luma_of_bt_601() -> None:
    pixels = np.zeros((20, 40, 3), np.uint8)
    pixels[:, :10, 0] = pixels[:, 10:20, 1] = pixels[:, 20:30, 2] = 255
    pixels[:, 30:] = 255
    image, _ = prepare(pixels, PADDED)
    assert image[0, [0, 10, 20, 30], 0].tolist() == [76, 150, 29, 255]  # 0.299, 0.587, 0.114 of 255


def test_gray_becomes_three_equal_channels() -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (20, 40), np.uint8)
    image, _ = prepare(pixels, InputRule(height=20, width=40, channels=3))
    assert image.shape == (20, 40, 3)
    assert all(np.array_equal(image[:, :, channel], pixels) for channel in range(3))


def test_rgb_stays_rgb() -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (20, 40, 3), np.uint8)
    image, _ = prepare(pixels, InputRule(height=20, width=40, channels=3))
    assert np.array_equal(image, pixels)


def test_writing_into_a_given_array_overwrites_all_of_it() -> None:
    out = np.full((20, 40, 1), 99, np.uint8)
    image, _ = prepare(np.full((30, 30), 200, np.uint8), PADDED, out)
    assert image is out
    assert sorted(np.unique(out).tolist()) == [7, 200]


def test_the_frame_is_left_as_it_is() -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (50, 50, 3), np.uint8)
    before = pixels.copy()
    pixels.flags.writeable = False
    prepare(pixels, PADDED)
    assert np.array_equal(pixels, before)


def test_a_frame_of_one_pixel_is_refused() -> None:
    with pytest.raises(FrameError, match="1x1 px is too small"):
        prepare(np.zeros((1, 1), np.uint8), LETTERBOX)


def test_other_types_are_refused() -> None:
    with pytest.raises(ValueError, match="uint8"):
        prepare(np.zeros((480, 640), np.float32), LETTERBOX)  # type: ignore[arg-type]


def test_shrinking_averages_areas_or_is_bilinear_as_the_rule_says() -> None:
    # Four columns become one: "area" takes the mean of the four (40 / 4), "linear" of the two in the middle (40 / 2).
    pixels = np.tile(np.array([0, 40, 0, 0], np.uint8), (64, 16))
    area, _ = prepare(pixels, InputRule(16, 16, 1))
    linear, _ = prepare(pixels, InputRule(16, 16, 1, interpolation="linear"))
    assert np.unique(area).tolist() == [10]
    assert np.unique(linear).tolist() == [20]
