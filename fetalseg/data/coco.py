"""COCO files of annotated images, checked as they are read, and written in part.

Categories are told by name, whatever their ids. Where all names are among the seventeen of `fetalseg.anatomy`, those
are the structures of the set, in their usual order; a file with any other name brings a taxonomy of its own, in the
order of its category ids. Beyond plain COCO an image may carry `annotated_category_ids`, the structures that are
annotated in it wherever they are seen (absent: every category of the file), `patient` and `view`. An annotation may
have no segmentation: a box alone is legal.
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from fetalseg.anatomy import structure_names
from fetalseg.data.records import Annotation, CocoSet, ImageRecord, WrittenRle
from fetalseg.encoding import decode_runs
from fetalseg.errors import DataError
from fetalseg.taxonomy import check_names

__all__ = ["read_coco", "write_subset"]

# Some tools round boxes to whole pixels; more than this beyond the image is a mistake.
_BOX_TOLERANCE = 1.0  # px

logger = logging.getLogger(__name__)


def read_coco(path: str | Path, *, images: str | Path | None = None, limit: int | None = None) -> CocoSet:
    """Reads a COCO file and checks it, with the headers of its image files: a bad set fails before any long work.

    Args:
        path: the annotation file, or a folder that holds `instances.json`.
        images: folder of the image files; None: `images/` beside the annotation file, or else beside it.
        limit: keep only the first so many images.

    Raises:
        DataError: not a COCO file, an unusable name of a structure, a double id, an inconsistent record, an image file
            that is absent, unreadable or of another size; the message names file and id.
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
        structures, labels = _taxonomy(content["categories"])
        records = _images(content, structures, labels, folders)[:limit]
        for record in records:
            if not record.path.is_file():
                places = ", ".join(str(folder) for folder in folders)
                raise DataError(f"image {record.id}: can't read {record.path.name}: no such file; looked in {places}")
            record.check_file()
        return CocoSet(
            path=path,
            sha256=hashlib.sha256(data).hexdigest(),
            description=_describe(content),
            category_ids={label: number for number, label in labels.items()},
            images=tuple(records),
            structures=structures,
        )
    except DataError as error:
        raise DataError(f"{path}: {error}") from None
    except (AttributeError, KeyError, OverflowError, TypeError) as error:
        raise DataError(f"{path} is not a COCO file: {type(error).__name__} {error}") from None


def write_subset(source: CocoSet, ids: Iterable[int], path: Path) -> None:
    """Writes the images with these ids as a COCO file of its own, `file_name` made absolute."""
    wanted = frozenset(ids)
    content = json.loads(source.path.read_text(encoding="utf-8"))
    paths = {image.id: str(image.path.resolve()) for image in source.images}
    content["images"] = [{**i, "file_name": paths[i["id"]]} for i in content["images"] if i["id"] in wanted]
    content["annotations"] = [a for a in content["annotations"] if a["image_id"] in wanted]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")


def _taxonomy(categories: list[dict[str, Any]]) -> tuple[tuple[str, ...], dict[int, int]]:
    """The structures of a file, and the label of each of its category ids."""
    names: dict[int, str] = {}
    for category in categories:
        number, name = category["id"], category["name"]
        if not isinstance(number, int):
            raise DataError(f"category id {number!r} is not an integer")
        if number in names or name in names.values():
            raise DataError(f"category {number} ({name}) occurs twice")
        names[number] = name
    structures = structure_names()
    if foreign := [name for name in names.values() if name not in structures]:
        if len(foreign) < len(names):
            # Most often meant; but a slip in one of our names looks the same.
            logger.warning(
                "%s not among the %d known structures, so the file's %d categories are a taxonomy of their own",
                ", ".join(map(repr, foreign)) + (" is" if len(foreign) == 1 else " are"),
                len(structures),
                len(names),
            )
        structures = tuple(names[number] for number in sorted(names))
        try:
            check_names(structures)
        except ValueError as error:
            raise DataError(str(error)) from None
    return structures, {number: structures.index(name) for number, name in names.items()}


def _images(
    content: dict[str, Any], structures: tuple[str, ...], labels: dict[int, int], folders: Sequence[Path]
) -> list[ImageRecord]:
    """All images of a file, each with its annotations."""
    if not content["images"]:
        raise DataError("no images")
    for table, what in (("images", "image"), ("annotations", "annotation")):
        for number in _doubles(record["id"] for record in content[table]):
            raise DataError(f"{what} id {number} occurs twice")
    annotations: dict[int, list[dict[str, Any]]] = {record["id"]: [] for record in content["images"]}
    for record in content["annotations"]:
        if record["image_id"] not in annotations:
            raise DataError(
                f"annotation {record['id']} belongs to image {record['image_id']}, which is not in the file"
            )
        annotations[record["image_id"]].append(record)
    images = [_image(record, annotations[record["id"]], labels, folders) for record in content["images"]]
    for image in images:
        _check_listed(image, structures)
    return images


def _doubles(ids: Iterable[Any]) -> Iterator[Any]:
    seen = set()
    for number in ids:
        if number in seen:
            yield number
        seen.add(number)


def _image(
    record: dict[str, Any], annotations: list[dict[str, Any]], labels: dict[int, int], folders: Sequence[Path]
) -> ImageRecord:
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
    patient = record.get("patient")
    return ImageRecord(
        id=number,
        path=_locate(record["file_name"], folders),
        height=height,
        width=width,
        known=frozenset(labels[category] for category in known),
        annotations=tuple(_annotation(a, labels, height, width) for a in annotations),
        patient=None if patient is None else str(patient),
        view=record.get("view"),
    )


def _check_listed(image: ImageRecord, structures: tuple[str, ...]) -> None:
    for annotation in image.annotations:
        # A crowd says where a structure may be without counting it, which fits a structure that isn't listed.
        if annotation.label not in image.known and not annotation.crowd:
            raise DataError(
                f"annotation {annotation.id} is a {structures[annotation.label]}, which image {image.id} doesn't list "
                "in annotated_category_ids"
            )


def _locate(file_name: str, folders: Sequence[Path]) -> Path:
    paths = [folder / file_name for folder in folders]
    return next((path for path in paths if path.is_file()), paths[0])


def _annotation(record: dict[str, Any], labels: dict[int, int], height: int, width: int) -> Annotation:
    number, category, bbox = record["id"], record["category_id"], record["bbox"]
    if category not in labels:
        raise DataError(f"annotation {number}: category {category} is no category of the file")
    if not _are_numbers(bbox) or len(bbox) != 4 or min(bbox[2:]) <= 0:
        raise DataError(f"annotation {number}: bbox {bbox} is not x, y, width > 0, height > 0")
    x, y, w, h = map(float, bbox)
    if min(x, y, width - x - w, height - y - h) < -_BOX_TOLERANCE:
        raise DataError(f"annotation {number}: bbox {bbox} reaches outside the {width}x{height} image")
    try:
        segmentation = _segmentation(record.get("segmentation"), height, width)
    except ValueError as error:
        raise DataError(f"annotation {number}: {error}") from None
    return Annotation(number, labels[category], (x, y, w, h), segmentation, bool(record.get("iscrowd", 0)))


def _segmentation(written: Any, height: int, width: int) -> WrittenRle | list[list[float]] | None:
    if not written:
        return None
    if isinstance(written, dict):
        if written.get("size") != [height, width]:
            raise ValueError(f"RLE of size {written.get('size')}, expected its image's [{height}, {width}]")
        if "counts" not in written:
            raise ValueError("RLE without counts")
        decode_runs(written["counts"], (height, width))
        return WrittenRle(size=[height, width], counts=written["counts"])
    if not isinstance(written, list):
        raise ValueError(f"segmentation is a {type(written).__name__}, expected RLE or polygons")
    for ring in written:
        if not _are_numbers(ring) or len(ring) < 6 or len(ring) % 2:
            raise ValueError("a polygon needs at least 3 points of x and y")
    return written


def _are_numbers(values: Any) -> bool:
    return isinstance(values, list) and all(isinstance(v, (int, float)) and math.isfinite(v) for v in values)


def _describe(content: dict[str, Any]) -> str:
    info = content.get("info") or {}
    parts = [str(info[key]) for key in ("description", "licence", "license") if info.get(key)]
    return ", ".join(parts)
