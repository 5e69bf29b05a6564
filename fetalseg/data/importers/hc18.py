"""The HC18 grand challenge: fetal heads with their outline.

van den Heuvel, de Bruijn, de Korte, van Ginneken, PLoS ONE 2018;13(8):e0200412; the training set on Zenodo, doi
10.5281/zenodo.1327317, CC BY 4.0: `training_set/NNN_HC.png` beside `NNN_HC_Annotation.png`, an ellipse drawn with a
thin line, and `training_set_pixel_size_and_HC.csv`. Further images of a subject are called `NNN_2HC.png` and so on. The
test set has no outlines. Some programs unpack an archive into a folder of its name, which makes
`training_set/training_set/`, so files are looked for at any depth.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from fetalseg.anatomy import structure
from fetalseg.data.importers.written_set import ImportedSet, SetWriter, held, read_pixels, ruled_out
from fetalseg.errors import DataError

__all__ = ["import_hc18"]

TABLE = "training_set_pixel_size_and_HC.csv"
_FILE, _PIXEL, _HEAD = "filename", "pixel size(mm)", "head circumference (mm)"
_NAME = re.compile(r"(\d+)_\d*HC\.png")
_INFO = {
    "description": "HC18 head circumference grand challenge, training set",
    "licence": "CC BY 4.0",
    "attribution": "van den Heuvel, de Bruijn, de Korte, van Ginneken: Automated measurement of fetal head "
    "circumference using 2D ultrasound images, PLoS ONE 2018;13(8):e0200412; doi 10.5281/zenodo.1327317",
    "note": "cranium masks (RLE); annotated_category_ids: what is known in the frame, present or absent by the view; "
    "pixel_size_mm is per stored pixel",
}
_CLOSED = 3.0  # a closed outline surrounds at least so many times its own pixels


def import_hc18(folder: Path, out: Path, *, progress: Callable[[int, int], None] | None = None) -> ImportedSet:
    """Writes the training set as a COCO set of crania.

    Args:
        folder: holds the images and, at any depth too or beside it, the table.
        out: folder of the new set.
        progress: called with how many images are done, and how many there are.

    Raises:
        DataError: another layout, a table that doesn't fit, an image that can't be read.
    """
    table = _find_table(folder)
    # Images of the test set have the same names; only those of the training set have outlines.
    outlines = min(folder.rglob("[0-9]*HC_Annotation.png"), default=None)
    if outlines is None:
        raise DataError(f"{folder}: expected outlines called 001_HC_Annotation.png at any depth; found {held(folder)}")
    images = outlines.parent
    rows = _read_table(table)
    known = sorted(structure(name).id for name in {"cranium"} | ruled_out("head"))
    writer = SetWriter(out, dict(_INFO))
    writer.start()
    for done, (name, pixel_mm, head_mm) in enumerate(rows, 1):
        if progress is not None:
            progress(done, len(rows))
        patient = _NAME.fullmatch(name)
        if patient is None:
            raise DataError(f"{table}: file name {name!r}, expected one such as 001_HC.png or 010_2HC.png")
        pixels = read_pixels(images / name)
        outline = read_pixels(images / name.replace(".png", "_Annotation.png"))
        if outline.shape[:2] != pixels.shape[:2]:
            sizes = f"{outline.shape[1]}x{outline.shape[0]} px, its image {pixels.shape[1]}x{pixels.shape[0]}"
            raise DataError(f"{images / name}: the outline has {sizes}")
        mask = filled(outline if outline.ndim == 2 else outline.max(axis=2))
        if mask is None:
            writer.left_out.append(f"{name}: its annotation holds no outline")
            continue
        facts = {
            "annotated_category_ids": known,
            "view": "head",
            "patient": patient[1],
            "pixel_size_mm": pixel_mm,
            "head_circumference_mm": round(head_mm, 2),
        }
        number, _ = writer.add_image(pixels, f"hc18_{Path(name).stem}", facts)
        writer.add_mask(number, "cranium", mask)
    listed = {name for name, _, _ in rows}
    outlined = (path.name.replace("_Annotation.png", ".png") for path in images.glob("[0-9]*HC_Annotation.png"))
    writer.left_out += [f"{name}: not in {TABLE}" for name in sorted(outlined) if name not in listed]
    return writer.finish()


def filled(outline: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_] | None:
    """The region [H, W] that a drawn line surrounds, the line included; None without a line.

    A head that reaches beyond the frame leaves its outline open: then the region is the ellipse through its points.
    """
    line = (outline > 0).astype(np.uint8)
    drawn, _ = cv2.findContours(line, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    if not drawn:
        return None
    region = np.zeros(line.shape, np.uint8)
    cv2.drawContours(region, drawn, -1, 1, cv2.FILLED)
    points = np.argwhere(line)[:, ::-1].astype(np.float32)
    if int(region.sum()) < _CLOSED * len(points) and len(points) >= 5:
        cv2.ellipse(region, cv2.fitEllipseDirect(points), 1, cv2.FILLED)
    return region.astype(np.bool_)


def _find_table(folder: Path) -> Path:
    inside = min(folder.rglob(TABLE), default=None)
    if inside is not None:
        return inside
    if (folder.parent / TABLE).is_file():
        return folder.parent / TABLE
    raise DataError(f"{folder}: expected {TABLE} from the Zenodo record of HC18; found {held(folder)}")


def _read_table(path: Path) -> list[tuple[str, float, float]]:
    """File name, pixel size and head circumference of each row."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            columns = [name.strip() for name in reader.fieldnames or []]
            reader.fieldnames = columns
            rows = list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"can't read {path}: {error}") from None
    if missing := [name for name in (_FILE, _PIXEL, _HEAD) if name not in columns]:
        raise DataError(f"{path}: expected the column {missing[0]!r}, found {', '.join(columns) or 'none'}")
    result = []
    for line, row in enumerate(rows, 2):
        try:
            values = float(row[_PIXEL]), float(row[_HEAD])
        except (TypeError, ValueError):
            values = (0.0, 0.0)
        if not (0 < values[0] < 10 and 0 < values[1] < 1000):
            raise DataError(f"{path}, line {line}: expected lengths in mm, found {row[_PIXEL]!r} and {row[_HEAD]!r}")
        result.append((str(row[_FILE]).strip(), *values))
    if not result:
        raise DataError(f"{path}: expected a row for each image, found none")
    return result
