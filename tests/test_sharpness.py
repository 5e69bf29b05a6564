"""Sharpness: what a person would call sharper has the higher number."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from fetalseg.sharpness import sharpness

BOX = np.array([[40, 40, 200, 200]], np.float32)


def disc(*, blur: float = 0.0, speckle: int | None = None) -> npt.NDArray[np.uint8]:
    """A bright ring as a skull has it, of 160 px, out of focus by `blur` px, with multiplicative speckle."""
    picture = np.full((240, 240), 40, np.uint8)
    cv2.circle(picture, (120, 120), 76, 200, 6)
    values = picture.astype(np.float32)
    if blur:
        values = np.asarray(cv2.GaussianBlur(values, (0, 0), blur), np.float32)
    if speckle is not None:
        grains = np.random.default_rng(speckle).rayleigh(0.8, values.shape).astype(np.float32)
        values *= cv2.GaussianBlur(grains, (0, 0), 1.2)
    return np.asarray(np.clip(values, 0, 255), np.uint8)


def test_blur_lowers_it_with_and_without_speckle() -> None:
    for speckle in (None, 1):
        values = [sharpness(disc(blur=blur, speckle=speckle), BOX)[0] for blur in (0, 2, 4, 8)]
        assert values == sorted(values, reverse=True)
        assert values[0] > 2 * values[3]


def test_another_speckle_pattern_matters_less_than_a_little_blur() -> None:
    values = [sharpness(disc(speckle=seed), BOX)[0] for seed in range(8)]
    blurred = [sharpness(disc(blur=3, speckle=seed), BOX)[0] for seed in range(8)]
    assert min(values) > max(blurred)


def test_speckle_alone_is_not_sharp() -> None:
    grains = np.random.default_rng(3).rayleigh(0.8, (240, 240)).astype(np.float32)
    noise = np.clip(90 * cv2.GaussianBlur(grains, (0, 0), 1.2), 0, 255).astype(np.uint8)
    assert sharpness(noise, BOX)[0] < 0.5 * sharpness(disc(speckle=3), BOX)[0]


def test_one_gray_has_none_and_color_counts_as_gray() -> None:
    assert sharpness(np.full((240, 240), 90, np.uint8), BOX) == [0.0]
    gray = disc()
    assert sharpness(np.repeat(gray[:, :, None], 3, axis=2), BOX) == pytest.approx(sharpness(gray, BOX), rel=0.02)


@pytest.mark.parametrize("box", [[10, 10, 10, 10], [300, 300, 340, 340], [-20, -20, -5, -5]])
def test_a_box_without_pixels_has_none(box: list[float]) -> None:
    assert sharpness(disc(), np.array([box], np.float32)) == [0.0]


def test_no_boxes_have_no_numbers() -> None:
    assert sharpness(disc(), np.empty((0, 4), np.float32)) == []
