"""From the payload of a frame to pixels, in the worker process only: the bytes come from a stranger."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fetalseg.errors import FrameError, FrameTooLargeError
from fetalseg.frame import check_size
from fetalseg.sources.decode import decode_image
from fetalseg.sources.image_header import ImageFormat
from fetalseg_server.protocol import Codec

__all__ = ["decode_payload"]

_FORMATS: dict[Codec, tuple[ImageFormat, ...]] = {Codec.JPEG: ("jpeg",), Codec.PNG: ("png",)}


def decode_payload(payload: bytes, codec: Codec, *, width: int, height: int, max_pixels: int) -> npt.NDArray[np.uint8]:
    """Decodes one frame.

    Args:
        payload: what follows the frame header.
        codec: as the header says.
        width: px as the header says; 0 only for compressed codecs.
        height: px, likewise.
        max_pixels: H * W at the most.

    Returns:
        uint8, gray [H, W] or RGB [H, W, 3].

    Raises:
        FrameTooLargeError: more pixels than allowed, found before anything is decoded.
        FrameError: no image of that codec, damaged, or of another size than the header says.
    """
    if codec.channels:
        return _packed_rows(payload, codec, width=width, height=height, max_pixels=max_pixels)
    pixels = decode_image(payload, formats=_FORMATS[codec], max_pixels=max_pixels)
    found = (pixels.shape[1], pixels.shape[0])
    if (width or found[0], height or found[1]) != found:
        raise FrameError(f"the header says {width}x{height} px, the {codec.name} image has {found[0]}x{found[1]} px")
    return pixels


def _packed_rows(payload: bytes, codec: Codec, *, width: int, height: int, max_pixels: int) -> npt.NDArray[np.uint8]:
    name = codec.name.lower()
    if width == 0 or height == 0:
        raise FrameError(f"{name} needs its width and height in the header, got {width}x{height}")
    if width * height > max_pixels:
        raise FrameTooLargeError(f"frame of {width}x{height} px is too large; expected at most {max_pixels} pixels")
    check_size(height, width)
    expected = width * height * codec.channels
    if len(payload) != expected:
        raise FrameError(f"{name} of {width}x{height} px needs {expected} bytes, got {len(payload)}")
    shape = (height, width) if codec.channels == 1 else (height, width, codec.channels)
    return np.frombuffer(payload, np.uint8).reshape(shape)
