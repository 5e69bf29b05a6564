"""Average precision in parts of a set: of a view, a hospital, a probe, a range of crown-rump lengths.

A part is a choice of frames; what matches what in them is known already and only recounted.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fetalseg.anatomy import VIEWS
from fetalseg.data.facts import groups_by
from fetalseg.data.records import CocoSet
from fetalseg.errors import DataError
from fetalseg.evaluation.matches import Matches
from fetalseg.evaluation.precision import AveragePrecision, average_precision, mean_precision
from fetalseg.evaluation.scored_frames import ScoredFrame

__all__ = [
    "NOT_GIVEN",
    "Slice",
    "SliceFigures",
    "as_json",
    "quantile_edges",
    "slice_figures",
    "slices_by",
    "slices_by_range",
    "slices_by_value",
]

NOT_GIVEN = "not given"  # the value of frames whose record doesn't have the field

_MOST_VALUES = 50  # a field with more is a measurement, and wants ranges
_VIEW_ORDER = {view.name: place for place, view in enumerate(VIEWS)}


@dataclass(frozen=True, eq=False)
class Slice:
    """Some of F frames.

    Attributes:
        field: of the image records.
        value: what the field is in these frames, or the range that it is in.
        frames: bool [F], the chosen ones.
    """

    field: str
    value: str
    frames: npt.NDArray[np.bool_]


@dataclass(frozen=True)
class SliceFigures:
    """Average precision in one slice.

    Attributes:
        field: of the image records.
        value: or range of values.
        frames: how many.
        mean: over the structures with ground truth in the slice.
        structures: by name, those matched; without figures where the slice has no ground truth.
    """

    field: str
    value: str
    frames: int
    mean: AveragePrecision
    structures: dict[str, AveragePrecision]


def slices_by(wanted: str, frames: Sequence[ScoredFrame], truth: CocoSet) -> list[Slice]:
    """Cuts a set by a field of its image records; each frame is in one of the slices.

    Args:
        wanted: FIELD alone for one slice a value; FIELD:45,55,65 for ranges between these edges; FIELD:q4 for four
            ranges with as many frames in each as values allow.
        frames: F frames of the set.
        truth: whose file has the fields.

    Raises:
        DataError: no image has the field, or it holds no numbers where ranges are wanted.
        ValueError: edges that don't ascend, less than two ranges, or words that are neither.
    """
    field, _, ranges = wanted.partition(":")
    shown = {frame.image.id for frame in frames}
    values = {number: value for number, value in groups_by(truth, field).items() if number in shown}
    if not ranges:
        return slices_by_value(field, values, frames)
    numbers = _numbers(field, values)
    try:
        if ranges.startswith("q"):
            edges = quantile_edges(list(numbers.values()), int(ranges[1:]))
        else:
            edges = [float(edge) for edge in ranges.split(",")]
    except ValueError:
        raise ValueError(
            f"{wanted!r}: expected edges such as {field}:45,55,65 or quantiles such as {field}:q4"
        ) from None
    return slices_by_range(field, numbers, edges, frames)


def slices_by_value(field: str, values: Mapping[int, str], frames: Sequence[ScoredFrame]) -> list[Slice]:
    """One slice a value: views in their usual order, the rest by alphabet, frames without a value last.

    Args:
        field: its name.
        values: by image id.
        frames: F.

    Raises:
        DataError: more than fifty values.
    """
    names = sorted(set(values.values()), key=lambda name: (_VIEW_ORDER.get(name, len(VIEWS)), name))
    if len(names) > _MOST_VALUES:
        raise DataError(
            f"{field} has {len(names)} values, such as {names[0]} and {names[1]}; expected at most {_MOST_VALUES}. "
            f"Numbers can be cut into ranges, such as {field}:q4"
        )
    places = {image: names.index(value) for image, value in values.items()}
    return _slices(field, names, [places.get(frame.image.id) for frame in frames])


def slices_by_range(
    field: str, values: Mapping[int, float], edges: Sequence[float], frames: Sequence[ScoredFrame]
) -> list[Slice]:
    """One slice a range: below the first edge, from each edge up to below the next, from the last edge on.

    Args:
        field: its name.
        values: by image id.
        edges: ascending.
        frames: F.

    Raises:
        ValueError: edges that don't ascend, or none.
    """
    if not edges or not all(map(math.isfinite, edges)) or any(a >= b for a, b in itertools.pairwise(edges)):
        raise ValueError(f"edges of {field} must ascend, got {', '.join(f'{edge:g}' for edge in edges) or 'none'}")
    middle = [f"{low:g} to below {high:g}" for low, high in itertools.pairwise(edges)]
    names = [f"below {edges[0]:g}", *middle, f"from {edges[-1]:g}"]
    places = {number: int(np.searchsorted(edges, value, side="right")) for number, value in values.items()}
    return _slices(field, names, [places.get(frame.image.id) for frame in frames])


def quantile_edges(values: Sequence[float], parts: int) -> list[float]:
    """Edges that cut values into parts of about the same size; fewer where many values are equal.

    Raises:
        ValueError: less than two parts, or no values.
    """
    if parts < 2 or not values:
        raise ValueError(f"expected at least 2 parts of at least 1 value, got {parts} of {len(values)}")
    edges: list[float] = np.unique(np.quantile(values, np.arange(1, parts) / parts)).tolist()
    return edges


def slice_figures(
    slices: Sequence[Slice], matches: Mapping[int, Matches], structures: Sequence[str]
) -> list[SliceFigures]:
    """Counts each slice.

    Args:
        slices: of F frames.
        matches: by label, of the same frames.
        structures: names in label order.
    """
    figures = []
    for part in slices:
        rows = {structures[label]: average_precision(one, weights=part.frames) for label, one in matches.items()}
        figures.append(
            SliceFigures(part.field, part.value, int(part.frames.sum()), mean_precision(rows.values()), rows)
        )
    return figures


def as_json(figures: Sequence[SliceFigures]) -> list[dict[str, Any]]:
    """One object a slice; "AP", "AP50", "AP75" and "n" of the mean and of each structure with ground truth there."""
    return [
        {
            "field": one.field,
            "value": one.value,
            "frames": one.frames,
            "mean": _words(one.mean),
            "structures": {name: _words(row) for name, row in one.structures.items() if row.n},
        }
        for one in figures
    ]


def _words(figures: AveragePrecision) -> dict[str, float | int | None]:
    return {"AP": figures.ap, "AP50": figures.ap50, "AP75": figures.ap75, "n": figures.n}


def _slices(field: str, names: Sequence[str], places: Sequence[int | None]) -> list[Slice]:
    """One slice a name; `places` are those of F frames among the names."""
    chosen = np.array([len(names) if place is None else place for place in places], np.int64)
    slices = [Slice(field, name, chosen == place) for place, name in enumerate(names)]
    absent = Slice(field, NOT_GIVEN, chosen == len(names))
    return [*slices, absent] if absent.frames.any() else slices


def _numbers(field: str, values: Mapping[int, str]) -> dict[int, float]:
    numbers = {}
    for image, value in values.items():
        try:
            numbers[image] = float(value)
        except ValueError:
            numbers[image] = math.nan
        if not math.isfinite(numbers[image]):
            raise DataError(f"image {image}: {field} is {value!r}, expected a number")
    return numbers
