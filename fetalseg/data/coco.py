"""Annotated frames in COCO's format, checked as they are read.

Beyond plain COCO an image may carry `annotated_category_ids` (what is known in it; absent: every category of the
file), `patient` and `view`. An annotation may have no segmentation: a box alone is legal.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fetalseg.anatomy import STRUCTURES
from fetalseg.data.rle import decode_rle
from fetalseg.errors import DataError

__all__ = ["Annotation", "CocoSet", "ImageRecord", "read_coco", "write_subset"]

_NAME_BY_ID = {s.id: s.name for s in STRUCTURES}
# Boxes are stored rounded to a tenth of a pixel by some tools; more than this beyond the frame is a mistake.
_BOX_TOLERANCE = 1.0  # px


@dataclass(frozen=True, eq=False)
class Annotation:
    """One structure in one image.

    Attributes:
        id: of the annotation in its file.
        label: 0..16.
        box: float32 [4] xyxy in pixels of the image.
        segmentation: COCO RLE object, list of polygons, or None for a box alone.
        crowd: a region holding several structures: neither learnt nor scored.
    """

    id: int
    label: int
    box: npt.NDArray[np.float32]
    segmentation: dict[str, Any] | list[list[float]] | None
    crowd: bool

    def mask(self, height: int, width: int) -> npt.NDArray[np.bool_] | None:
        """The mask [height, width], or None for a box alone.

        Raises:
            DataError: a segmentation that can't be read or is empty.
        """
        if self.segmentation is None:
            return None
        if isinstance(self.segmentation, dict):
            try:
                mask = decode_rle(self.segmentation["counts"], (height, width))
            except (KeyError, ValueError, TypeError) as error:
                raise DataError(f"annotation {self.id}: {error}") from None
        else:
            mask = _fill_polygons(self.segmentation, height, width)
        if not mask.any():
            raise DataError(f"annotation {self.id}: the segmentation covers no pixel")
        return mask


@dataclass(frozen=True, eq=False)
class ImageRecord:
    """One image with what is known about it.

    Attributes:
        id: in its file.
        path: of the image file.
        height: px.
        width: px.
        known: bool [17], structures annotated wherever they are seen; the others are neither learnt nor scored.
        annotations: structures present.
        patient: group key, or None where the set doesn't say.
        view: name of a view, or None.
    """

    id: int
    path: Path
    height: int
    width: int
    known: npt.NDArray[np.bool_]
    annotations: tuple[Annotation, ...]
    patient: str | None
    view: str | None


@dataclass(frozen=True, eq=False)
class CocoSet:
    """A set of annotated images.

    Attributes:
        name: for messages and logs.
        path: of the annotation file.
        images: in the order of the file.
        description: `info.description` and licence of the file, for a model's facts.
    """

    name: str
    path: Path
    images: tuple[ImageRecord, ...]
    description: str

    def subset(self, ids: Iterable[int]) -> CocoSet:
        """The images with these ids, in the order of the file."""
        wanted = frozenset(ids)
        images = tuple(image for image in self.images if image.id in wanted)
        return CocoSet(self.name, self.path, images, self.description)


def read_coco(path: str | Path, image_root: str | Path | None = None, *, name: str | None = None) -> CocoSet:
    """Reads and checks a COCO file with this project's categories.

    Args:
        path: the annotation file, or a folder that holds `instances.json`.
        image_root: where `file_name` is looked up; `images/` beside the file if None.
        name: of the set; the folder's name if None.

    Raises:
        DataError: no such file, not COCO, another taxonomy, or an inconsistent record; the message names file and id.
    """
    path = Path(path)
    if path.is_dir():
        path = path / "instances.json"
    root = Path(image_root) if image_root is not None else path.parent / "images"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(f"can't read {path}: {error.strerror}") from None
    except ValueError as error:
        raise DataError(f"{path} is not JSON: {error}") from None
    try:
        _check_categories(content)
        annotations = _annotations_by_image(content)
        everything = [c["id"] for c in content["categories"]]
        images = tuple(_image(record, root, annotations, everything) for record in content["images"])
        if len({image.id for image in images}) != len(images):
            raise DataError("two images share an id")
        if orphans := sorted(set(annotations) - {image.id for image in images}):
            first = annotations[orphans[0]][0]["id"]
            raise DataError(f"annotation {first} belongs to image {orphans[0]}, which is not in the file")
    except DataError as error:
        raise DataError(f"{path}: {error}") from None
    except (KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{path} is not a COCO file: {type(error).__name__} {error}") from None
    return CocoSet(name or path.parent.name, path, images, _describe(content))


def write_subset(source: CocoSet, ids: Iterable[int], path: Path) -> None:
    """Writes the images with these ids as a COCO file of its own, `file_name` made absolute."""
    wanted = frozenset(ids)
    content = json.loads(source.path.read_text(encoding="utf-8"))
    paths = {image.id: str(image.path.resolve()) for image in source.images}
    content["images"] = [{**i, "file_name": paths[i["id"]]} for i in content["images"] if i["id"] in wanted]
    content["annotations"] = [a for a in content["annotations"] if a["image_id"] in wanted]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")


def _check_categories(content: dict[str, Any]) -> None:
    for category in content["categories"]:
        if _NAME_BY_ID.get(category["id"]) != category["name"]:
            expected = _NAME_BY_ID.get(category["id"], "no category")
            raise DataError(f"category {category['id']} is called {category['name']!r}, expected {expected}")


def _annotations_by_image(content: dict[str, Any]) -> dict[int, list[dict[str, Any]]]:
    grouped: dict[int, list[dict[str, Any]]] = {}
    seen: set[int] = set()
    for record in content["annotations"]:
        if record["id"] in seen:
            raise DataError(f"annotation {record['id']} occurs twice")
        seen.add(record["id"])
        grouped.setdefault(record["image_id"], []).append(record)
    return grouped


def _image(
    record: dict[str, Any], root: Path, annotations: dict[int, list[dict[str, Any]]], everything: list[int]
) -> ImageRecord:
    number = record["id"]
    height, width = record["height"], record["width"]
    if not (isinstance(height, int) and isinstance(width, int) and height > 0 and width > 0):
        raise DataError(f"image {number}: size {width}x{height} is not a size in pixels")
    known = np.zeros(len(STRUCTURES), np.bool_)
    for category in record.get("annotated_category_ids", everything):
        if category not in _NAME_BY_ID:
            raise DataError(f"image {number}: annotated_category_ids holds {category}, expected ids 1..{len(known)}")
        known[category - 1] = True
    found = tuple(_annotation(a, height, width) for a in annotations.get(number, []))
    for annotation in found:
        if not (known[annotation.label] or annotation.crowd):
            name = STRUCTURES[annotation.label].name
            raise DataError(f"image {number}: annotation {annotation.id} is a {name}, not in annotated_category_ids")
    patient = record.get("patient")
    return ImageRecord(
        id=number,
        path=root / record["file_name"],
        height=height,
        width=width,
        known=known,
        annotations=found,
        patient=None if patient is None else str(patient),
        view=record.get("view"),
    )


def _annotation(record: dict[str, Any], height: int, width: int) -> Annotation:
    number, category = record["id"], record["category_id"]
    if category not in _NAME_BY_ID:
        raise DataError(f"annotation {number}: category {category}, expected 1..{len(_NAME_BY_ID)}")
    bbox = np.asarray(record["bbox"], np.float64)
    if bbox.shape != (4,) or not np.isfinite(bbox).all() or bbox[2] <= 0 or bbox[3] <= 0:
        raise DataError(f"annotation {number}: bbox {record['bbox']} is not x, y, width > 0, height > 0")
    box = np.array([bbox[0], bbox[1], bbox[0] + bbox[2], bbox[1] + bbox[3]])
    limit = np.array([width, height, width, height])
    if (box < -_BOX_TOLERANCE).any() or (box > limit + _BOX_TOLERANCE).any():
        raise DataError(f"annotation {number}: bbox {record['bbox']} reaches outside the {width}x{height} image")
    segmentation = record.get("segmentation") or None
    if isinstance(segmentation, dict) and list(segmentation.get("size", ())) != [height, width]:
        raise DataError(
            f"annotation {number}: RLE of size {segmentation.get('size')}, expected its image's [{height}, {width}]"
        )
    if isinstance(segmentation, list) and any(len(ring) < 6 or len(ring) % 2 for ring in segmentation):
        raise DataError(f"annotation {number}: a polygon needs at least 3 points of x and y")
    return Annotation(
        id=number,
        label=category - 1,
        box=np.clip(box, 0, limit).astype(np.float32),
        segmentation=segmentation,
        crowd=bool(record.get("iscrowd", 0)),
    )


def _fill_polygons(rings: list[list[float]], height: int, width: int) -> npt.NDArray[np.bool_]:
    """Union of the rings: a pixel belongs to it if its centre lies inside."""
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


def _describe(content: dict[str, Any]) -> str:
    info = content.get("info") or {}
    parts = [str(info[key]) for key in ("description", "licence", "license") if info.get(key)]
    return ", ".join(parts)
