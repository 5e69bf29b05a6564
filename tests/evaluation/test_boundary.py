"""Boundaries of masks: counted by hand, and equal to the published way of making them."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
import pycocotools.mask as coco_mask
import pytest

from fetalseg.encoding import decode_mask
from fetalseg.evaluation.boundary import band_width, boundary, boundary_record


def test_the_band_of_a_square_is_a_frame() -> None:
    mask = np.zeros((60, 60), np.bool_)
    mask[10:50, 10:50] = True
    band = boundary(mask, 3)
    assert band.sum() == 40**2 - 34**2
    assert not band[13:47, 13:47].any()


def test_outside_of_the_image_is_background() -> None:
    assert boundary(np.ones((10, 10), np.bool_), 2).sum() == 10**2 - 6**2


def test_the_width_of_the_band_is_2_percent_of_the_diagonal() -> None:
    assert band_width(300, 400) == 10
    assert band_width(480, 540) == 14  # 14.45
    assert band_width(10, 10) == 1  # never less


def test_a_mask_without_a_pixel_has_an_empty_boundary() -> None:
    nothing = coco_mask.encode(np.zeros((30, 30), np.uint8, order="F"))
    assert coco_mask.area(boundary_record(nothing)) == 0


def published(mask: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """As the authors of the measure make it: a border of background, then one erosion by 3 x 3 for each pixel."""
    height, width = mask.shape
    steps = max(1, round(0.02 * np.sqrt(height**2 + width**2)))
    padded = cv2.copyMakeBorder(mask, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    inner = cv2.erode(padded, np.ones((3, 3), np.uint8), iterations=steps)
    return np.asarray(mask - inner[1:-1, 1:-1])


@pytest.mark.parametrize("seed", range(4))
def test_boundaries_are_those_of_the_published_method(seed: int) -> None:
    generator = np.random.default_rng(seed)
    noise = cv2.GaussianBlur(generator.normal(size=(160, 200)), (0, 0), 12)
    mask = (noise > np.quantile(noise, 0.6)).astype(np.uint8)  # blobs, some cut by the edge
    record = boundary_record(coco_mask.encode(np.asfortranarray(mask)))
    assert np.array_equal(decode_mask(record["counts"], mask.shape), published(mask))
