"""What records of a COCO file have to obey: each function looks at raw values and tells every rule that they break.

`fetalseg.data.coco` stops at the first breach, `fetalseg.data.check` collects all. Values may be anything that JSON
can hold.
"""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterator, Mapping
from typing import Any, NamedTuple, TypeGuard

import numpy as np

from fetalseg.anatomy import VIEWS
from fetalseg.data.records import Annotation, WrittenRle
from fetalseg.data.segmentation import Extent, crossing, extent_of_rings, extent_of_runs, ring_area, thickness
from fetalseg.encoding import decode_runs
from fetalseg.errors import DataError

__all__ = [
    "Breach",
    "box_breaches",
    "crowd_breaches",
    "fact_breaches",
    "file_name_breaches",
    "is_integer",
    "outline_breaches",
    "segmentation_breaches",
    "size_breaches",
]

# Some tools round boxes to whole pixels; more than this beyond the image is a mistake.
BOX_TOLERANCE = 1.0  # px
# Between a box and the mask inside: tools differ in whether the last pixel counts.
MASK_TOLERANCE = 2.0  # px

_MAX_SIDE = 1 << 16  # px; what JPEG can hold

# A polygon as thick as this on average covers a pixel's centre somewhere; only thinner ones are filled to see.
_THIN = 1.5  # px

_LENGTHS = ("pixel_size_mm", "crl_mm", "head_circumference_mm")
_VIEWS = tuple(view.name for view in VIEWS)


class Breach(NamedTuple):
    """A rule that is broken.

    Attributes:
        rule: a word that groups breaches of one kind.
        message: what was found and what was expected, without the record's name.
    """

    rule: str
    message: str


def size_breaches(height: Any, width: Any) -> Iterator[Breach]:
    """Of the size of an image in its record."""
    if not (is_integer(height) and is_integer(width) and 0 < height < _MAX_SIDE and 0 < width < _MAX_SIDE):
        yield Breach("size", f"{width}x{height} is not a size in pixels")


def file_name_breaches(name: Any) -> Iterator[Breach]:
    """Of the name of an image file; whether there is such a file isn't asked."""
    if not (isinstance(name, str) and name.strip() and "\0" not in name):
        yield Breach("file-name", f"file_name is {name!r}, expected the name of an image file")


def crowd_breaches(crowd: Any) -> Iterator[Breach]:
    """Of `iscrowd`; a text such as "0" would pass for true."""
    if crowd not in (0, 1):
        yield Breach("crowd", f"iscrowd is {crowd!r}, expected 0 or 1")


def box_breaches(bbox: Any, height: int, width: int) -> Iterator[Breach]:
    """Of a box in an image of this size."""
    if not _are_numbers(bbox) or len(bbox) != 4 or min(bbox[2:]) <= 0:
        yield Breach("box", f"bbox {bbox} is not x, y, width > 0, height > 0")
        return
    x, y, w, h = map(float, bbox)
    if min(x, y, width - x - w, height - y - h) < -BOX_TOLERANCE:
        yield Breach("box-outside", f"bbox {bbox} reaches outside the {width}x{height} image")


def segmentation_breaches(written: Any, height: int, width: int) -> Iterator[Breach]:
    """Of a segmentation that can't be read; nothing written, or an empty list, stands for a box alone."""
    if not written:
        return
    if isinstance(written, dict):
        yield from _run_breaches(written, height, width)
    elif not isinstance(written, list):
        yield Breach("segmentation", f"segmentation is a {type(written).__name__}, expected RLE or polygons")
    else:
        for ring in written:
            if not _are_numbers(ring) or len(ring) < 6 or len(ring) % 2:
                yield Breach("polygon", "a polygon needs at least 3 points of x and y")


def _run_breaches(written: Mapping[str, Any], height: int, width: int) -> Iterator[Breach]:
    if written.get("size") != [height, width]:
        yield Breach("rle-size", f"RLE of size {written.get('size')}, expected its image's [{height}, {width}]")
    elif "counts" not in written:
        yield Breach("rle", "RLE without counts")
    else:
        try:
            decode_runs(written["counts"], (height, width))
        except ValueError as error:
            yield Breach("rle", str(error))


def outline_breaches(
    written: WrittenRle | dict[str, Any] | list[list[float]], bbox: Any, height: int, width: int
) -> Iterator[Breach]:
    """Of a segmentation that can be read, but doesn't make sense: empty, crossing itself, outside, not in its box.

    Args:
        written: breaks no rule of `segmentation_breaches`.
        bbox: compared with the mask if it is a box at all.
        height: px.
        width: px.
    """
    extent: Extent | None
    if isinstance(written, dict):
        extent = extent_of_runs(decode_runs(written["counts"], (height, width)), height)
        if extent is None:
            yield Breach("mask-empty", "the mask holds no pixel, expected one at least")
            return
    else:
        for number, ring in enumerate(written, 1):
            which = f"polygon {number} of {len(written)}"
            if (point := crossing(ring)) is not None:
                where = f"near x {point[0]:.1f}, y {point[1]:.1f}"
                yield Breach("polygon-crossing", f"{which} crosses itself {where}")
            elif ring_area(ring) == 0:  # asked last, since the halves of a bow tie cancel
                yield Breach("mask-empty", f"{which} has no area: its points are on one line")
        if max(map(thickness, written)) < _THIN and _covers_nothing(written, height, width):
            yield Breach("mask-empty", "the polygons cover no pixel's centre, expected one at least")
        extent = extent_of_rings(written)
        if min(extent[0], extent[1], width - extent[2], height - extent[3]) < -BOX_TOLERANCE:
            shown = ", ".join(f"{value:g}" for value in extent)
            yield Breach("polygon-outside", f"polygons span {shown}, which reaches outside the {width}x{height} image")
    if next(box_breaches(bbox, height, width), None) is None:
        yield from _agreement(extent, bbox)


def _covers_nothing(rings: list[list[float]], height: int, width: int) -> bool:
    try:
        Annotation(0, 0, (0, 0, 0, 0), rings, crowd=False).mask(height, width)
    except DataError:
        return True
    return False


def _agreement(extent: Extent, bbox: list[float]) -> Iterator[Breach]:
    x, y, w, h = map(float, bbox)
    off = float(np.abs(np.array(extent) - [x, y, x + w, y + h]).max())
    if off > MASK_TOLERANCE:
        spanned = [round(value, 1) for value in (extent[0], extent[1], extent[2] - extent[0], extent[3] - extent[1])]
        yield Breach("box-mask", f"bbox {bbox} is {off:.1f} px off its mask, which spans {spanned}")


def fact_breaches(record: Mapping[str, Any], categories: Collection[Any], *, standard: bool) -> Iterator[Breach]:
    """Of what an image record says beyond plain COCO; a fact that is absent or null is fine.

    Args:
        record: of the image.
        categories: ids of the file's categories.
        standard: the structures are those of `fetalseg.anatomy`, so views are among its six.
    """
    for key in ("annotated_category_ids", "visible_category_ids"):
        listed = record.get(key)
        if listed is not None and not isinstance(listed, list):
            yield Breach("listing", f"{key} is {listed!r}, expected a list of category ids")
        for number in listed if isinstance(listed, list) else ():
            if not is_integer(number) or number not in categories:
                yield Breach("listing", f"{key} holds {number}, which is no category of the file")
    patient = record.get("patient")
    if patient is not None and not (is_integer(patient) or (isinstance(patient, str) and patient.strip())):
        yield Breach("patient", f"patient is {patient!r}, expected a text or an integer that tells patients apart")
    view = record.get("view")
    if view is not None and not (isinstance(view, str) and view.strip()):
        yield Breach("view", f"view is {view!r}, expected a text")
    elif view is not None and standard and view not in _VIEWS:
        yield Breach("view", f"view is {view!r}, expected one of {', '.join(_VIEWS)}")
    yield from _scale_breaches(record)


def _scale_breaches(record: Mapping[str, Any]) -> Iterator[Breach]:
    spacing = record.get("spacing_mm")
    sides: list[float] = spacing if isinstance(spacing, list) and _are_numbers(spacing) else []
    if spacing is not None and (len(sides) != 2 or min(sides) <= 0):
        yield Breach("spacing", f"spacing_mm is {spacing}, expected [row, column] in mm, both above 0")
        sides = []
    for key in _LENGTHS:
        value = record.get(key)
        if value is not None and not (_are_numbers([value]) and value > 0):
            yield Breach("spacing", f"{key} is {value!r}, expected a number of mm above 0")
    pixel = record.get("pixel_size_mm")
    if sides and pixel is not None and _are_numbers([pixel]) and all(abs(s - pixel) > 0.01 * s for s in sides):
        yield Breach("spacing", f"pixel_size_mm is {pixel}, but spacing_mm is {spacing}")


def is_integer(value: Any) -> TypeGuard[int]:
    """Whether a value is a whole number; JSON's true and false are none."""
    return isinstance(value, int) and not isinstance(value, bool)


def _are_numbers(values: Any) -> bool:
    # JSON's integers have no bound, and one beyond floating point would break arithmetic further on.
    return isinstance(values, list) and all(
        isinstance(v, (int, float)) and not isinstance(v, bool) and abs(v) <= sys.float_info.max for v in values
    )
