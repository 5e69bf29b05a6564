"""Annotated images as a COCO file describes them: what is where, what is known, and the pixels on demand.

Segmentations stay as written and become masks when they are asked for; a whole set of masks would not fit into memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypedDict, TypeVar

import numpy as np
import numpy.typing as npt

from fetalseg.anatomy import structure_names
from fetalseg.encoding import decode_mask
from fetalseg.errors import DataError, FrameError
from fetalseg.sources.decode import decode_image
from fetalseg.sources.image_header import read_image_header

__all__ = ["Annotation", "CocoSet", "ImageRecord", "WrittenRle"]

_Read = TypeVar("_Read")


class WrittenRle(TypedDict):
    """Runs of a mask as a COCO file holds them: `size` is [H, W], `counts` compressed text or run lengths."""

    size: list[int]
    counts: str | bytes | list[int]


@dataclass(frozen=True)
class Annotation:
    """One structure in one image.

    Attributes:
        id: in its file.
        label: place in the set's `structures`.
        bbox: x, y, width, height in pixels of the image, as written.
        segmentation: runs, polygons (each x, y, x, y, ...), or None for a box alone.
        crowd: a region of several structures: neither learnt, nor counted either way when scored.
    """

    id: int
    label: int
    bbox: tuple[float, float, float, float]
    segmentation: WrittenRle | list[list[float]] | None
    crowd: bool

    def box(self, height: int, width: int) -> npt.NDArray[np.float32]:
        """The box [4] as xyxy, cut at the edges of an image of this size."""
        x, y, w, h = self.bbox
        return np.clip([x, y, x + w, y + h], 0, [width, height, width, height]).astype(np.float32)

    def mask(self, height: int, width: int) -> npt.NDArray[np.bool_] | None:
        """The mask [height, width], or None for a box alone.

        Raises:
            DataError: the segmentation covers no pixel.
        """
        if self.segmentation is None:
            return None
        if isinstance(self.segmentation, dict):
            mask = decode_mask(self.segmentation["counts"], (height, width))
        else:
            mask = _fill_polygons(self.segmentation, height, width)
        if not mask.any():
            raise DataError(f"annotation {self.id}: the segmentation covers no pixel")
        return mask


@dataclass(frozen=True)
class ImageRecord:
    """One image with what is known about it.

    Attributes:
        id: in its file.
        path: of the image file.
        height: px.
        width: px.
        known: labels that are annotated wherever they are seen; the others are neither learnt nor scored.
        annotations: structures present.
        patient: group key, or None where the set doesn't say.
        view: name of a view, or None.
    """

    id: int
    path: Path
    height: int
    width: int
    known: frozenset[int]
    annotations: tuple[Annotation, ...]
    patient: str | None = None
    view: str | None = None

    def pixels(self) -> npt.NDArray[np.uint8]:
        """The decoded image file, gray [H, W] or RGB [H, W, 3].

        Raises:
            DataError: a file that can't be read, or of another size than the record says.
        """
        pixels = self._read(lambda data: decode_image(data, formats=("jpeg", "png", "bmp")))
        self._check_size(pixels.shape[0], pixels.shape[1])
        return pixels

    def check_file(self) -> None:
        """Looks at the header of the image file only.

        Raises:
            DataError: as of `pixels`.
        """
        header = self._read(read_image_header)
        self._check_size(header.height, header.width)

    def _read(self, reader: Callable[[bytes], _Read]) -> _Read:
        try:
            return reader(self.path.read_bytes())
        except OSError as error:
            raise DataError(f"image {self.id}: can't read {self.path}: {error.strerror}") from None
        except FrameError as error:
            raise DataError(f"image {self.id}: {self.path}: {error}") from None

    def _check_size(self, height: int, width: int) -> None:
        if (height, width) != (self.height, self.width):
            raise DataError(
                f"image {self.id}: {self.path} is {width}x{height} px; its record says {self.width}x{self.height}"
            )


@dataclass(frozen=True)
class CocoSet:
    """A set of annotated images.

    Attributes:
        path: of the annotation file.
        sha256: of the annotation file.
        description: `info.description`, url and licence of the file, for a model's facts.
        category_ids: label to the category id that the file uses.
        images: in the order of the file.
        structures: C names in label order: the seventeen of `fetalseg.anatomy` where the file's categories are among
            them, else the file's own in the order of their ids.
    """

    path: Path
    sha256: str
    description: str
    category_ids: dict[int, int]
    images: tuple[ImageRecord, ...]
    structures: tuple[str, ...] = structure_names()

    @property
    def name(self) -> str:
        """For messages, logs and folders: that of the folder with `instances.json`, or of a file called otherwise."""
        path = self.path.resolve()
        return path.parent.name if path.name == "instances.json" else path.stem

    @property
    def has_masks(self) -> bool:
        """Whether any annotation has a mask."""
        return any(a.segmentation is not None for image in self.images for a in image.annotations)

    def subset(self, ids: Iterable[int]) -> CocoSet:
        """The images with these ids, in the order of the file."""
        wanted = frozenset(ids)
        return replace(self, images=tuple(image for image in self.images if image.id in wanted))


def _fill_polygons(rings: list[list[float]], height: int, width: int) -> npt.NDArray[np.bool_]:
    """Union of the rings: a pixel belongs to it if its centre lies inside.

    Evaluation has pycocotools fill polygons instead, as published figures do; training runs without it.
    """
    mask = np.zeros((height, width), np.bool_)
    for ring in rings:
        mask |= _fill_ring(np.asarray(ring, np.float64).reshape(-1, 2), height, width)
    return mask


def _fill_ring(points: npt.NDArray[np.float64], height: int, width: int) -> npt.NDArray[np.bool_]:
    """Even-odd rule at pixel centres; cv2.fillPoly would add every pixel that the outline touches."""
    crossings = np.zeros((height, width + 1), np.int64)
    centres = np.arange(height) + 0.5
    for (x1, y1), (x2, y2) in zip(points, np.roll(points, -1, axis=0), strict=True):
        rows = np.flatnonzero((centres >= min(y1, y2)) & (centres < max(y1, y2)))
        if len(rows):
            x = x1 + (centres[rows] - y1) * ((x2 - x1) / (y2 - y1))
            np.add.at(crossings, (rows, np.clip(np.ceil(x - 0.5), 0, width).astype(int)), 1)
    return np.asarray(crossings.cumsum(axis=1)[:, :width] % 2 == 1)
