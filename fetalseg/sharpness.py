"""How sharp a structure is drawn: which of two frames of it a person would keep.

Common measures of focus (the variance of the Laplacian, the energy of the gradient) grow with noise, and speckle is
noise of a few pixels that every frame has. So a structure is first shrunk to a common size, which averages speckle
and compares frames of any depth, smoothed a little, and then judged by its strong edges alone.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

__all__ = ["sharpness"]

_SIDE = 96  # px; the longer side that a larger structure is shrunk to
_MARGIN = 0.1  # of the box's size on each side: a structure's outline lies along its box
_STRONG = 0.05  # share of the pixels, those with the strongest gradient, that counts


def sharpness(pixels: npt.NDArray[np.uint8], boxes: npt.NDArray[np.float32]) -> list[float]:
    """The strength of the strong edges in each box, in gray levels for each pixel of the shrunken picture.

    Args:
        pixels: uint8, gray [H, W] or RGB [H, W, 3].
        boxes: float32 [N, 4] xyxy in frame pixels.

    Returns:
        N numbers, 0 (nothing but one gray) to about 100; comparable between frames of one scanner and one structure.
    """
    return [_sharpness(pixels, box) for box in boxes.tolist()]


def _sharpness(pixels: npt.NDArray[np.uint8], box: list[float]) -> float:
    crop = _cut(pixels, box)
    height, width = crop.shape[:2]
    if min(height, width) < 2:
        return 0.0
    if crop.ndim == 3:
        crop = np.asarray(cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY), np.uint8)
    ratio = _SIDE / max(height, width)
    if ratio < 1:
        size = max(2, round(width * ratio)), max(2, round(height * ratio))
        crop = np.asarray(cv2.resize(crop, size, interpolation=cv2.INTER_AREA), np.uint8)
    smooth = cv2.GaussianBlur(crop, (5, 5), 1.0).astype(np.float32)
    # The kernel's weights add up to 8 along one direction.
    across, down = cv2.Sobel(smooth, cv2.CV_32F, 1, 0, scale=1 / 8), cv2.Sobel(smooth, cv2.CV_32F, 0, 1, scale=1 / 8)
    gradient = np.sort(cv2.magnitude(across, down), axis=None)
    return float(gradient[-max(1, round(_STRONG * gradient.size)) :].mean())


def _cut(pixels: npt.NDArray[np.uint8], box: list[float]) -> npt.NDArray[np.uint8]:
    """The part of a frame inside a box with its margin."""
    height, width = pixels.shape[:2]
    x1, y1, x2, y2 = box
    x, y = _MARGIN * (x2 - x1), _MARGIN * (y2 - y1)
    left, right = max(0, round(x1 - x)), min(width, round(x2 + x))
    top, bottom = max(0, round(y1 - y)), min(height, round(y2 + y))
    return pixels[top : max(top, bottom), left : max(left, right)]
