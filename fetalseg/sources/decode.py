"""From the bytes of one encoded image to pixels: strict, and safe for bytes that a stranger sent."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from fetalseg.errors import FrameError, FrameTooLargeError
from fetalseg.frame import MAX_PIXELS
from fetalseg.sources.image_header import ImageFormat, read_image_header

__all__ = ["decode_image"]


def decode_image(
    data: bytes, *, formats: Sequence[ImageFormat] = ("jpeg", "png"), max_pixels: int = MAX_PIXELS
) -> npt.NDArray[np.uint8]:
    """Decodes one still image of 8 bits a channel.

    Size, depth and completeness are checked on the bytes before the decoder allocates anything. EXIF orientation and
    colour profiles are ignored; alpha is dropped, not blended. Bytes after the end of the picture are ignored.

    Args:
        data: the whole file.
        formats: which formats are welcome.
        max_pixels: H * W at the most, beside the limits of `fetalseg.frame.check_size`.

    Returns:
        uint8, gray [H, W] for gray images, else RGB [H, W, 3]; a new array.

    Raises:
        FrameTooLargeError: the header promises more pixels than allowed.
        FrameError: no bytes, another format, truncated, damaged, too small, not 8 bits a channel, CMYK, animated.
    """
    header = read_image_header(data, formats=formats)
    if header.width * header.height > max_pixels:
        raise FrameTooLargeError(
            f"image of {header.width}x{header.height} px is too large; expected at most {max_pixels} pixels"
        )
    if header.format == "bmp":
        flags = cv2.IMREAD_ANYCOLOR  # BMP is gray or colour by its palette, which only the decoder reads
    else:
        flags = cv2.IMREAD_GRAYSCALE if header.channels == 1 else cv2.IMREAD_COLOR
    try:
        pixels = cv2.imdecode(np.frombuffer(header.picture, np.uint8), flags | cv2.IMREAD_IGNORE_ORIENTATION)
    except cv2.error:
        pixels = None
    if pixels is None:
        raise FrameError(f"damaged {header.format.upper()}: {len(data)} bytes that can't be decoded")
    if pixels.dtype != np.uint8 or pixels.shape[:2] != (header.height, header.width):
        raise FrameError(
            f"decoding gave {pixels.dtype} {pixels.shape}; the header promises uint8 {(header.height, header.width)}"
        )
    if pixels.ndim == 3:
        pixels = cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)
    return np.asarray(pixels, np.uint8)
