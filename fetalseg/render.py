"""Overlays: what was found, drawn over the frame.

Every structure is filled with its colour, transparent enough to see the speckle, and outlined along the edges of its
mask. Its tag stands where it hides little, with a line to the structure where that isn't next to it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from fetalseg.frame import check_pixels
from fetalseg.instances import Instances
from fetalseg.taxonomy import describe

__all__ = ["draw"]

Image = npt.NDArray[np.uint8]
Color = tuple[int, int, int]

_FONT = cv2.FONT_HERSHEY_SIMPLEX
_TEXT: Color = (245, 245, 245)
_DARK: Color = (12, 14, 18)
_PLATE_OPACITY = 0.72

# OpenCV draws at fractions of a pixel when coordinates carry this many binary digits after the point.
_FRACTION_BITS = 4

# A structure that covers less of the frame is small: a tag should not stand on it.
_SMALL_SHARE = 0.03


def draw(
    pixels: npt.NDArray[np.uint8],
    instances: Instances,
    *,
    opacity: float = 0.35,
    legend: bool = True,
    names: Sequence[str] | None = None,
) -> Image:
    """The frame with its instances over it, the largest at the bottom.

    Args:
        pixels: uint8, gray [H, W] or RGB [H, W, 3]; left as it is.
        instances: found in this frame.
        opacity: 0..1, of the filling; outlines are solid.
        legend: write each structure's name and score.
        names: words for each label; the titles of the instances' structures if None.

    Returns:
        RGB uint8 [H, W, 3].

    Raises:
        ValueError: instances of a frame of another size, an opacity out of range, a label without a name.
        FrameError: see `fetalseg.frame.check_pixels`.
    """
    check_pixels(pixels)
    if pixels.shape[:2] != instances.frame_shape:
        raise ValueError(
            f"pixels have shape {pixels.shape[:2]}; expected that of the instances {instances.frame_shape}"
        )
    if not 0 <= opacity <= 1:
        raise ValueError(f"opacity must be within 0..1, got {opacity}")
    words = tuple(s.title for s in describe(instances.structures)) if names is None else tuple(names)
    if len(instances) and int(instances.labels.max()) >= len(words):
        raise ValueError(f"{len(words)} names given; expected at least {int(instances.labels.max()) + 1}")

    plain = pixels if pixels.ndim == 3 else np.repeat(pixels[:, :, None], 3, axis=2)
    canvas = np.array(plain, order="C")
    style = _Style.of(instances.frame_shape)
    order = sorted(range(len(instances)), key=lambda i: -np.count_nonzero(instances.crops[i]))
    for i in order:
        _fill(canvas, plain, instances.crops[i], instances.crop_boxes[i].tolist(), _color(instances, i), opacity)
    rings = instances.polygons()
    for i in order:
        _outline(canvas, rings[i] or [_box_ring(instances.boxes[i].tolist())], _color(instances, i), style)
    if legend:
        texts = [f"{words[label]} {score:.2f}" for label, score in zip(instances.labels, instances.scores, strict=True)]
        _draw_tags(canvas, instances, texts, style)
    return canvas


@dataclass(frozen=True)
class _Style:
    """Sizes in px, in proportion to the frame.

    Attributes:
        line: width of outlines.
        font: scale of OpenCV's font.
        text_height: of capital letters.
        margin: around text, and between a tag and its structure.
    """

    line: int
    font: float
    text_height: int
    margin: int

    @classmethod
    def of(cls, frame_shape: tuple[int, int]) -> _Style:
        side = min(frame_shape)
        font = min(max(side / 1500, 0.34), 1.2)
        (_, text_height), _ = cv2.getTextSize("H", _FONT, font, 1)
        return cls(line=max(1, round(side / 500)), font=font, text_height=text_height, margin=max(3, round(side / 160)))


@dataclass(frozen=True)
class _Rect:
    """A rectangle in whole pixels."""

    x1: int
    y1: int
    x2: int
    y2: int

    def overlap(self, other: _Rect) -> int:
        width = min(self.x2, other.x2) - max(self.x1, other.x1)
        height = min(self.y2, other.y2) - max(self.y1, other.y1)
        return max(width, 0) * max(height, 0)

    def nearest(self, x: float, y: float) -> tuple[int, int]:
        """The point of the rectangle next to (x, y)."""
        return round(min(max(x, self.x1), self.x2)), round(min(max(y, self.y1), self.y2))


def _color(instances: Instances, i: int) -> Color:
    return describe(instances.structures)[int(instances.labels[i])].color


def _fill(
    canvas: Image, plain: Image, crop: npt.NDArray[np.bool_], box: list[int], color: Color, opacity: float
) -> None:
    """Tints the plain frame inside a mask, so that colours of masks below don't mix in."""
    x1, y1, x2, y2 = box
    canvas[y1:y2, x1:x2][crop] = np.rint(plain[y1:y2, x1:x2][crop] * (1 - opacity) + np.array(color) * opacity)


def _box_ring(box: list[float]) -> list[float]:
    x1, y1, x2, y2 = box
    return [x1, y1, x2, y1, x2, y2, x1, y2]


def _outline(canvas: Image, rings: list[list[float]], color: Color, style: _Style) -> None:
    """Strokes rings; their coordinates are edges of pixels, OpenCV's are centres."""
    factor = 1 << _FRACTION_BITS
    points = [np.rint((np.array(ring).reshape(-1, 1, 2) - 0.5) * factor).astype(np.int32) for ring in rings]
    cv2.polylines(canvas, points, True, color, style.line, cv2.LINE_AA, _FRACTION_BITS)


def _draw_tags(canvas: Image, instances: Instances, texts: list[str], style: _Style) -> None:
    """Writes a tag for each instance, best scores first, which have the first choice of a place."""
    busy = _hidden_cost(instances)
    placed: list[_Rect] = []
    for i, text in enumerate(texts):
        (width, _), baseline = cv2.getTextSize(text, _FONT, style.font, 1)
        size = (width + 4 * style.margin, style.text_height + baseline + style.margin)
        tag = _place(size, instances.boxes[i].tolist(), instances.frame_shape, busy, placed, style)
        if tag is None:
            continue
        placed.append(tag)
        _draw_leader(canvas, tag, instances, i, style)
        _draw_tag(canvas, tag, text, _color(instances, i), style)


def _hidden_cost(instances: Instances) -> npt.NDArray[np.float64]:
    """Integral image of what a tag would hide: 1 for each pixel of a small structure, a little for a large one's."""
    height, width = instances.frame_shape
    cost = np.zeros((height, width), np.float32)
    for crop, (x1, y1, x2, y2) in zip(instances.crops, instances.crop_boxes.tolist(), strict=True):
        share = 1.0 if np.count_nonzero(crop) < _SMALL_SHARE * height * width else 0.1
        np.maximum(cost[y1:y2, x1:x2], share * crop, out=cost[y1:y2, x1:x2])
    return np.asarray(cv2.integral(cost), np.float64)


def _place(
    size: tuple[int, int],
    box: list[float],
    frame_shape: tuple[int, int],
    busy: npt.NDArray[np.float64],
    placed: list[_Rect],
    style: _Style,
) -> _Rect | None:
    """The place around a box that hides least and is near; None if the frame is too small for the tag."""
    (width, height), (frame_height, frame_width) = size, frame_shape
    if width > frame_width or height > frame_height:
        return None
    x1, y1, x2, y2 = box
    best: tuple[float, _Rect] | None = None
    for distance in (0, 1, 2, 4, 7):
        gap = style.margin + distance * height
        xs = (x1 - gap - width, x1, (x1 + x2 - width) / 2, x2 - width, x2 + gap)
        ys = (y1 - gap - height, y1, (y1 + y2 - height) / 2, y2 - height, y2 + gap)
        for x in xs:
            for y in ys:
                left = round(min(max(x, 0), frame_width - width))
                top = round(min(max(y, 0), frame_height - height))
                tag = _Rect(left, top, left + width, top + height)
                hidden = busy[tag.y2, tag.x2] - busy[tag.y1, tag.x2] - busy[tag.y2, tag.x1] + busy[tag.y1, tag.x1]
                on_tags = sum(tag.overlap(other) for other in placed)
                # In areas of the tag: one tag on another is worst, then what it hides, then how far away it stands.
                cost = (20 * on_tags + 2 * hidden) / (width * height) + 0.3 * distance
                if best is None or cost < best[0]:
                    best = cost, tag
    return None if best is None else best[1]


def _draw_leader(canvas: Image, tag: _Rect, instances: Instances, i: int, style: _Style) -> None:
    """A line from a tag to the nearest pixel of its structure, unless they are next to each other."""
    x1, y1, _, _ = instances.crop_boxes[i].tolist()
    ys, xs = np.nonzero(instances.crops[i])
    if len(xs) == 0:
        return
    target_x, target_y = xs + x1, ys + y1
    away_x = np.maximum(np.maximum(tag.x1 - target_x, target_x - tag.x2), 0)
    away_y = np.maximum(np.maximum(tag.y1 - target_y, target_y - tag.y2), 0)
    nearest = int(np.argmin(np.hypot(away_x, away_y)))
    if np.hypot(away_x[nearest], away_y[nearest]) > 2 * style.margin:
        end = (int(target_x[nearest]), int(target_y[nearest]))
        cv2.line(canvas, tag.nearest(*end), end, _color(instances, i), 1, cv2.LINE_AA)


def _draw_tag(canvas: Image, tag: _Rect, text: str, color: Color, style: _Style) -> None:
    plate = canvas[tag.y1 : tag.y2, tag.x1 : tag.x2]
    plate[:] = np.rint(plate * (1 - _PLATE_OPACITY) + np.array(_DARK) * _PLATE_OPACITY)
    plate[:, : style.margin] = color
    middle = (tag.y1 + tag.y2 + style.text_height) // 2
    cv2.putText(canvas, text, (tag.x1 + 2 * style.margin, middle), _FONT, style.font, _TEXT, 1, cv2.LINE_AA)
