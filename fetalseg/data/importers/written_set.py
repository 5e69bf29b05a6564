"""A COCO set as it is written: frames shrunk to a common width, records, and what was left out."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from fetalseg.anatomy import VIEWS, coco_categories, structure
from fetalseg.encoding import compressed_runs, run_lengths
from fetalseg.errors import DataError, FrameError
from fetalseg.sources.decode import decode_image

__all__ = ["MAX_WIDTH", "ImportedSet", "SetWriter", "held", "read_pixels", "ruled_out"]

MAX_WIDTH = 640  # px; speckle and the thinnest structures stay visible

_JPEG_QUALITY = 85
# Views that are planes of their own: what is tested in one of them is not seen in the others.
_PLANES = ("head", "neck", "thorax", "abdomen")


@dataclass(frozen=True)
class ImportedSet:
    """What was written.

    Attributes:
        path: of `instances.json`.
        images: how many.
        annotations: how many.
        left_out: what the publisher's files hold that isn't there, with the reason; one line each.
    """

    path: Path
    images: int
    annotations: int
    left_out: tuple[str, ...]


@dataclass(eq=False)
class SetWriter:
    """Collects frames and writes a set.

    Attributes:
        folder: for `instances.json` and `images/`.
        info: of the COCO file: description, licence, attribution.
        left_out: see `ImportedSet`.
    """

    folder: Path
    info: dict[str, Any]
    left_out: list[str] = field(default_factory=list)
    _images: list[dict[str, Any]] = field(default_factory=list)
    _annotations: list[dict[str, Any]] = field(default_factory=list)

    def start(self) -> None:
        """Makes the folders.

        Raises:
            DataError: there is a set already, or the folder can't be written.
        """
        if (self.folder / "instances.json").exists():
            raise DataError(f"{self.folder / 'instances.json'} exists; expected a folder without a set")
        try:
            (self.folder / "images").mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DataError(f"can't write to {self.folder}: {error.strerror}") from None

    def add_image(self, pixels: npt.NDArray[np.uint8], stem: str, facts: dict[str, Any]) -> tuple[int, float]:
        """Writes a frame as gray JPEG.

        Args:
            pixels: gray [H, W] or RGB [H, W, 3].
            stem: of the file's name.
            facts: further keys of its record; `pixel_size_mm` is that of the given pixels.

        Returns:
            The id of its record, and by what its coordinates shrank (1 or less).

        Raises:
            DataError: the file can't be written.
        """
        gray = pixels if pixels.ndim == 2 else np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), np.uint8)
        height, width = gray.shape
        ratio = min(1.0, MAX_WIDTH / width)
        size = (round(width * ratio), round(height * ratio))
        small = cv2.resize(gray, size, interpolation=cv2.INTER_AREA) if ratio < 1 else gray
        record = {"id": len(self._images) + 1, "file_name": f"{stem}.jpg", "height": size[1], "width": size[0], **facts}
        if "pixel_size_mm" in facts:
            record["pixel_size_mm"] = round(facts["pixel_size_mm"] / ratio, 6)
        data = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])[1].tobytes()
        path = self.folder / "images" / record["file_name"]
        try:
            path.write_bytes(data)
        except OSError as error:
            raise DataError(f"can't write {path}: {error.strerror}") from None
        self._images.append(record)
        return record["id"], ratio

    def add_mask(self, image_id: int, name: str, mask: npt.NDArray[np.bool_]) -> None:
        """Adds a structure by its mask [H, W] of the frame before it shrank."""
        record = self._images[image_id - 1]
        size = (record["width"], record["height"])
        if mask.shape != size[::-1]:
            mask = cv2.resize(mask.astype(np.uint8) * 255, size, interpolation=cv2.INTER_AREA) > 127
        ys, xs = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        x, y, right, bottom = int(xs[0]), int(ys[0]), int(xs[-1]) + 1, int(ys[-1]) + 1
        runs = run_lengths(mask[y:bottom, x:right], corner=(x, y), frame_shape=size[::-1])
        annotation = self._annotation(image_id, name, [x, y, right - x, bottom - y], int(mask.sum()))
        annotation["segmentation"] = {"size": [size[1], size[0]], "counts": compressed_runs(runs)}

    def add_box(self, image_id: int, name: str, box: tuple[float, float, float, float]) -> None:
        """Adds a structure by its box, xyxy in pixels of the written frame, 0.1 px exact."""
        x1, y1, x2, y2 = box
        bbox = [round(value, 1) for value in (x1, y1, x2 - x1, y2 - y1)]
        self._annotation(image_id, name, bbox, round(bbox[2] * bbox[3], 1))

    def finish(self) -> ImportedSet:
        """Writes `instances.json`.

        Raises:
            DataError: it can't be written.
        """
        content = {
            "info": self.info,
            "categories": coco_categories(),
            "images": self._images,
            "annotations": self._annotations,
        }
        path = self.folder / "instances.json"
        try:
            path.write_text(json.dumps(content), encoding="utf-8")
        except OSError as error:
            raise DataError(f"can't write {path}: {error.strerror}") from None
        return ImportedSet(path, len(self._images), len(self._annotations), tuple(self.left_out))

    def _annotation(self, image_id: int, name: str, bbox: list[Any], area: float) -> dict[str, Any]:
        record: dict[str, Any] = {
            "id": len(self._annotations) + 1,
            "image_id": image_id,
            "iscrowd": 0,
            "category_id": structure(name).id,
            "bbox": bbox,
            "area": area,
        }
        self._annotations.append(record)
        return record


def ruled_out(view: str) -> set[str]:
    """Names of the structures that a frame of this view can't show: those tested in the other planes.

    Limbs and spine may be seen in any of them, and what is tested in the view itself may be there without a label.
    """
    return {name for other in VIEWS if other.name in _PLANES and other.name != view for name in other.tested}


def held(folder: Path) -> str:
    """What is in a folder, for a message about what isn't: some names."""
    if not folder.is_dir():
        return "a file that is to be unpacked first" if folder.is_file() else "no such folder"
    names = sorted(path.name + "/" * path.is_dir() for path in folder.iterdir())
    return ", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "") or "an empty folder"


def read_pixels(path: Path) -> npt.NDArray[np.uint8]:
    """An image of a publisher, gray [H, W] or RGB [H, W, 3].

    Raises:
        DataError: a file that can't be read.
    """
    try:
        return decode_image(path.read_bytes(), formats=("jpeg", "png", "bmp"))
    except OSError as error:
        raise DataError(f"can't read {path}: {error.strerror}") from None
    except FrameError as error:
        raise DataError(f"{path}: {error}") from None
