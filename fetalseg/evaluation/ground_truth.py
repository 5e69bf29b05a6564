"""Annotated frames to score against: a COCO file, checked as it is read, its boxes and masks kept as written.

Beyond plain COCO an image may carry `annotated_category_ids`: the structures that are annotated in it wherever they
are seen. The others are neither positives nor negatives. Without the field all categories of the file are.
An annotation may have no segmentation: a box alone is legal.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fetalseg.anatomy import structure_names
from fetalseg.errors import DataError, FrameError
from fetalseg.sources.image_header import read_image_header

__all__ = ["Annotation", "GroundTruth", "TruthImage", "read_ground_truth"]

Rle = dict[str, Any]  # {"size": [H, W], "counts": compressed text, bytes or run lengths}
_LABEL_BY_NAME = {name: label for label, name in enumerate(structure_names())}


@dataclass(frozen=True)
class Annotation:
    """One structure in one image.

    Attributes:
        id: in its file.
        label: 0..16.
        bbox: x, y, width, height in pixels of the image, as written.
        segmentation: COCO RLE, polygons, or None for a box alone.
        crowd: a region of several structures: what is found in it counts neither way.
    """

    id: int
    label: int
    bbox: tuple[float, float, float, float]
    segmentation: Rle | list[list[float]] | None
    crowd: bool


@dataclass(frozen=True)
class TruthImage:
    """One image with what is known about it.

    Attributes:
        id: in its file.
        path: of the image file.
        height: px.
        width: px.
        known: labels that are annotated wherever they are seen.
        annotations: structures present.
    """

    id: int
    path: Path
    height: int
    width: int
    known: frozenset[int]
    annotations: tuple[Annotation, ...]


@dataclass(frozen=True)
class GroundTruth:
    """A set of annotated images.

    Attributes:
        path: of the annotation file.
        sha256: of the annotation file.
        category_ids: label to the category id that the file uses.
        images: in the order of the file.
    """

    path: Path
    sha256: str
    category_ids: dict[int, int]
    images: tuple[TruthImage, ...]

    @property
    def has_masks(self) -> bool:
        """Whether any annotation has a mask."""
        return any(a.segmentation is not None for image in self.images for a in image.annotations)


def read_ground_truth(path: str | Path, *, images: str | Path | None = None, limit: int | None = None) -> GroundTruth:
    """Reads and checks a COCO file; categories are told by name, whatever their ids.

    Args:
        path: the annotation file, or a folder that holds `instances.json`.
        images: folder of the image files; None: `images/` beside the annotation file, or else beside it.
        limit: keep only the first so many images.

    Raises:
        DataError: not a COCO file, an unknown structure, a double id, an inconsistent record, an image file that is
            absent, unreadable or of another size; the message names file and id.
    """
    path = Path(path)
    if path.is_dir():
        path = path / "instances.json"
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"can't read {path}: {error.strerror}") from None
    try:
        content = json.loads(data)
    except ValueError as error:
        raise DataError(f"{path} is not JSON: {error}") from None
    folders = [Path(images)] if images is not None else [path.parent / "images", path.parent]
    try:
        truth = _read(path, content, hashlib.sha256(data).hexdigest(), folders, limit)
    except (KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{path} is not a COCO file: {type(error).__name__} {error}") from None
    for image in truth.images:
        _check_file(image, folders, path)
    return truth


def _read(path: Path, content: Any, digest: str, folders: list[Path], limit: int | None) -> GroundTruth:
    try:
        labels = _labels(content["categories"])
        annotations = _annotations_by_image(content)
        for number in _doubles(record["id"] for record in content["images"]):
            raise DataError(f"image id {number} occurs twice")
        images = [_image(record, folders, annotations, labels) for record in content["images"]]
        for number in annotations.keys() - {image.id for image in images}:
            first = annotations[number][0]["id"]
            raise DataError(f"annotation {first} belongs to image {number}, which is not in the file")
    except DataError as error:
        raise DataError(f"{path}: {error}") from None
    if not images:
        raise DataError(f"{path}: no images")
    return GroundTruth(path, digest, {label: number for number, label in labels.items()}, tuple(images[:limit]))


def _labels(categories: list[dict[str, Any]]) -> dict[int, int]:
    """Category id of the file to label."""
    labels: dict[int, int] = {}
    for category in categories:
        number, name = category["id"], category["name"]
        if name not in _LABEL_BY_NAME:
            raise DataError(f"category {number} is called {name!r}; known structures are {', '.join(_LABEL_BY_NAME)}")
        if number in labels or _LABEL_BY_NAME[name] in labels.values():
            raise DataError(f"category {number} ({name}) occurs twice")
        labels[number] = _LABEL_BY_NAME[name]
    return labels


def _annotations_by_image(content: dict[str, Any]) -> dict[int, list[dict[str, Any]]]:
    for number in _doubles(record["id"] for record in content["annotations"]):
        raise DataError(f"annotation id {number} occurs twice")
    grouped: dict[int, list[dict[str, Any]]] = {}
    for record in content["annotations"]:
        grouped.setdefault(record["image_id"], []).append(record)
    return grouped


def _doubles(ids: Iterator[Any]) -> Iterator[Any]:
    seen = set()
    for number in ids:
        if number in seen:
            yield number
        seen.add(number)


def _image(
    record: dict[str, Any],
    folders: list[Path],
    annotations: dict[int, list[dict[str, Any]]],
    labels: dict[int, int],
) -> TruthImage:
    number, height, width = record["id"], record["height"], record["width"]
    if not isinstance(number, int):
        raise DataError(f"image id {number!r} is not an integer")
    if not (isinstance(height, int) and isinstance(width, int) and height > 0 and width > 0):
        raise DataError(f"image {number}: {width}x{height} is not a size in pixels")
    listed = record.get("annotated_category_ids")
    known = labels.keys() if listed is None else listed
    for category in known:
        if category not in labels:
            raise DataError(
                f"image {number}: annotated_category_ids holds {category}, which is no category of the file"
            )
    found = tuple(_annotation(a, labels, height, width) for a in annotations.get(number, []))
    image = TruthImage(
        id=number,
        path=_locate(record["file_name"], folders),
        height=height,
        width=width,
        known=frozenset(labels[category] for category in known),
        annotations=found,
    )
    for annotation in found:
        # A crowd says where a structure may be without counting it, which fits a structure that isn't listed.
        if annotation.label not in image.known and not annotation.crowd:
            name = structure_names()[annotation.label]
            raise DataError(
                f"annotation {annotation.id} is a {name}, which image {number} doesn't list in annotated_category_ids"
            )
    return image


def _locate(file_name: str, folders: list[Path]) -> Path:
    paths = [folder / file_name for folder in folders]
    return next((path for path in paths if path.is_file()), paths[0])


def _annotation(record: dict[str, Any], labels: dict[int, int], height: int, width: int) -> Annotation:
    number, category = record["id"], record["category_id"]
    if category not in labels:
        raise DataError(f"annotation {number}: category {category} is no category of the file")
    bbox = record["bbox"]
    if len(bbox) != 4 or not all(math.isfinite(value) for value in bbox) or min(bbox[2:]) < 0:
        raise DataError(f"annotation {number}: bbox {bbox} is not x, y, width, height")
    segmentation = record.get("segmentation") or None
    if isinstance(segmentation, dict) and list(segmentation["size"]) != [height, width]:
        raise DataError(
            f"annotation {number}: mask of size {segmentation['size']}; expected that of its image, {[height, width]}"
        )
    x, y, w, h = map(float, bbox)
    return Annotation(number, labels[category], (x, y, w, h), segmentation, bool(record.get("iscrowd", 0)))


def _check_file(image: TruthImage, folders: list[Path], path: Path) -> None:
    """Looks at the header only, so that a bad set fails before minutes of inference."""
    where = f"{path}: image {image.id} ({image.path.name})"
    try:
        header = read_image_header(image.path.read_bytes())
    except OSError as error:
        places = ", ".join(str(folder) for folder in folders)
        raise DataError(f"{where} can't be read: {error.strerror} (looked in {places})") from None
    except FrameError as error:
        raise DataError(f"{where}: {error}") from None
    if (header.height, header.width) != (image.height, image.width):
        raise DataError(f"{where} has {header.width}x{header.height} px; its record says {image.width}x{image.height}")
