"""Stored values to 8 bits, with numbers from the formulas of PS3.3 C.11."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fetalseg.errors import FrameError
from fetalseg.sources.dicom_display import Display

GRAY16 = {"PhotometricInterpretation": "MONOCHROME2", "BitsStored": 16}


def show(values: list[int], kind: str = "u2", **header: Any) -> list[int]:
    display = Display.of({**GRAY16, **header})
    return display(np.array([values], kind))[0].tolist()


def test_a_window_maps_its_ends_to_black_and_white() -> None:
    # Centre 100, width 11: from 99.5 - 5 = 94.5 to 104.5 in ten steps of 25.5.
    assert show([94, 95, 99, 100, 104, 105], WindowCenter=100, WindowWidth=11) == [0, 13, 115, 140, 242, 255]


def test_a_window_applies_to_rescaled_values() -> None:
    # 2 * 50 - 1000 = -900 lies at the centre + 0.5 of a wide window: half way.
    header = {"RescaleSlope": 2, "RescaleIntercept": -1000, "WindowCenter": -899.5, "WindowWidth": 201}
    assert show([50, 100, 0], **header) == [128, 255, 0]


def test_a_window_of_one_level_is_a_threshold() -> None:
    assert show([9, 10, 11], WindowCenter=10, WindowWidth=1) == [0, 255, 255]


def test_the_first_of_several_windows_counts() -> None:
    assert show([0, 255], WindowCenter=[128, 40], WindowWidth=[256, 1]) == [0, 255]


@pytest.mark.parametrize("width", [0, -5, "", None, "wide", float("nan")])
def test_a_senseless_window_is_no_window(width: Any) -> None:
    assert show([0, 65535], WindowCenter=100, WindowWidth=width) == [0, 255]


def test_without_a_window_the_bits_stored_are_the_range() -> None:
    assert show([0, 2048, 4095], BitsStored=12) == [0, 128, 255]
    assert show([-2048, 0, 2047], "i2", BitsStored=12, PixelRepresentation=1) == [0, 128, 255]
    assert show([0, 1], "u1", BitsStored=1) == [0, 255]


def test_eight_bits_pass_unchanged() -> None:
    values = np.arange(256, dtype=np.uint8)[None]
    np.testing.assert_array_equal(Display("MONOCHROME2")(values), values)
    np.testing.assert_array_equal(Display("MONOCHROME2")(values.astype(np.uint16)), values)


def test_monochrome1_is_inverted() -> None:
    assert Display("MONOCHROME1")(np.array([[0, 100, 255]], np.uint8)).tolist() == [[255, 155, 0]]


def test_deep_colour_keeps_its_top_byte() -> None:
    pixel = np.array([[[0x1234, 0xFF00, 0x00FF]]], np.uint16)
    assert Display("RGB", bits=16)(pixel).tolist() == [[[0x12, 0xFF, 0x00]]]


def test_a_palette_gives_colours_and_values_beyond_it_the_last_one() -> None:
    palette = np.array([[1, 2, 3], [4, 5, 6]], np.uint8)
    shown = Display("PALETTE COLOR", palette=palette)(np.array([[0, 1, 7]], np.uint8))
    assert shown.tolist() == [[[1, 2, 3], [4, 5, 6], [4, 5, 6]]]


def test_a_palette_image_needs_a_palette() -> None:
    with pytest.raises(FrameError, match="palette image without a palette"):
        Display.of({"PhotometricInterpretation": "PALETTE COLOR"})


def test_fitting_takes_the_range_of_deep_gray_only() -> None:
    stored = np.array([[10, 30]], np.uint16)
    assert Display("MONOCHROME2", bits=16).fitted_to(stored).window == (10, 30)
    assert Display("MONOCHROME2", bits=8).fitted_to(stored).window is None
    assert Display("MONOCHROME2", bits=16, window=(1, 2)).fitted_to(stored).window == (1, 2)
    assert Display("MONOCHROME2", bits=16).fitted_to(np.full((2, 2), 7, np.uint16)).window is None


def test_the_number_of_axes_has_to_fit() -> None:
    with pytest.raises(FrameError, match=r"RGB frame has shape \(4, 4\); expected 3 axes"):
        Display("RGB")(np.zeros((4, 4), np.uint8))


def test_stored_values_are_left_alone() -> None:
    stored = np.array([[1, 2, 3]], np.uint8)
    shown = Display("MONOCHROME1")(stored)
    shown[:] = 9
    assert stored.tolist() == [[1, 2, 3]]
