"""COCO files of annotated images, checked as they are read, and written in part.

Categories are told by name, whatever their ids. Where all names are among the seventeen of `fetalseg.anatomy`, those
are the structures of the set, in their usual order; a file with any other name brings a taxonomy of its own, in the
order of its category ids. Beyond plain COCO an image may carry `annotated_category_ids`, the structures that are
annotated in it wherever they are seen (absent: every category of the file), `patient` and `view`. An annotation may
have no segmentation: a box alone is legal.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import logging
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from fetalseg.anatomy import structure_names
from fetalseg.data.records import Annotation, CocoSet, ImageRecord, WrittenRle
from fetalseg.data.rules import (
    box_breaches,
    crowd_breaches,
    fact_breaches,
    file_name_breaches,
    segmentation_breaches,
    size_breaches,
)
from fetalseg.errors import DataError
from fetalseg.taxonomy import check_names

__all__ = ["coco_tables", "image_folders", "locate_image", "read_coco", "read_content", "write_subset"]

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
    path, data, content = read_content(path)
    tables = coco_tables(path, content)
    folders = image_folders(path, images)
    try:
        structures, labels = _taxonomy(tables["categories"])
        records = _images(tables, structures, labels, folders)[:limit]
        for record in records:
            if not _is_file(record.path):
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
        fault = f"no key {error}" if isinstance(error, KeyError) else str(error)
        raise DataError(f"{path}: {fault} in a record; `fetalseg data check` names the record") from None


def read_content(path: str | Path) -> tuple[Path, bytes, Any]:
    """The annotation file itself, its bytes, and what its JSON holds; a folder stands for `instances.json` inside.

    Raises:
        DataError: a file that can't be read, or that is not JSON.
    """
    path = Path(path)
    try:
        if path.is_dir():
            path = path / "instances.json"
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"can't read {path}: {error.strerror}") from None
    try:
        return path, data, json.loads(data)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} is not JSON: {error}") from None


def coco_tables(path: Path, content: Any) -> dict[str, list[Any]]:
    """The lists `images`, `annotations` and `categories` of a file, whatever is in them.

    Raises:
        DataError: not a COCO file: one of them is no list, or absent.
    """
    if not isinstance(content, dict):
        raise DataError(f"{path} is not a COCO file: it holds a {type(content).__name__}, expected an object")
    for key in ("images", "annotations", "categories"):
        if not isinstance(content.get(key), list):
            found = f"its {key!r} is a {type(content[key]).__name__}" if key in content else f"it has no {key!r}"
            keys = ", ".join(map(repr, list(content)[:8])) or "nothing"
            raise DataError(f"{path} is not a COCO file: {found}, expected a list; it holds {keys}")
    return {key: content[key] for key in ("images", "annotations", "categories")}


def image_folders(path: Path, images: str | Path | None = None) -> list[Path]:
    """Where image files are looked for: in `images`, or else in `images/` beside the annotation file and beside it."""
    return [Path(images)] if images is not None else [path.parent / "images", path.parent]


def locate_image(file_name: str, folders: Sequence[Path]) -> Path:
    """The first of the places that has the file, or its place in the first folder.

    Files from Windows name folders with a backslash.
    """
    names = dict.fromkeys((file_name, file_name.replace("\\", "/")))
    paths = [folder / name for name in names for folder in folders]
    return next((path for path in paths if _is_file(path)), paths[0])


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name longer than any file's
        return False


def write_subset(source: CocoSet, ids: Iterable[int], path: Path) -> None:
    """Writes the images with these ids as a COCO file of its own, `file_name` made absolute."""
    wanted = frozenset(ids)
    content = json.loads(source.path.read_bytes())
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
    tables: dict[str, list[Any]], structures: tuple[str, ...], labels: dict[int, int], folders: Sequence[Path]
) -> list[ImageRecord]:
    """All images of a file, each with its annotations."""
    if not tables["images"]:
        raise DataError("no images")
    for table, what in (("images", "image"), ("annotations", "annotation")):
        for number in _doubles(record["id"] for record in tables[table]):
            raise DataError(f"{what} id {number} occurs twice")
    annotations: dict[int, list[dict[str, Any]]] = {record["id"]: [] for record in tables["images"]}
    for record in tables["annotations"]:
        if (owner := record.get("image_id")) not in annotations:
            raise DataError(f"annotation {record['id']} belongs to image {owner}, which is not in the file")
        annotations[owner].append(record)
    images = [_image(record, annotations[record["id"]], labels, folders) for record in tables["images"]]
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
    number = record["id"]
    height: Any = record.get("height")
    width: Any = record.get("width")
    if not isinstance(number, int):
        raise DataError(f"image id {number!r} is not an integer")
    # A view of another name does no harm here: only `fetalseg data check` compares it with the six.
    facts = fact_breaches(record, labels, standard=False)
    for breach in itertools.chain(size_breaches(height, width), file_name_breaches(record.get("file_name")), facts):
        raise DataError(f"image {number}: {breach.message}")
    listed = record.get("annotated_category_ids")
    known = labels.keys() if listed is None else listed
    patient = record.get("patient")
    return ImageRecord(
        id=number,
        path=locate_image(record["file_name"], folders),
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


def _annotation(record: dict[str, Any], labels: dict[int, int], height: int, width: int) -> Annotation:
    number, category = record["id"], record.get("category_id")
    bbox: Any = record.get("bbox")
    if category not in labels:
        raise DataError(f"annotation {number}: category {category} is no category of the file")
    written = record.get("segmentation")
    crowd = record.get("iscrowd", 0)
    shape = itertools.chain(box_breaches(bbox, height, width), segmentation_breaches(written, height, width))
    for breach in itertools.chain(shape, crowd_breaches(crowd)):
        raise DataError(f"annotation {number}: {breach.message}")
    x, y, w, h = map(float, bbox)
    return Annotation(number, labels[category], (x, y, w, h), _segmentation(written), bool(crowd))


def _segmentation(written: Any) -> WrittenRle | list[list[float]] | None:
    if isinstance(written, dict) and written:
        return WrittenRle(size=written["size"], counts=written["counts"])
    return written or None


def _describe(content: dict[str, Any]) -> str:
    info = content.get("info") or {}
    parts = [str(info[key]) for key in ("description", "attribution", "url", "licence", "license") if info.get(key)]
    return ", ".join(parts)
