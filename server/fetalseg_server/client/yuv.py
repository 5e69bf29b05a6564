"""From luma and chroma, as video hardware delivers them, to gray and RGB.

The sources are ITU-R BT.601-7 and BT.709-6: luma Y' is a weighted sum of R', G', B', chroma U and V are the scaled
differences B' - Y' and R' - Y' around 128. Full range lets Y', U and V run over 0..255 (as JPEG does); limited range,
which HDMI and SDI grabbers deliver, keeps Y' within 16..235 and U, V within 16..240.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Literal, get_args

import cv2
import numpy as np
import numpy.typing as npt

__all__ = ["YUV_MATRICES", "YUV_RANGES", "YuvMatrix", "YuvRange", "gray_of_luma", "rgb_of_yuv"]

YuvRange = Literal["limited", "full"]
YUV_RANGES: tuple[YuvRange, ...] = get_args(YuvRange)
YuvMatrix = Literal["bt601", "bt709"]
YUV_MATRICES: tuple[YuvMatrix, ...] = get_args(YuvMatrix)

# Shares of red and blue in luma; green has the rest.
_RED_BLUE: dict[YuvMatrix, tuple[float, float]] = {"bt601": (0.299, 0.114), "bt709": (0.2126, 0.0722)}
# Black, and the span of luma and of chroma.
_BLACK_AND_SPANS: dict[YuvRange, tuple[int, int, int]] = {"full": (0, 255, 255), "limited": (16, 219, 224)}


def gray_of_luma(luma: npt.NDArray[np.uint8], yuv_range: YuvRange) -> npt.NDArray[np.uint8]:
    """The gray picture, 0..255.

    Args:
        luma: uint8 [H, W], any strides.
        yuv_range: full range is returned as it is, without a copy; limited range is stretched, with what lies
            outside of 16..235 clipped.
    """
    return luma if yuv_range == "full" else np.asarray(cv2.LUT(luma, _stretch()), np.uint8)


def rgb_of_yuv(
    luma: npt.NDArray[np.uint8],
    u: npt.NDArray[np.uint8],
    v: npt.NDArray[np.uint8],
    *,
    yuv_range: YuvRange,
    matrix: YuvMatrix,
) -> npt.NDArray[np.uint8]:
    """The colour picture: uint8 RGB [H, W, 3], clipped to 0..255, within 0.6 of the exact value.

    Args:
        luma: uint8 [H, W], any strides.
        u: uint8 [H / r, W / s] with r, s of 1 or 2, any strides; each sample holds for its r x s pixels.
        v: likewise.
        yuv_range: of all three.
        matrix: whose weights of red, green and blue.
    """
    rows, columns = luma.shape[0] // u.shape[0], luma.shape[1] // u.shape[1]
    yuv = np.empty((*luma.shape, 3), np.uint8)
    yuv[..., 0] = luma
    for row in range(rows):
        for column in range(columns):
            yuv[row::rows, column::columns, 1] = u
            yuv[row::rows, column::columns, 2] = v
    return np.asarray(cv2.transform(yuv, _to_rgb(yuv_range, matrix)), np.uint8)


@lru_cache
def _stretch() -> npt.NDArray[np.uint8]:
    black, span, _ = _BLACK_AND_SPANS["limited"]
    return np.clip(np.rint((np.arange(256) - black) * 255 / span), 0, 255).astype(np.uint8)


@lru_cache
def _to_rgb(yuv_range: YuvRange, matrix: YuvMatrix) -> npt.NDArray[np.float64]:
    """[3, 4]: R, G, B from Y, U, V and 1."""
    red, blue = _RED_BLUE[matrix]
    green = 1 - red - blue
    black, luma_span, chroma_span = _BLACK_AND_SPANS[yuv_range]
    luma, chroma = 255 / luma_span, 255 / chroma_span
    of_u = np.array([0, -2 * blue * (1 - blue) / green, 2 * (1 - blue)]) * chroma
    of_v = np.array([2 * (1 - red), -2 * red * (1 - red) / green, 0]) * chroma
    offset = -luma * black - 128 * (of_u + of_v)
    return np.column_stack([np.full(3, luma), of_u, of_v, offset])
