"""What a set's file says about its images beyond what training needs: scales, measurements, any field of a record."""

from __future__ import annotations

from typing import Any

from fetalseg.data.coco import read_content
from fetalseg.data.records import CocoSet
from fetalseg.errors import DataError

__all__ = ["groups_by", "image_facts", "spacing_mm"]


def image_facts(source: CocoSet) -> dict[int, dict[str, Any]]:
    """The record of each image as written, by image id."""
    _, _, content = read_content(source.path)
    wanted = {image.id for image in source.images}
    return {record["id"]: record for record in content["images"] if record["id"] in wanted}


def groups_by(source: CocoSet, field: str) -> dict[int, str]:
    """Image id to the value of a field, for the images that have one.

    Raises:
        DataError: no image has the field, or one has a value that is neither text nor a number.
    """
    facts = image_facts(source)
    groups = {}
    for number, record in facts.items():
        value = record.get(field)
        if value is None:
            continue
        if not isinstance(value, (str, int, float)):
            raise DataError(f"{source.path}: image {number}: {field} is {value!r}, expected a text or a number")
        groups[number] = str(value)
    if not groups:
        known = ", ".join(sorted({key for record in facts.values() for key in record}))
        raise DataError(f"{source.path}: no image has the field {field!r}; there are {known}")
    return groups


def spacing_mm(record: dict[str, Any]) -> tuple[float, float] | None:
    """(row, column) distance of pixel centres by `spacing_mm` or `pixel_size_mm`; None if neither is a length."""
    written = record.get("spacing_mm") or [record.get("pixel_size_mm")] * 2
    try:
        row, column = (float(value) for value in written)
    except (TypeError, ValueError):
        return None
    return (row, column) if row > 0 and column > 0 else None
