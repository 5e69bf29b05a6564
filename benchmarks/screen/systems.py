"""What was played, as a table: one system after another, one line for each latency."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.live.table import markdown_table
from benchmarks.screen.played import Figures

__all__ = ["Row", "System", "break_even_ms", "describe"]

_HEADER = (
    *("system", "latency, ms", "age on screen, ms", "frames answered", "mask AP50", "box AP50"),
    *("flicker, changes a second", "visible to found, s, median", "never found"),
)


@dataclass(frozen=True)
class Row:
    """One way of playing.

    Attributes:
        latency: in words.
        latency_ms: of a fixed one, or the median of measured ones; None for a server's.
        measured: whether it is how the model runs here.
        figures: of it.
    """

    latency: str
    latency_ms: float | None
    measured: bool
    figures: Figures


@dataclass(frozen=True)
class System:
    """A model at all latencies, or a server.

    Attributes:
        name: for tables.
        facts: for the record.
        rows: in the order of the table.
    """

    name: str
    facts: dict[str, Any]
    rows: list[Row]

    def curve(self) -> list[tuple[float, float]]:
        """(latency in ms, mask AP50) at the simulated latencies."""
        return [point for row in self.rows if not row.measured and (point := _point(row))]

    def as_it_runs(self) -> tuple[float, float] | None:
        """The same at the latencies that were measured here; None for a server."""
        return next((point for row in self.rows if row.measured and (point := _point(row))), None)


def break_even_ms(curve: Sequence[tuple[float, float]], level: float) -> float | None:
    """The latency up to which a curve that falls stays at `level` or above; linear between its points.

    Args:
        curve: (latency in ms, AP) by ascending latency.
        level: AP of another system.

    Returns:
        None if it is below from the start; infinity if it is never.
    """
    if not curve or curve[0][1] < level:
        return None
    for (before_ms, before), (after_ms, after) in itertools.pairwise(curve):
        if after < level:
            return before_ms + (after_ms - before_ms) * (before - level) / (before - after)
    return math.inf


def describe(systems: Sequence[System]) -> str:
    """The table, and which latency a better model may have."""
    lines = [markdown_table(_HEADER, [_cells(system, row) for system in systems for row in system.rows])]
    first, *others = systems
    points = [*first.curve(), *filter(None, [first.as_it_runs()])]
    for other in others:
        lines += ["", *(_compared(first.name, point, other) for point in points)]
    return "\n".join(lines)


def _compared(first: str, point: tuple[float, float], other: System) -> str:
    latency_ms, level = point
    limit = break_even_ms(other.curve(), level)
    against = f"{first} at {latency_ms:.0f} ms ({level:.3f})"
    if limit is None:
        return f"{other.name} loses against {against} at any latency."
    if limit == math.inf:
        return f"{other.name} holds against {against} up to the longest latency tried."
    return f"{other.name} holds against {against} while its own latency is at most {limit:.0f} ms."


def _point(row: Row) -> tuple[float, float] | None:
    mask = row.figures.precision.mask
    if row.latency_ms is None or mask is None or mask.ap50 is None:
        return None
    return row.latency_ms, mask.ap50


def _cells(system: System, row: Row) -> list[str]:
    found, times = row.figures, row.figures.times
    mask = found.precision.mask
    return [
        system.name,
        row.latency,
        _number(found.age.mean_ms, 0),
        f"{100 * found.answered:.0f} %",
        _number(None if mask is None else mask.ap50, 3),
        _number(found.precision.box.ap50, 3),
        _number(found.flicker, 2),
        _number(None if times is None else times.within(0.5), 2),
        "n/a" if times is None else f"{times.missed} of {times.appearances}",
    ]


def _number(value: float | None, digits: int) -> str:
    return "n/a" if value is None else f"{value:.{digits}f}"
