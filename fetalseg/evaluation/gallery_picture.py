"""One picture of a gallery: the part of a frame around a structure, what was found and what is annotated.

What was found is tinted and outlined in the structure's colour, as everywhere else; the annotation is a dashed white
line on top. Masks are enlarged with the picture, so that a small structure keeps a fine outline.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from fetalseg.encoding import decode_mask
from fetalseg.evaluation.best_detection import MIN_BEST_SCORE, counted
from fetalseg.evaluation.coco import truth_mask
from fetalseg.evaluation.scored_frames import ScoredFrame
from fetalseg.instances import Instances
from fetalseg.render import draw

__all__ = ["MAX_BYTES", "SIDE", "DrawnPicture", "draw_picture"]

Mask = npt.NDArray[np.bool_]
Image = npt.NDArray[np.uint8]

SIDE = 400  # px, the longer one of a picture
MAX_BYTES = 60_000  # of a JPEG; speckle compresses badly, so the quality follows

_QUALITIES = (82, 70, 55, 40, 25, 10)
_CONTEXT = 1.7  # sides of the part shown, in those of what it is shown for
_LEAST_SHARE = 0.3  # of a frame's sides: a nasal bone alone would not say where it is
_DASH, _GAP = 6, 5  # px
_WHITE, _HALO = (255, 255, 255), (12, 14, 18)


class DrawnPicture(NamedTuple):
    """A picture.

    Attributes:
        jpeg: at most `MAX_BYTES`, but for pictures that no quality brings down to it.
        width: px.
        height: px.
        zoom: px of the picture for one of the frame.
    """

    jpeg: bytes
    width: int
    height: int
    zoom: float


def draw_picture(
    pixels: npt.NDArray[np.uint8], frame: ScoredFrame, label: int, structures: tuple[str, ...]
) -> DrawnPicture:
    """Draws a structure as found from score 0.3 on, and as annotated.

    Args:
        pixels: of the frame, gray [H, W] or RGB [H, W, 3]; left as they are.
        frame: with its annotations and detections.
        label: of the structure.
        structures: names, of the set.

    Raises:
        DataError: a mask of the ground truth covers no pixel.
    """
    image, found = frame.image, frame.found
    rows = np.flatnonzero((found.labels == label) & (found.scores >= MIN_BEST_SCORE))
    annotated = counted(image, label)
    boxes = [found.boxes[row] for row in rows] + [a.box(image.height, image.width) for a in annotated]
    part = _Part.around(np.array(boxes, np.float64).reshape(-1, 4), image.height, image.width)
    truths = [
        _filled(a.box(image.height, image.width), image.height, image.width)
        if a.segmentation is None
        else decode_mask(truth_mask(a, image.height, image.width)["counts"], (image.height, image.width))
        for a in annotated
    ]
    masks = None
    if found.masks is not None:
        masks = [decode_mask(found.masks[row]["counts"], (image.height, image.width)) for row in rows]
    picture = draw(
        part.cut(pixels),
        _instances(part, found.boxes[rows], masks, found.scores[rows], label, structures),
        opacity=0.25,
        legend=False,
    )
    for mask in truths:
        _dash(picture, part.cut_mask(mask))
    return DrawnPicture(_jpeg(picture), picture.shape[1], picture.shape[0], part.zoom)


class _Part(NamedTuple):
    """A part of a frame, whole pixels, and the size of its picture."""

    x1: int
    y1: int
    x2: int
    y2: int
    width: int
    height: int

    @property
    def zoom(self) -> float:
        return self.width / (self.x2 - self.x1)

    @classmethod
    def around(cls, boxes: npt.NDArray[np.float64], height: int, width: int) -> _Part:
        """The part that shows boxes [N, 4] xyxy and what is around them, in the proportions of the frame."""
        share = 1.0
        centre = np.array([width / 2, height / 2])
        if len(boxes):
            low, high = boxes[:, :2].min(axis=0), boxes[:, 2:].max(axis=0)
            centre = (low + high) / 2
            share = float(np.clip(_CONTEXT * ((high - low) / [width, height]).max(), _LEAST_SHARE, 1))
        size = np.maximum(np.rint([width * share, height * share]).astype(int), 1)
        x1, y1 = np.clip(np.rint(centre - size / 2).astype(int), 0, [width, height] - size).tolist()
        w, h = size.tolist()
        scale = SIDE / max(w, h)
        return cls(x1, y1, x1 + w, y1 + h, max(1, round(w * scale)), max(1, round(h * scale)))

    def cut(self, pixels: npt.NDArray[np.uint8]) -> Image:
        method = cv2.INTER_AREA if self.zoom < 1 else cv2.INTER_CUBIC
        part = np.ascontiguousarray(pixels[self.y1 : self.y2, self.x1 : self.x2])
        return np.asarray(cv2.resize(part, (self.width, self.height), interpolation=method), np.uint8)

    def cut_mask(self, mask: Mask) -> Mask:
        part = mask[self.y1 : self.y2, self.x1 : self.x2].astype(np.float32)
        return np.asarray(cv2.resize(part, (self.width, self.height), interpolation=cv2.INTER_LINEAR) >= 0.5)

    def cut_boxes(self, boxes: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
        return ((boxes - [self.x1, self.y1, self.x1, self.y1]) * self.zoom).astype(np.float32)


def _instances(
    part: _Part,
    boxes: npt.NDArray[np.float64],
    masks: Sequence[Mask] | None,
    scores: npt.NDArray[np.float64],
    label: int,
    structures: tuple[str, ...],
) -> Instances:
    """What was found, in pixels of the picture; without masks it is drawn as boxes."""
    n = len(boxes)
    crop_boxes = np.zeros((n, 4), np.int64)
    crops: list[Mask] = [np.zeros((0, 0), np.bool_)] * n
    if masks is not None:
        crop_boxes[:, 2:] = part.width, part.height
        crops = [part.cut_mask(mask) for mask in masks]
    return Instances(
        labels=np.full(n, label, np.int64),
        scores=scores.astype(np.float32),
        boxes=part.cut_boxes(boxes),
        crops=crops,
        crop_boxes=crop_boxes,
        frame_shape=(part.height, part.width),
        structures=structures,
    )


def _filled(box: npt.NDArray[np.float32], height: int, width: int) -> Mask:
    x1, y1, x2, y2 = np.rint(box).astype(int).tolist()
    mask = np.zeros((height, width), np.bool_)
    mask[y1:y2, x1:x2] = True
    return mask


def _dash(picture: Image, mask: Mask) -> None:
    """A dashed line along the edges of a mask, with a dark one below it to stand out from bright tissue."""
    outlines, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    for outline in outlines:
        dashes = [outline[start : start + _DASH] for start in range(0, len(outline), _DASH + _GAP)]
        cv2.polylines(picture, dashes, False, _HALO, 2, cv2.LINE_AA)
        cv2.polylines(picture, dashes, False, _WHITE, 1, cv2.LINE_AA)


def _jpeg(picture: Image) -> bytes:
    image = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
    data = b""
    for quality in _QUALITIES:
        data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()
        if len(data) <= MAX_BYTES:
            break
    return data
