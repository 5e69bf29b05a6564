"""The "Dataset for Fetus Framework": mid-sagittal frames of 11 to 14 weeks with boxes of nine structures.

Cui and Dong, Mendeley Data 2022, doi 10.17632/n2rbrb9t4f.1; described by Lin et al., Comput Methods Programs Biomed
2022;226:107170; CC BY 4.0. Folders of PNG images (Set1-Training&Validation Sets CNN, Set2-Training&Validation Sets ANN
Scoring system, an internal and an external test set; Standard and Non-standard in each) and one `ObjectDetection.xlsx`
with the columns fname, structure, h_min, w_min, h_max, w_max in pixels. Three of the nine structures are among ours.
"""

from __future__ import annotations

import hashlib
import math
from collections import defaultdict
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from fetalseg.anatomy import structure
from fetalseg.data.importers.written_set import ImportedSet, SetWriter, held, read_pixels, ruled_out
from fetalseg.errors import DataError, MissingExtraError

__all__ = ["import_fetus_framework"]

TABLE = "ObjectDetection.xlsx"
_COLUMNS = ("fname", "structure", "h_min", "w_min", "h_max", "w_max")
_STRUCTURES = {"nt": "nuchal_translucency", "nasal bone": "nasal_bone", "palate": "palate"}
_OTHERS = {"thalami", "midbrain", "4th ventricle", "cisterna magna", "cm", "nasal tip", "nasal skin"}
_INFO = {
    "description": "First-trimester mid-sagittal frames with boxes (Dataset for Fetus Framework)",
    "licence": "CC BY 4.0",
    "attribution": "Cui, Dong: Dataset for Fetus Framework, Mendeley Data 2022, doi 10.17632/n2rbrb9t4f.1; Lin et al., "
    "Comput Methods Programs Biomed 2022;226:107170",
    "note": "boxes only, no masks; annotated_category_ids: what is known in the frame, present (boxed) or absent",
}


class _Box(NamedTuple):
    """A row of the table: our name of the structure, and xyxy in pixels of the published image."""

    name: str
    xyxy: tuple[float, float, float, float]


def import_fetus_framework(
    folder: Path, out: Path, *, progress: Callable[[int, int], None] | None = None
) -> ImportedSet:
    """Writes the images with a box of nuchal translucency, nasal bone or palate as a COCO set.

    A missing box says nothing: some structures are plainly visible without one. So only what is boxed counts as
    annotated, and what the view rules out as absent.

    Args:
        folder: holds the table and, at any depth, the images; each record's `source` is the image's folder.
        out: folder of the new set.
        progress: called with how many images are done, and how many there are.

    Raises:
        DataError: another layout, a table that doesn't fit, an image that can't be read.
    """
    table = min(folder.rglob(TABLE), default=None)
    if table is None:
        raise DataError(f"{folder}: expected {TABLE} at any depth, and folders of PNG images; found {held(folder)}")
    writer = SetWriter(out, dict(_INFO))
    boxes = _read_boxes(table, writer.left_out)
    places = _image_places(table.parent, boxes, writer.left_out)
    absent = ruled_out("neck")
    writer.start()
    for done, name in enumerate(sorted(boxes, key=_by_number), 1):
        if progress is not None:
            progress(done, len(boxes))
        if name not in places:
            continue
        pixels = read_pixels(places[name])
        found = _usable(name, boxes[name], (pixels.shape[0], pixels.shape[1]), writer.left_out)
        if not found:
            continue
        facts = {
            "annotated_category_ids": sorted(structure(s).id for s in absent | {box.name for box in found}),
            "view": "neck",
            "source": places[name].parent.relative_to(table.parent).as_posix(),
        }
        stem = Path(name).stem
        number, ratio = writer.add_image(pixels, f"nt_{stem.zfill(4)}", facts)
        for box in found:
            x1, y1, x2, y2 = (value * ratio for value in box.xyxy)
            writer.add_box(number, box.name, (x1, y1, x2, y2))
    return writer.finish()


def _read_boxes(path: Path, left_out: list[str]) -> dict[str, list[_Box]]:
    """Boxes of our structures by file name."""
    try:
        import openpyxl
    except ModuleNotFoundError:
        raise MissingExtraError("openpyxl", "data") from None
    try:
        book = openpyxl.load_workbook(path, read_only=True, data_only=True)
        rows = list(book.active.iter_rows(values_only=True))
        book.close()
    except Exception as error:  # a broken archive raises whatever its parts raise
        raise DataError(f"can't read {path}: {error}") from None
    # A column without a name keeps its place: tables are often saved with row numbers in front.
    columns = ["" if cell is None else str(cell).strip() for cell in rows[0]] if rows else []
    if missing := [name for name in _COLUMNS if name not in columns]:
        found = ", ".join(filter(None, columns)) or "none"
        raise DataError(f"{path}: expected the column {missing[0]!r}, found {found}")
    boxes: dict[str, list[_Box]] = defaultdict(list)
    for line, row in enumerate(rows[1:], 2):
        values = dict(zip(columns, row, strict=False))
        if all(value is None for value in values.values()):
            continue
        name = str(values["structure"]).strip().lower().replace("_", " ")
        if name in _OTHERS:
            continue
        if name not in _STRUCTURES:
            known = ", ".join((*_STRUCTURES, *sorted(_OTHERS)))
            raise DataError(f"{path}, row {line}: structure {values['structure']!r}, expected one of {known}")
        corners = _corners(values)
        if corners is None:
            left_out.append(f"row {line}: {values['fname']}, {name}: not the corners of a box")
            continue
        boxes[str(values["fname"]).strip()].append(_Box(_STRUCTURES[name], corners))
    return dict(boxes)


def _corners(values: dict[str, Any]) -> tuple[float, float, float, float] | None:
    try:
        x1, y1, x2, y2 = (float(values[key]) for key in ("w_min", "h_min", "w_max", "h_max"))
    except (TypeError, ValueError):
        return None
    finite = all(math.isfinite(value) for value in (x1, y1, x2, y2))
    return (x1, y1, x2, y2) if finite and x1 < x2 and y1 < y2 else None


def _image_places(folder: Path, wanted: Collection[str], left_out: list[str]) -> dict[str, Path]:
    """Where each image lies; without those that aren't there, and names in several folders that mean several images."""
    places: dict[str, list[Path]] = defaultdict(list)
    names = set(wanted)
    for path in sorted(folder.rglob("*")):
        if path.name in names and path.is_file():
            places[path.name].append(path)
    if not places:
        some = ", ".join(sorted(names)[:3])
        raise DataError(f"{folder}: expected the images of the table at any depth, such as {some}; found none of them")
    chosen = {}
    for name in sorted(names, key=_by_number):
        found = places.get(name, [])
        if not found:
            left_out.append(f"{name}: in the table, but there is no such image")
        elif len({hashlib.sha256(path.read_bytes()).digest() for path in found}) > 1:
            # The table names no folder, so the boxes may belong to either.
            shown = " and ".join(path.relative_to(folder).as_posix() for path in found)
            left_out.append(f"{name}: the name of different images, {shown}")
        else:
            chosen[name] = found[0]
    return chosen


def _usable(name: str, boxes: list[_Box], shape: tuple[int, int], left_out: list[str]) -> list[_Box]:
    """Boxes cut at the edges of the image; of a structure with several different ones, none: they contradict."""
    limit = np.array([shape[1], shape[0]] * 2)
    found: dict[str, set[tuple[float, ...]]] = defaultdict(set)
    for box in boxes:
        x1, y1, x2, y2 = np.clip(box.xyxy, 0, limit).tolist()
        if x1 < x2 and y1 < y2:
            found[box.name].add((x1, y1, x2, y2))
        else:
            left_out.append(f"{name}: {box.name} lies outside the {shape[1]}x{shape[0]} image")
    usable = []
    for structure_name, cut in sorted(found.items(), key=lambda item: structure(item[0]).id):
        if len(cut) > 1:
            left_out.append(f"{name}: {len(cut)} different boxes of {structure_name}, expected one")
            continue
        x1, y1, x2, y2 = next(iter(cut))
        usable.append(_Box(structure_name, (x1, y1, x2, y2)))
    return usable


def _by_number(name: str) -> tuple[int, str]:
    stem = Path(name).stem
    return (int(stem) if stem.isdecimal() else -1), name
