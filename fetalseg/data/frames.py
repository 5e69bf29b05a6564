"""Annotated frames in memory, ready to be augmented.

Each file is decoded once. Images stay at their own size up to 1.5 times the network's (a zoom then shows real detail,
not blur), masks become crops, and every structure, masked or boxed, becomes a convex outline: whatever the geometry
does to a frame, the box of a structure is the extent of its moved outline.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from fetalseg.anatomy import structure_names
from fetalseg.data.records import Annotation, CocoSet, ImageRecord
from fetalseg.errors import DataError
from fetalseg.preprocess import InputRule

__all__ = ["AnnotatedFrame", "Shape", "load_frame", "load_frames"]

_OVERSAMPLING = 1.5
_ELLIPSE_POINTS = 32  # a multiple of 4, so that the extremes of the ellipse are among its points


@dataclass(frozen=True, eq=False)
class Shape:
    """One structure of a frame.

    Attributes:
        label: place in the set's `structures`.
        outline: float32 [P, 2], x and y of a convex polygon in pixels of the stored image: the hull of the mask's
            pixels, or the ellipse inside the box where there is no mask.
        crop: uint8 0 or 255, the mask inside its bounding box; None for a box alone.
        corner: x and y of the crop's first pixel.
    """

    label: int
    outline: npt.NDArray[np.float32]
    crop: npt.NDArray[np.uint8] | None
    corner: tuple[int, int]


@dataclass(frozen=True, eq=False)
class AnnotatedFrame:
    """One frame with what is known about it.

    Attributes:
        image: uint8 gray [H, W].
        shapes: the structures in it.
        known: bool [C], by label; see `ImageRecord.known`. A structure with a crowd region is not known.
        image_id: of its set.
        source_shape: (H, W) of the file; the image may be smaller.
    """

    image: npt.NDArray[np.uint8]
    shapes: tuple[Shape, ...]
    known: npt.NDArray[np.bool_]
    image_id: int
    source_shape: tuple[int, int]

    @property
    def boxes_only(self) -> bool:
        """Whether a structure here has no mask."""
        return any(shape.crop is None for shape in self.shapes)


def load_frames(
    source: CocoSet, rule: InputRule, *, threads: int = 2, progress: Callable[[], None] | None = None
) -> list[AnnotatedFrame]:
    """Decodes every image of a set, in its order.

    Args:
        source: the set.
        rule: the network's input, which bounds the size that is kept.
        threads: decoders at work at once.
        progress: called after each frame.

    Raises:
        DataError: see `load_frame`; the message names the annotation file.
    """

    def load(record: ImageRecord) -> AnnotatedFrame:
        try:
            frame = load_frame(record, rule, structures=len(source.structures))
        except DataError as error:
            raise DataError(f"{source.path}: {error}") from None
        if progress is not None:
            progress()
        return frame

    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(load, source.images))


def load_frame(record: ImageRecord, rule: InputRule, *, structures: int = len(structure_names())) -> AnnotatedFrame:
    """Decodes one image with its masks.

    Args:
        record: of the image.
        rule: the network's input, which bounds the size that is kept.
        structures: C, how many the set has.

    Raises:
        DataError: a file that is missing, unreadable or not of the size in its record; a mask without a pixel.
    """
    image = record.pixels()
    if image.ndim == 3:
        image = np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), np.uint8)
    ratio = min(1.0, _OVERSAMPLING * min(rule.height / record.height, rule.width / record.width))
    size = (max(1, round(record.width * ratio)), max(1, round(record.height * ratio)))
    if ratio < 1:
        image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
    labels = record.known - {a.label for a in record.annotations if a.crowd}
    known = np.isin(np.arange(structures), list(labels))
    shapes = tuple(_shape(a, record, size) for a in record.annotations if known[a.label])
    return AnnotatedFrame(image, shapes, known, record.id, (record.height, record.width))


def _shape(annotation: Annotation, record: ImageRecord, size: tuple[int, int]) -> Shape:
    """The structure in pixels of an image of `size` (width, height)."""
    factor = np.array([size[0] / record.width, size[1] / record.height], np.float32)
    mask = annotation.mask(record.height, record.width)
    if mask is None:
        return Shape(annotation.label, _ellipse(annotation.box(record.height, record.width)) * factor, None, (0, 0))
    ys, xs = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    top, bottom, left, right = ys[0], ys[-1] + 1, xs[0], xs[-1] + 1
    outline = _hull(mask[top:bottom, left:right]) + np.array([left, top], np.float32)
    if (size[1], size[0]) == mask.shape:
        crop = mask[top:bottom, left:right].astype(np.uint8) * 255
        return Shape(annotation.label, outline, crop, (int(left), int(top)))
    small = np.asarray(cv2.resize(mask.astype(np.uint8) * 255, size, interpolation=cv2.INTER_AREA), np.uint8)
    x, y = np.floor(outline.min(0) * factor).astype(int)
    x_end, y_end = np.ceil(outline.max(0) * factor).astype(int)
    return Shape(annotation.label, outline * factor, small[y:y_end, x:x_end].copy(), (int(x), int(y)))


def _hull(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.float32]:
    """Convex hull [P, 2] of the corners of a mask's pixels."""
    rows = np.flatnonzero(mask.any(1))
    first = mask[rows].argmax(1)
    end = mask.shape[1] - mask[rows, ::-1].argmax(1)
    xs = np.concatenate([first, end, first, end])
    ys = np.concatenate([rows, rows, rows + 1, rows + 1])
    points = np.stack([xs, ys], 1).astype(np.float32)
    return np.asarray(cv2.convexHull(points).reshape(-1, 2), np.float32)


def _ellipse(box: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Points [P, 2] of the ellipse inside an xyxy box."""
    angle = np.arange(_ELLIPSE_POINTS) * (2 * np.pi / _ELLIPSE_POINTS)
    unit = np.stack([np.cos(angle), np.sin(angle)], 1)
    centre, half = (box[:2] + box[2:]) / 2, (box[2:] - box[:2]) / 2
    return np.asarray(centre + unit * half, np.float32)
