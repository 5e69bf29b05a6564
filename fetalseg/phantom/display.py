"""What a console does to the envelope: log compression, speckle filter, grey curve, and storing the frame."""

from __future__ import annotations

import math

import cv2
import numpy as np
import numpy.typing as npt

from fetalseg.phantom.console import Display
from fetalseg.phantom.scanner import Map

__all__ = ["compress", "filter_speckle", "grey_curve", "shown", "stored"]

_CURVE_STEPS = 1024
_WINDOW = (5, 7)  # samples along and across the beam that the speckle filter looks at


def compress(power: Map, display: Display) -> Map:
    """Log compression: power of the echo [R, T] to the share 0..1 of the dynamic range, 1 at `white_db`."""
    db = cv2.log(np.maximum(power, np.float32(1e-9))) * np.float32(10.0 / math.log(10.0))
    share = (db - np.float32(display.white_db)) * np.float32(1.0 / display.dynamic_range_db) + np.float32(1.0)
    return np.clip(share, 0.0, 1.0, out=share)


def filter_speckle(share: Map, display: Display) -> Map:
    """Smooths even tissue and keeps edges, after Lee (IEEE Trans. PAMI 2:165, 1980), then sharpens.

    A sample moves to the mean of its window where the window varies as little as speckle does, and stays where it
    varies far more.
    """
    if display.speckle_filter > 0:
        window = _WINDOW[::-1]
        mean = cv2.blur(share, window)
        variance = np.maximum(cv2.blur(share * share, window) - mean * mean, 0)
        # log-compressed Rayleigh speckle has a standard deviation of 10 pi / (sqrt(6) ln 10) = 5.57 dB
        speckle = np.float32((5.57 / display.dynamic_range_db) ** 2)
        moved = np.float32(display.speckle_filter) * speckle / (speckle + variance)
        share = share + moved * (mean - share)
    if display.sharpening > 0:
        share = share + np.float32(display.sharpening) * (share - cv2.GaussianBlur(share, (0, 0), 2.0))
    return np.asarray(np.clip(share, 0.0, 1.0), np.float32)


def grey_curve(display: Display) -> npt.NDArray[np.float32]:
    """Grey 0..255 for shares spread evenly over 0..1: a power, bent into an S."""
    curve = np.linspace(0.0, 1.0, _CURVE_STEPS) ** display.gamma
    steep = curve * curve * (3.0 - 2.0 * curve)
    return ((curve + display.contrast * (steep - curve)) * 255.0).astype(np.float32)


def shown(share: Map, display: Display) -> Map:
    """Shares 0..1 as grey 0..255."""
    steps = (share * np.float32(_CURVE_STEPS - 1)).astype(np.uint16)
    return grey_curve(display)[steps]


def stored(picture: npt.NDArray[np.uint8], display: Display) -> npt.NDArray[np.uint8]:
    """The frame [H, W] as it is read back, with all overlays: few greys, few pixels, traces of JPEG."""
    if display.levels < 256:
        step = 255.0 / (display.levels - 1)
        table = np.rint(np.rint(np.arange(256) / step) * step).astype(np.uint8)
        picture = np.asarray(cv2.LUT(picture, table), np.uint8)
    height, width = picture.shape
    if display.sharpness < 1.0:
        small = max(8, round(width * display.sharpness)), max(8, round(height * display.sharpness))
        less = cv2.resize(picture, small, interpolation=cv2.INTER_AREA)
        picture = np.asarray(cv2.resize(less, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)
    if display.jpeg_quality is not None:
        data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, display.jpeg_quality])[1]
        picture = np.asarray(cv2.imdecode(data, cv2.IMREAD_GRAYSCALE), np.uint8)
    return picture
