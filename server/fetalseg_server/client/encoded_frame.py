"""Frames as they travel: pixels coded for the stream."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from fetalseg.frame import check_pixels
from fetalseg_server.options import CodecWord
from fetalseg_server.protocol import Codec

__all__ = ["EncodedFrame", "encode_frame", "frame_of_file"]

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"


@dataclass(frozen=True)
class EncodedFrame:
    """A frame as it travels.

    Attributes:
        codec: how the payload is coded.
        payload: the compressed image, or packed rows.
        width: px; 0 where a JPEG or PNG says it.
        height: px, likewise.
        discontinuity: the frame doesn't continue the one before (another probe, depth or patient).
        source: what it shows, for the person at the console; not sent.
    """

    codec: Codec
    payload: bytes
    width: int = 0
    height: int = 0
    discontinuity: bool = False
    source: str = ""


def encode_frame(pixels: npt.NDArray[np.uint8], codec: CodecWord = "jpeg", *, quality: int = 90) -> EncodedFrame:
    """Codes pixels for the stream.

    Args:
        pixels: uint8, gray [H, W] or RGB [H, W, 3], any strides.
        codec: "gray8" turns colour to gray, "rgb24" gray to colour; JPEG and PNG keep what they get.
        quality: of JPEG, 1..100.

    Raises:
        ValueError: wrong dtype or shape, unknown codec.
    """
    check_pixels(pixels)
    height, width = pixels.shape[:2]
    color = pixels.ndim == 3
    if codec == "gray8":
        gray = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY) if color else pixels
        return EncodedFrame(Codec.GRAY8, gray.tobytes(), width, height)
    if codec == "rgb24":
        rgb = pixels if color else np.repeat(pixels[:, :, None], 3, axis=2)
        return EncodedFrame(Codec.RGB24, rgb.tobytes(), width, height)
    if codec not in ("jpeg", "png"):
        raise ValueError(f"unknown codec {codec!r}; expected jpeg, png, gray8 or rgb24")
    image = _bgr(pixels) if color else pixels
    if codec == "png":
        return EncodedFrame(Codec.PNG, cv2.imencode(".png", image)[1].tobytes())
    return EncodedFrame(Codec.JPEG, cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes())


def _bgr(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """What OpenCV wants; no copy where the memory is BGR already and `pixels` a view of it in the other order."""
    flipped = pixels[..., ::-1]
    return flipped if flipped.strides[1:] == (3, 1) else np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), np.uint8)


def frame_of_file(content: bytes) -> EncodedFrame:
    """The bytes of a JPEG or PNG file as they are; whether they are an image is for the server to say."""
    return EncodedFrame(Codec.PNG if content.startswith(PNG_SIGNATURE) else Codec.JPEG, content)
