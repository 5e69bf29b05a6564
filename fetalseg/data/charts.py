"""Charts of what sets hold, as PNG files. The only module that imports matplotlib."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from fetalseg.data.statistics import SetStatistics
from fetalseg.errors import DataError, MissingExtraError

try:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
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
    """Images by view, one bar a set."""
    views = list(dict.fromkeys(view for one in sets for view in one.views))
    figure = Figure(figsize=(7.5, _MARGIN + _ROW * len(views) * (1 + 0.6 * len(sets))), layout="constrained")
    axes = figure.add_subplot()
    height = 0.8 / len(sets)
    for i, one in enumerate(sets):
        patients = "no patients named" if one.patients is None else f"{one.patients:,} patients"
        places = np.arange(len(views)) + (i - (len(sets) - 1) / 2) * height
        counts = [one.views.get(view, 0) for view in views]
        label = f"{one.name}: {one.images:,} images, {patients}"
        bars = axes.barh(places, counts, height * 0.92, color=_COLORS[i % len(_COLORS)], label=label)
        axes.bar_label(bars, [f"{count:,}" if count else "" for count in counts], padding=3, fontsize=9)
    axes.set_yticks(range(len(views)), views)
    axes.invert_yaxis()
    axes.margins(x=0.12)
    _finish(axes, "Images by view", "images")
    figure.legend(loc="outside lower center", frameon=False, fontsize=9)
    return figure


def _structures(sets: Sequence[SetStatistics]) -> Figure:
    """For each set a table of structures by views, and what share of images knows each structure."""
    rows = max(max((len(one.structures) for one in sets), default=1), 1)
    width = 3.4 + sum(2.2 + 0.55 * len(one.views) for one in sets)
    figure = Figure(figsize=(width, _MARGIN + _ROW * rows), layout="constrained")
    panels = np.atleast_1d(figure.subplots(1, len(sets), squeeze=False)[0])
    for axes, one in zip(panels, sets, strict=True):
        _structure_table(axes, one)
    figure.suptitle("Images with each structure, by view; where it is absent or not annotated", fontsize=11)
    return figure


def _structure_table(axes: Axes, one: SetStatistics) -> None:
    views = list(one.views)
    columns = [*views, "absent", "unknown"]
    counts = np.array(
        [[*(s.by_view.get(view, 0) for view in views), s.absent, s.unknown] for s in one.structures], np.float64
    ).reshape(len(one.structures), len(columns))
    share = counts / max(one.images, 1)
    axes.imshow(share, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for (row, column), count in np.ndenumerate(counts):
        if count:
            color = "white" if share[row, column] > 0.6 else "black"
            axes.text(column, row, f"{int(count):,}", ha="center", va="center", fontsize=8, color=color)
    axes.axvline(len(views) - 0.5, color="black", linewidth=1)
    axes.set_xticks(range(len(columns)), columns, rotation=40, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(one.structures)), [s.name.replace("_", " ") for s in one.structures])
    axes.set_title(f"{one.name} ({one.images:,} images)", fontsize=10)


def _sizes(sets: Sequence[SetStatistics]) -> Figure:
    """The longer side of boxes, in px and, where scales are known, in mm: median, middle half, 5 to 95 %."""
    names = list(dict.fromkeys(s.name for one in sets for s in one.structures if s.annotations))
    with_mm = any(s.longer_mm for one in sets for s in one.structures)
    shape = (11.0 if with_mm else 7.5, _MARGIN + _ROW * max(len(names), 1) * (0.6 + 0.6 * len(sets)))
    figure = Figure(figsize=shape, layout="constrained")
    panels = figure.subplots(1, 2 if with_mm else 1, squeeze=False, sharey=True)[0]
    _size_boxes(panels[0], sets, names, millimetres=False)
    if with_mm:
        _size_boxes(panels[1], sets, names, millimetres=True)
    panels[0].set_yticks(range(len(names)), [name.replace("_", " ") for name in names])
    panels[0].set_ylim(max(len(names), 1) - 0.5, -0.5)
    handles = [(_COLORS[i % len(_COLORS)], one.name) for i, one in enumerate(sets)]
    lines = [panels[0].plot([], [], color=color, linewidth=6, label=name)[0] for color, name in handles]
    figure.legend(handles=lines, loc="outside lower center", ncols=len(sets), frameon=False, fontsize=9)
    return figure


def _size_boxes(axes: Axes, sets: Sequence[SetStatistics], names: list[str], *, millimetres: bool) -> None:
    height = 0.8 / len(sets)
    for i, one in enumerate(sets):
        for structure in one.structures:
            values = structure.longer_mm if millimetres else structure.longer_px
            if not values:
                continue
            place = names.index(structure.name) + (i - (len(sets) - 1) / 2) * height
            low, first, median, third, high = np.percentile(values, [5, 25, 50, 75, 95]).tolist()
            color = _COLORS[i % len(_COLORS)]
            axes.plot([low, high], [place, place], color=color, linewidth=1.2)
            axes.barh(place, third - first, height * 0.7, left=first, color=color)
            axes.plot([median], [place], "|", color="white", markersize=9, markeredgewidth=2)
    unit = "mm" if millimetres else "px"
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.xaxis.set_minor_formatter(lambda value, _: f"{value:g}" if f"{value:e}"[0] in "25" else "")
    _finish(axes, f"Longer side of boxes in {unit}", f"{unit}: median, middle half, 5 to 95 %")


def _finish(axes: Axes, title: str, label: str) -> None:
    axes.set_title(title, fontsize=11)
    axes.set_xlabel(label)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="x", alpha=0.3)
    axes.set_axisbelow(True)
