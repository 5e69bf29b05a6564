"""One frame of a scan, as sources deliver it and the segmenter takes it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fetalseg.errors import FrameError, FrameTooLargeError

__all__ = ["MAX_PIXELS", "MAX_SIDE", "MIN_SIDE", "Frame", "check_pixels", "check_size"]

MIN_SIDE = 16  # px; a thumbnail smaller than this shows no anatomy
MAX_SIDE = 8192  # px
MAX_PIXELS = 16_777_216  # 4096 x 4096; consoles deliver up to 1920 x 1200


@dataclass(frozen=True, eq=False)
class Frame:
    """Pixels with what is known about them.

    Attributes:
        pixels: uint8, gray [H, W] or RGB [H, W, 3].
        spacing_mm: size of a pixel (y, x) in mm, or None where it isn't known.
        timestamp_ms: time since the start of the source, or None for a still image.
        source: where the frame came from, for messages ("loop.dcm", "camera 0").
        index: position in its source, from 0.
    """

    pixels: npt.NDArray[np.uint8]
    spacing_mm: tuple[float, float] | None = None
    timestamp_ms: float | None = None
    source: str = ""
    index: int = 0

    def __post_init__(self) -> None:
        check_pixels(self.pixels)

    @property
    def shape(self) -> tuple[int, int]:
        """(H, W)."""
        return self.pixels.shape[0], self.pixels.shape[1]


def check_size(height: int, width: int) -> None:
    """Refuses sizes that can't be a frame, before anything is allocated for them.

    Raises:
        FrameTooLargeError: a side above 8192 px, or more than 16.8 million pixels.
        FrameError: a side below 16 px.
    """
    if min(height, width) < MIN_SIDE:
        raise FrameError(f"frame of {width}x{height} px is too small; expected at least {MIN_SIDE} px a side")
    if max(height, width) > MAX_SIDE or height * width > MAX_PIXELS:
        raise FrameTooLargeError(
            f"frame of {width}x{height} px is too large; expected at most {MAX_SIDE} px a side and {MAX_PIXELS} pixels"
        )


def check_pixels(pixels: npt.NDArray[np.uint8]) -> None:
    """Checks dtype, number of dimensions and size of a frame's pixels.

    Raises:
        ValueError: not uint8, or neither [H, W] nor [H, W, 3].
        FrameError: see `check_size`.
    """
    if not isinstance(pixels, np.ndarray) or pixels.dtype != np.uint8:
        kind = pixels.dtype if isinstance(pixels, np.ndarray) else type(pixels).__name__
        raise ValueError(f"frame pixels must be a uint8 array, got {kind}")
    if pixels.ndim not in (2, 3) or (pixels.ndim == 3 and pixels.shape[2] != 3):
        raise ValueError(f"frame pixels must be gray [H, W] or RGB [H, W, 3], got shape {pixels.shape}")
    check_size(pixels.shape[0], pixels.shape[1])
