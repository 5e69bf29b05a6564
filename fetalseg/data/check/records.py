"""The records of one COCO file, held against `fetalseg.data.rules` one by one: no mistake hides another."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fetalseg.anatomy import STRUCTURES, structure_names
from fetalseg.data.check.findings import Finding, Level
from fetalseg.data.coco import coco_tables, locate_image
from fetalseg.data.rules import (
    Breach,
    box_breaches,
    crowd_breaches,
    fact_breaches,
    file_name_breaches,
    is_integer,
    outline_breaches,
    segmentation_breaches,
    size_breaches,
)
from fetalseg.taxonomy import check_names

__all__ = ["CheckedImage", "Records", "check_records"]

_SINGLE = {structure.name for structure in STRUCTURES if structure.single}


@dataclass(frozen=True, eq=False)
class CheckedImage:
    """An image that other images can be compared with.

    Attributes:
        where: how findings call it.
        path: of the image file, which may be absent.
        size: (H, W) as its record says; None where that is no size.
        patient: group key, or None.
    """

    where: str
    path: Path
    size: tuple[int, int] | None
    patient: str | None


@dataclass(eq=False)
class Records:
    """What a pass over the records of a file gives.

    Attributes:
        file: the annotation file.
        annotations: how many there are.
        structures: names of the categories, in the order of their ids.
        images: those with a file name.
        findings: in the order of the file, categories first.
    """

    file: Path
    annotations: int
    structures: tuple[str, ...] = ()
    images: list[CheckedImage] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)

    def add(self, where: str, *breaches: Breach, level: Level = "problem") -> None:
        """Adds findings about one record."""
        self.findings += [Finding(level, breach.rule, self.file, where, breach.message) for breach in breaches]


def check_records(file: Path, content: Any, folders: list[Path]) -> Records:
    """Looks at every record of a file.

    Args:
        file: the annotation file.
        content: what its JSON holds.
        folders: where its images are looked for.

    Raises:
        DataError: not a COCO file: without the lists `images`, `annotations` and `categories`.
    """
    tables = coco_tables(file, content)
    records = Records(file, len(tables["annotations"]))
    categories = _categories(records, tables["categories"])
    images = _images(records, tables["images"], categories, folders)
    _annotations(records, tables["annotations"], images, categories)
    return records


def _objects(records: Records, table: list[Any], what: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Name and content of each record that is an object; the id is checked on the way."""
    seen: set[int] = set()
    for place, record in enumerate(table):
        if not isinstance(record, dict):
            kind = type(record).__name__
            records.add(f"{what} at place {place}", Breach("record", f"is a {kind}, expected an object"))
            continue
        number = record.get("id")
        if not is_integer(number):
            where = f"{what} at place {place}"
            records.add(where, Breach("id", f"id is {number!r}, expected an integer"))
        else:
            where = f"{what} {number}"
            if number in seen:
                records.add(where, Breach("double-id", f"id {number} occurs twice, expected once"))
            seen.add(number)
        yield where, record


def _categories(records: Records, table: list[Any]) -> dict[int, str]:
    """Names by id, also the unusable ones: what is wrong with a category is told once, not with each annotation."""
    names: dict[int, str] = {}
    usable: dict[int, str] = {}
    if not table:
        records.add("categories", Breach("category", "no category, expected one for each structure"))
    for where, record in _objects(records, table, "category"):
        number, name = record.get("id"), record.get("name")
        if is_integer(number):
            names.setdefault(number, str(name))
        try:
            check_names([name])  # type: ignore[list-item]
        except ValueError as error:
            records.add(where, Breach("category", str(error)))
            continue
        if name in usable.values():
            records.add(where, Breach("category", f"{name!r} is the name of two categories, expected of one"))
        elif is_integer(number):
            usable.setdefault(number, str(name))
    records.structures = tuple(usable[number] for number in sorted(usable))
    foreign = [name for name in records.structures if name not in structure_names()]
    if 0 < len(foreign) < len(usable):
        listed = ", ".join(map(repr, foreign))
        message = f"{listed}: not among the {len(STRUCTURES)} known structures, so all {len(usable)} are a taxonomy of "
        records.add(
            "categories", Breach("category", message + "their own; a slip in a name looks the same"), level="note"
        )
    return names


def _images(
    records: Records, table: list[Any], categories: dict[int, str], folders: list[Path]
) -> dict[int, tuple[dict[str, Any], CheckedImage]]:
    """Record and image by id, as far as an annotation can belong to them."""
    if not table:
        records.add("images", Breach("record", "no images, expected one at least"))
    standard = set(records.structures) <= set(structure_names())
    by_id: dict[int, tuple[dict[str, Any], CheckedImage]] = {}
    owners: dict[Path, str] = {}
    for where, record in _objects(records, table, "image"):
        wrong_size = list(size_breaches(record.get("height"), record.get("width")))
        records.add(where, *wrong_size, *fact_breaches(record, categories, standard=standard))
        size = None if wrong_size else (record["height"], record["width"])
        name: Any = record.get("file_name")
        patient = record.get("patient")
        path = Path()
        wrong_name = list(file_name_breaches(name))
        records.add(where, *wrong_name)
        if not wrong_name:
            path = locate_image(name, folders)
            if path in owners:
                records.add(where, Breach("file-twice", f"{name} is also the file of {owners[path]}"))
            owners.setdefault(path, where)
        image = CheckedImage(where, path, size, None if patient in (None, "") else str(patient))
        if path != Path():
            records.images.append(image)
        if is_integer(record.get("id")):
            by_id.setdefault(record["id"], (record, image))
    unnamed = sum(image.patient is None for image in records.images)
    if 0 < unnamed < len(records.images):
        message = f"{unnamed} of {len(records.images)} images name no patient: each counts as one of its own in a split"
        records.add("images", Breach("patient", message), level="note")
    return by_id


def _annotations(
    records: Records,
    table: list[Any],
    images: dict[int, tuple[dict[str, Any], CheckedImage]],
    categories: dict[int, str],
) -> None:
    counts: Counter[tuple[int, str]] = Counter()
    seen: dict[str, str] = {}
    for where, record in _objects(records, table, "annotation"):
        number, category = record.get("image_id"), record.get("category_id")
        name = categories.get(category) if is_integer(category) else None
        crowd = record.get("iscrowd", 0)
        records.add(where, *crowd_breaches(crowd))
        if name is None:
            records.add(where, Breach("category", f"category_id {category!r} is no category of the file"))
        if not is_integer(number) or number not in images:
            records.add(where, Breach("orphan", f"belongs to image {number!r}, which is not in the file"))
            continue
        image_record, image = images[number]
        if image.size is not None:
            records.add(where, *_shape_breaches(record, *image.size))
        if name is None:
            continue
        listed = image_record.get("annotated_category_ids")
        if isinstance(listed, list) and category not in listed and not crowd:
            message = f"is a {name}, which {image.where} doesn't list in annotated_category_ids"
            records.add(where, Breach("not-listed", message))
        key = repr((number, category, record.get("bbox"), record.get("segmentation")))
        if key in seen:
            records.add(where, Breach("double", f"is the same as {seen[key]}: image, category and outline"))
        seen.setdefault(key, where)
        counts[number, name] += not crowd
    for (number, name), count in counts.items():
        if count > 1 and name in _SINGLE:
            message = f"{count} annotations of {name}; a fetus has one, so this is either a mistake or twins"
            records.add(f"image {number}", Breach("several", message), level="note")


def _shape_breaches(record: dict[str, Any], height: int, width: int) -> Iterator[Breach]:
    bbox, written = record.get("bbox"), record.get("segmentation")
    yield from box_breaches(bbox, height, width)
    unreadable = list(segmentation_breaches(written, height, width))
    yield from unreadable
    if written and not unreadable:
        yield from outline_breaches(written, bbox, height, width)
