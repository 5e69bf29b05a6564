"""From a frame to the network's input and back: the only place that knows about resizing.

Coordinates: boxes are xyxy in continuous pixels, pixel (i, j) covers [i, i+1) x [j, j+1), so a point maps by
`x_input = x_frame * scale_x + pad_left` without any half-pixel term.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt

from fetalseg.frame import check_pixels

__all__ = ["FrameGeometry", "InputRule", "prepare"]

Resize = Literal["letterbox", "stretch"]
Interpolation = Literal["area", "linear"]


@dataclass(frozen=True)
class InputRule:
    """How a frame becomes the network's input; part of a model's facts.

    Attributes:
        height: h in px.
        width: w in px.
        channels: 1 (gray) or 3 (RGB).
        resize: "letterbox" keeps the aspect ratio and pads, centred; "stretch" fills h x w.
        pad_value: gray level 0..255 of the padding.
        interpolation: how a frame is shrunk: "area" averages (speckle would alias otherwise), "linear" is bilinear, as
            the reference YOLACT does it. Enlarging is always bilinear.
    """

    height: int
    width: int
    channels: Literal[1, 3]
    resize: Resize = "letterbox"
    pad_value: int = 0
    interpolation: Interpolation = "area"


@dataclass(frozen=True)
class FrameGeometry:
    """Where a frame lies inside the network's input.

    Attributes:
        frame_shape: (H, W) of the source frame.
        input_shape: (h, w) of the network's input.
        scale: (y, x), input pixels per frame pixel.
        pad: (top, left) in input pixels.
        content: (height, width) of the frame's picture inside the input, in input pixels.
    """

    frame_shape: tuple[int, int]
    input_shape: tuple[int, int]
    scale: tuple[float, float]
    pad: tuple[int, int]
    content: tuple[int, int]

    @classmethod
    def of(cls, frame_shape: tuple[int, int], rule: InputRule) -> FrameGeometry:
        """The geometry of a frame of `frame_shape` (H, W) under `rule`."""
        (height, width), (h, w) = frame_shape, (rule.height, rule.width)
        if rule.resize == "stretch":
            content = (h, w)
        else:
            ratio = min(h / height, w / width)
            content = (min(h, max(1, round(height * ratio))), min(w, max(1, round(width * ratio))))
        return cls(
            frame_shape=(height, width),
            input_shape=(h, w),
            scale=(content[0] / height, content[1] / width),
            pad=((h - content[0]) // 2, (w - content[1]) // 2),
            content=content,
        )

    def boxes_to_frame(self, boxes: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Maps boxes [..., 4] from network-input pixels to frame pixels, clipped to the frame."""
        (height, width), (sy, sx), (top, left) = self.frame_shape, self.scale, self.pad
        offset = np.array([left, top, left, top], np.float32)
        factor = np.array([1 / sx, 1 / sy, 1 / sx, 1 / sy], np.float32)
        limit = np.array([width, height, width, height], np.float32)
        return np.asarray(np.clip((boxes - offset) * factor, 0, limit), np.float32)

    def boxes_to_input(self, boxes: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Maps boxes [..., 4] from frame pixels to network-input pixels."""
        (sy, sx), (top, left) = self.scale, self.pad
        offset = np.array([left, top, left, top], np.float32)
        factor = np.array([sx, sy, sx, sy], np.float32)
        return np.asarray(boxes * factor + offset, np.float32)


def prepare(
    pixels: npt.NDArray[np.uint8], rule: InputRule, out: npt.NDArray[np.uint8] | None = None
) -> tuple[npt.NDArray[np.uint8], FrameGeometry]:
    """Resizes, pads and converts one frame.

    Gray from RGB is the luma of ITU-R BT.601.

    Args:
        pixels: uint8, gray [H, W] or RGB [H, W, 3].
        rule: the model's input rule.
        out: where to write, uint8 [h, w, channels]; a new array if None.

    Returns:
        The input uint8 [h, w, channels], and where the frame lies in it.

    Raises:
        ValueError, FrameError: see `fetalseg.frame.check_pixels`.
    """
    check_pixels(pixels)
    geometry = FrameGeometry.of((pixels.shape[0], pixels.shape[1]), rule)
    if pixels.ndim == 3 and rule.channels == 1:
        pixels = np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), np.uint8)
    elif pixels.ndim == 2 and rule.channels == 3:
        pixels = np.asarray(cv2.cvtColor(pixels, cv2.COLOR_GRAY2RGB), np.uint8)
    height, width = geometry.content
    if (height, width) != pixels.shape[:2]:
        shrinks = height < pixels.shape[0] and width < pixels.shape[1]
        method = cv2.INTER_AREA if shrinks and rule.interpolation == "area" else cv2.INTER_LINEAR
        pixels = np.asarray(cv2.resize(pixels, (width, height), interpolation=method), np.uint8)
    if out is None:
        out = np.empty((rule.height, rule.width, rule.channels), np.uint8)
    out[:] = rule.pad_value
    top, left = geometry.pad
    out[top : top + height, left : left + width] = pixels if pixels.ndim == 3 else pixels[:, :, None]
    return out, geometry
