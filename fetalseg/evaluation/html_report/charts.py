"""Curves as the page draws them: points of small SVG pictures, whose colours are those of the page's style.

All axes run from 0 to 1. The pictures are SVG of our own, and not a drawing library's: they are a few kilobytes each,
follow light and dark, and are sharp on paper.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["HEIGHT", "TICKS", "WIDTH", "Bar", "Chart", "Line", "Note", "Tick", "bars", "line", "upright"]

WIDTH, HEIGHT = 230, 190  # of a picture
_LEFT, _RIGHT, _TOP, _BOTTOM = 42, 10, 6, 32
_MOST_POINTS = 160  # of a line: more than the picture has columns


@dataclass(frozen=True)
class Tick:
    """A line of the grid with its number.

    Attributes:
        text: the number.
        x: of the line that stands there.
        y: of the line that lies there.
    """

    text: str
    x: float
    y: float


@dataclass(frozen=True)
class Line:
    """A line, or a point where there is but one.

    Attributes:
        words: what it is.
        kind: class of the page's style: "mask", "box".
        points: as SVG writes them.
    """

    words: str
    kind: str
    points: str


@dataclass(frozen=True)
class Bar:
    """A bar that stands on the axis.

    Attributes:
        words: what it is.
        x: of its left edge.
        y: of its top.
        width: of it.
        height: of it.
    """

    words: str
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True)
class Note:
    """A line of words below a chart.

    Attributes:
        words: of it.
        kind: class of the line that it is about, whose mark it gets; empty for none.
    """

    words: str
    kind: str = ""


@dataclass(frozen=True)
class Chart:
    """A picture.

    Attributes:
        title: above it.
        structure: name, for the filter; empty for one about all.
        across: words at the lower axis.
        up: words at the left axis.
        lines: over the bars.
        bars: at the back.
        uprights: x of dashed lines that mark a place of the lower axis, each with its class of the page's style.
        notes: below it.
    """

    title: str
    structure: str
    across: str
    up: str
    lines: tuple[Line, ...]
    bars: tuple[Bar, ...] = ()
    uprights: tuple[tuple[str, float], ...] = ()
    notes: tuple[Note, ...] = ()


def upright(kind: str, value: float) -> tuple[str, float]:
    """A mark at a place of the lower axis."""
    return kind, round(float(_across(value)), 1)


def line(words: str, kind: str, across: Sequence[float], up: Sequence[float]) -> Line:
    """A line through points of two axes from 0 to 1; of very many points those that make a difference.

    Raises:
        ValueError: not as many of one as of the other.
    """
    if len(across) != len(up):
        raise ValueError(f"{len(across)} places across and {len(up)} up; expected as many")
    xs, ys = _across(across), _up(up)
    if len(xs) > _MOST_POINTS:
        kept = np.unique(np.rint(np.linspace(0, len(xs) - 1, _MOST_POINTS)).astype(int))
        kept = np.union1d(kept, [int(np.argmin(ys))])  # the highest point is what the curve is read for
        xs, ys = xs[kept], ys[kept]
    return Line(words, kind, " ".join(f"{x:.1f},{y:.1f}" for x, y in zip(xs.tolist(), ys.tolist(), strict=True)))


def bars(edges: Sequence[float], heights: Sequence[float | None], words: Sequence[str]) -> tuple[Bar, ...]:
    """Bars between edges; none where there is no height."""
    drawn = []
    for low, high, height, text in zip(edges[:-1], edges[1:], heights, words, strict=True):
        if height is not None:
            left, right, top = float(_across(low)), float(_across(high)), float(_up(height))
            drawn.append(
                Bar(
                    text,
                    round(left + 0.5, 1),
                    round(top, 1),
                    round(right - left - 1, 1),
                    round(HEIGHT - _BOTTOM - top, 1),
                )
            )
    return tuple(drawn)


def _across(value: npt.ArrayLike) -> npt.NDArray[np.float64]:
    return _LEFT + np.asarray(value, np.float64) * (WIDTH - _LEFT - _RIGHT)


def _up(value: npt.ArrayLike) -> npt.NDArray[np.float64]:
    return HEIGHT - _BOTTOM - np.asarray(value, np.float64) * (HEIGHT - _TOP - _BOTTOM)


TICKS = tuple(
    Tick(f"{value:g}", round(float(_across(value)), 1), round(float(_up(value)), 1))
    for value in (0.0, 0.25, 0.5, 0.75, 1.0)
)
