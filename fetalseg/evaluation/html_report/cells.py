"""Tables as the page shows them, and how figures are put into words. A figure that can't be computed is "n/a"."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from fetalseg.taxonomy import describe

__all__ = [
    "NOTHING",
    "SHADES",
    "Cell",
    "Row",
    "Table",
    "at",
    "count_cell",
    "figure",
    "figure_cell",
    "interval",
    "interval_cell",
    "joined",
    "name_cell",
    "number_cell",
    "number_of",
    "share_cell",
    "title_of",
]

NOTHING = "n/a"
SHADES = 10  # classes shade-0 to shade-10 of the page's style


@dataclass(frozen=True)
class Cell:
    """One cell.

    Attributes:
        text: of it.
        kind: classes of the page's style: "name", "number", "nothing", "interval", "shade-7".
        heading: it names its row.
        span: columns that it takes.
        below: smaller words under the text, such as its interval.
    """

    text: str
    kind: str = "number"
    heading: bool = False
    span: int = 1
    below: str = ""


@dataclass(frozen=True)
class Row:
    """One row.

    Attributes:
        cells: from the left.
        structure: name, for the filter; empty for a row that is about all.
        kind: class of the page's style: "mean".
    """

    cells: tuple[Cell, ...]
    structure: str = ""
    kind: str = ""


@dataclass(frozen=True)
class Table:
    """One table.

    Attributes:
        caption: above it.
        groups: words over several columns, each with how many; none for a table with one row of headings.
        columns: headings.
        rows: from the top.
        notes: below it.
    """

    caption: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    groups: tuple[tuple[str, int], ...] = ()
    notes: tuple[str, ...] = ()


def at(tree: Any, *path: str) -> Any:
    """What lies at a path of keys; None where a part of it isn't there."""
    for key in path:
        if not isinstance(tree, dict):
            return None
        tree = tree.get(key)
    return tree


def figure(value: float | None, digits: int = 3) -> str:
    """A figure in words."""
    return NOTHING if value is None else f"{value:.{digits}f}"


def interval(bounds: Sequence[float] | None, digits: int = 3) -> str:
    """Two bounds; nothing where there are none."""
    if bounds is None:
        return ""
    between = "to" if bounds[0] < 0 else "–"  # a dash beside a minus is hard to read
    return f"{bounds[0]:.{digits}f} {between} {bounds[1]:.{digits}f}"


def number_cell(value: float | None, digits: int = 3) -> Cell:
    """A figure."""
    return Cell(figure(value, digits), "number nothing" if value is None else "number")


def figure_cell(value: float | None, bounds: Sequence[float] | None, digits: int = 3) -> Cell:
    """A figure with its interval below: for tables that have no room for it beside."""
    return replace(number_cell(value, digits), below=interval(bounds, digits))


def count_cell(value: int | None) -> Cell:
    """A number of things."""
    return Cell(NOTHING, "number nothing") if value is None else Cell(f"{value:,}")


def interval_cell(bounds: Sequence[float] | None, digits: int = 3) -> Cell:
    """Two bounds."""
    return Cell(interval(bounds, digits), "number interval")


def share_cell(share: float | None, text: str) -> Cell:
    """A cell coloured by a share 0..1."""
    if share is None:
        return Cell(text, "number nothing")
    return Cell(text, f"number shade-{round(SHADES * min(max(share, 0.0), 1.0))}")


def name_cell(text: str) -> Cell:
    """The heading of a row."""
    return Cell(text, "name", heading=True)


def title_of(name: str) -> str:
    """Words for a structure: its title in `fetalseg.anatomy`, or its own name."""
    return describe((name,))[0].title


def number_of(things: int, one: str) -> str:
    """A number with its noun: "1 structure", "1,234 structures"."""
    return f"{things:,} {one}" if things == 1 else f"{things:,} {one}s"


def joined(names: Iterable[str]) -> str:
    """Structures in a sentence."""
    return ", ".join(title_of(name) for name in names)
