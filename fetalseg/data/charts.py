"""Charts of what sets hold, as PNG files. The only module that imports matplotlib."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fetalseg.anatomy import structure_names
from fetalseg.data.statistics import SetStatistics
from fetalseg.errors import DataError, MissingExtraError

try:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch
except ModuleNotFoundError as error:
    raise MissingExtraError(error.name or "matplotlib", "data") from None

__all__ = ["write_charts"]

# Okabe and Ito's colours, which stay apart for colour-blind readers
_COLORS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#000000")
_ROW = 0.34  # inch
_MARGIN = 1.5  # inch, for titles and labels


def write_charts(sets: Sequence[SetStatistics], out: Path) -> list[Path]:
    """Writes `images.png`, `structures.png` and `sizes.png` and gives their paths.

    Args:
        sets: one or more, each with its own colour or panel.
        out: an existing folder.

    Raises:
        DataError: a file can't be written.
    """
    charts = {"images": _images(sets), "structures": _structures(sets), "sizes": _sizes(sets)}
    paths = []
    for name, figure in charts.items():
        path = out / f"{name}.png"
        try:
            figure.savefig(path, dpi=120)
        except OSError as error:
            raise DataError(f"can't write {path}: {error.strerror}") from None
        paths.append(path)
    return paths


def _images(sets: Sequence[SetStatistics]) -> Figure:
    """Images by view, one bar for each set that has the view."""
    views = list(dict.fromkeys(view for one in sets for view in one.views))
    rows = _rows(views, [set(one.views) for one in sets])
    figure = Figure(figsize=(7.5, _MARGIN + _ROW * rows.height), layout="constrained")
    axes = figure.add_subplot()
    for i, one in enumerate(sets):
        patients = "no patients named" if one.patients is None else f"{one.patients:,} patients"
        places = [rows.places[view, i] for view in one.views]
        label = f"{one.name}: {one.images:,} images, {patients}"
        bars = axes.barh(places, list(one.views.values()), 0.8, color=_COLORS[i % len(_COLORS)], label=label)
        axes.bar_label(bars, [f"{count:,}" for count in one.views.values()], padding=3, fontsize=9)
    rows.label(axes, views)
    axes.margins(x=0.12)
    _finish(axes, "Images by view", "images")
    figure.legend(loc="outside lower center", frameon=False, fontsize=9)
    return figure


def _structures(sets: Sequence[SetStatistics]) -> Figure:
    """For each set a table of structures by views, and how many images know each structure."""
    names = _in_order(s.name for one in sets for s in one.structures)
    width = 2.2 + sum(1.6 + 0.55 * len(one.views) for one in sets)
    figure = Figure(figsize=(width, _MARGIN + _ROW * max(len(names), 1)), layout="constrained")
    ratios = [len(one.views) + 2 for one in sets]
    panels = figure.subplots(1, len(sets), squeeze=False, sharey=True, width_ratios=ratios)[0]
    for axes, one in zip(panels, sets, strict=True):
        _structure_table(axes, one, names)
    figure.suptitle("Images with each structure, by view; where it is absent or unknown", fontsize=11)
    return figure


def _in_order(names: Iterable[str]) -> list[str]:
    """Each name once: those of `fetalseg.anatomy` in its order, then the others as they come."""
    given = dict.fromkeys(names)
    return [*(name for name in structure_names() if name in given), *(n for n in given if n not in structure_names())]


def _structure_table(axes: Axes, one: SetStatistics, names: list[str]) -> None:
    views = list(one.views)
    columns = [*views, "absent", "unknown"]
    counts = np.zeros((len(names), len(columns)))
    for s in one.structures:
        counts[names.index(s.name)] = [*(s.by_view.get(view, 0) for view in views), s.absent, s.unknown]
    share = counts / max(one.images, 1)
    axes.imshow(share, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for (row, column), count in np.ndenumerate(counts):
        if count:
            color = "white" if share[row, column] > 0.6 else "black"
            axes.text(column, row, f"{int(count):,}", ha="center", va="center", fontsize=8, color=color)
    axes.axvline(len(views) - 0.5, color="black", linewidth=1)
    axes.set_xticks(range(len(columns)), columns, rotation=40, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(names)), [name.replace("_", " ") for name in names])
    axes.set_title(f"{one.name} ({one.images:,} images)", fontsize=10)


def _sizes(sets: Sequence[SetStatistics]) -> Figure:
    """The longer side of boxes, in px and, where scales are known, in mm: median, middle half, 5 to 95 %."""
    names = _in_order(s.name for one in sets for s in one.structures if s.annotations)
    rows = _rows(names, [{s.name for s in one.structures if s.annotations} for one in sets])
    units = ["px", *(["mm"] if any(s.longer_mm for one in sets for s in one.structures) else [])]
    figure = Figure(figsize=(2.5 + 4.5 * len(units), _MARGIN + _ROW * rows.height), layout="constrained")
    panels = figure.subplots(1, len(units), squeeze=False, sharey=True)[0]
    for axes, unit in zip(panels, units, strict=True):
        _spreads(axes, sets, rows, unit)
    rows.label(panels[0], names)
    handles = [Patch(color=_COLORS[i % len(_COLORS)], label=one.name) for i, one in enumerate(sets)]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(sets), frameon=False, fontsize=9)
    return figure


def _spreads(axes: Axes, sets: Sequence[SetStatistics], rows: _Rows, unit: str) -> None:
    for i, one in enumerate(sets):
        for structure in one.structures:
            values = structure.longer_px if unit == "px" else structure.longer_mm
            if not values:
                continue
            place = rows.places[structure.name, i]
            low, first, median, third, high = np.percentile(values, [5, 25, 50, 75, 95]).tolist()
            color = _COLORS[i % len(_COLORS)]
            axes.hlines(place, low, high, color=color, linewidth=1.2)
            axes.hlines(place, first, third, color=color, linewidth=7)
            axes.plot([median], [place], "o", color=color, markeredgecolor="white", markersize=7)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.xaxis.set_minor_formatter(lambda value, _: f"{value:g}" if f"{value:e}"[0] in "25" else "")
    _finish(axes, f"Longer side of boxes in {unit}", f"{unit}: median, middle half, 5 to 95 %")


@dataclass(frozen=True)
class _Rows:
    """Where bars stand: names below each other, one bar for each set that has the name.

    Attributes:
        places: of the bar of (name, number of the set).
        centres: of each name.
        height: of all, in bars.
    """

    places: dict[tuple[str, int], float]
    centres: list[float]
    height: float

    def label(self, axes: Axes, names: Sequence[str]) -> None:
        axes.set_yticks(self.centres, [name.replace("_", " ") for name in names])
        axes.set_ylim(self.height - 0.5, -0.75)


def _rows(names: Sequence[str], held: Sequence[set[str]]) -> _Rows:
    places: dict[tuple[str, int], float] = {}
    centres = []
    top = 0.0
    for name in names:
        owners = [i for i, one in enumerate(held) if name in one]
        places |= {(name, i): top + place for place, i in enumerate(owners)}
        centres.append(top + (len(owners) - 1) / 2)
        top += len(owners) + 0.5
    return _Rows(places, centres, max(top, 1.0))


def _finish(axes: Axes, title: str, label: str) -> None:
    axes.set_title(title, fontsize=11)
    axes.set_xlabel(label)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="x", alpha=0.3)
    axes.set_axisbelow(True)
