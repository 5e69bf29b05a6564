"""What can be a frame."""

from __future__ import annotations

import numpy as np
import pytest

from fetalseg.errors import FrameError, FrameTooLargeError
from fetalseg.frame import Frame, check_pixels, check_size


@pytest.mark.parametrize("shape", [(480, 640), (480, 640, 3), (16, 16), (4096, 4096)])
def test_gray_and_rgb_frames_are_taken(shape: tuple[int, ...]) -> None:
    assert Frame(np.zeros(shape, np.uint8)).shape == shape[:2]


@pytest.mark.parametrize(("height", "width"), [(1, 1), (15, 640), (640, 15), (0, 0)])
def test_what_is_too_small_to_show_anything_is_refused(height: int, width: int) -> None:
    with pytest.raises(FrameError, match=f"{width}x{height} px is too small; expected at least 16 px"):
        Frame(np.zeros((height, width), np.uint8))


@pytest.mark.parametrize(("height", "width"), [(20_000, 20_000), (16, 8193), (8193, 16), (4097, 4096), (10**9, 10**9)])
def test_a_size_is_refused_before_anything_of_it_exists(height: int, width: int) -> None:
    with pytest.raises(FrameTooLargeError, match=f"{width}x{height} px is too large; expected at most 8192 px a side"):
        check_size(height, width)


@pytest.mark.parametrize(
    ("pixels", "message"),
    [
        (np.zeros((480, 640), np.uint16), "must be a uint8 array, got uint16"),
        (np.zeros((480, 640)), "must be a uint8 array, got float64"),
        ([[0] * 640] * 480, "must be a uint8 array, got list"),
        (None, "must be a uint8 array, got NoneType"),
        (np.zeros((480, 640, 4), np.uint8), r"got shape \(480, 640, 4\)"),
        (np.zeros((480, 640, 1), np.uint8), r"got shape \(480, 640, 1\)"),
        (np.zeros(640, np.uint8), r"got shape \(640,\)"),
        (np.zeros((1, 480, 640, 3), np.uint8), r"got shape \(1, 480, 640, 3\)"),
    ],
)
def test_other_arrays_are_a_callers_mistake(pixels: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_pixels(pixels)  # type: ignore[arg-type]
