"""Tables of average precision: of each structure, by size and by slice, and of how the best detection lies."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from fetalseg.evaluation.html_report.cells import (
    NOTHING,
    Cell,
    Row,
    Table,
    at,
    count_cell,
    figure,
    figure_cell,
    interval,
    interval_cell,
    joined,
    name_cell,
    number_cell,
    share_cell,
    title_of,
)

__all__ = [
    "KIND_WORDS",
    "main_kind",
    "overlap_table",
    "precision_tables",
    "shown_structures",
    "size_table",
    "slice_tables",
]

KIND_WORDS = {"mask": "by mask", "box": "by box", "boundary": "by boundary"}

_SIZES = {"small": "to 32 × 32 px", "medium": "to 96 × 96 px", "large": "above"}


def main_kind(metrics: dict[str, Any]) -> str:
    """What tables that show one kind go by: masks, or boxes in a set without."""
    return "box" if metrics["mask"] is None else "mask"


def shown_structures(metrics: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Name and figures of the structures that have ground truth."""
    yield from ((name, row) for name, row in metrics["structures"].items() if row["support"])


def precision_tables(metrics: dict[str, Any]) -> list[Table]:
    """A table for each kind that was scored."""
    return [_precision_table(metrics, kind) for kind in KIND_WORDS if metrics.get(kind) is not None]


def overlap_table(metrics: dict[str, Any]) -> Table:
    """How the best detection lies, in px and mm."""
    rows = []
    for name, row in shown_structures(metrics):
        found = row["overlap"] or {}
        rows.append(
            Row(
                (
                    name_cell(title_of(name)),
                    count_cell(found.get("frames")),
                    _overlap_cell(found, "centre_hit"),
                    count_cell(found.get("mask_frames")),
                    _overlap_cell(found, "dice"),
                    _overlap_cell(found, "iou"),
                    count_cell(found.get("hausdorff_frames")),
                    _overlap_cell(found, "hausdorff_px", 1),
                    number_cell(found.get("hausdorff_px_median"), 1),
                    count_cell(found.get("hausdorff_mm_frames")),
                    _overlap_cell(found, "hausdorff_mm", 2),
                    number_cell(found.get("hausdorff_mm_median"), 2),
                ),
                name,
            )
        )
    return Table(
        caption="Best detection of each frame against the annotation that it overlaps most",
        groups=(("", 1), ("box", 2), ("mask", 3), ("95 % Hausdorff distance, px", 3), ("in mm", 3)),
        columns=(
            "",
            *("frames", "centre hit"),
            *("frames", "Dice", "IoU"),
            *("frames", "mean", "median"),
            *("frames", "mean", "median"),
        ),
        rows=tuple(rows),
        notes=(
            "Where a structure is annotated and not found, Dice and IoU are 0 and there is no distance; the frames "
            "behind each figure are stated. Below each mean stands its interval.",
        ),
    )


def _overlap_cell(found: dict[str, Any], name: str, digits: int = 3) -> Cell:
    return figure_cell(found.get(name), at(found, "interval", name), digits)


def size_table(metrics: dict[str, Any]) -> Table:
    """Average precision and recall by the size of the annotation."""
    kind = main_kind(metrics)
    rows = [Row((name_cell(title_of(n)), *_size_cells(row[kind])), n) for n, row in shown_structures(metrics)]
    rows.append(Row((name_cell("Mean"), *_size_cells(metrics[kind])), kind="mean"))
    return Table(
        caption=f"By size of the annotation, {KIND_WORDS[kind]}",
        groups=(("", 1), *((f"{size}, {words}", 3) for size, words in _SIZES.items())),
        columns=("", *("n", "AP", "AR") * len(_SIZES)),
        rows=tuple(rows),
        notes=("AP and AR over IoU 0.5 to 0.95. In the last row n is the number of structures behind the mean AP.",),
    )


def slice_tables(metrics: dict[str, Any]) -> list[Table]:
    """For each field of the image records: the means of its values, and each structure by value."""
    tables = []
    for field, values in metrics["slices"].items():
        tables.append(_slice_means(metrics, field, values))
        if len(values) <= _MOST_COLUMNS:
            tables.append(_slice_structures(metrics, field, values))
    return tables


_MOST_COLUMNS = 8  # as fit on paper


def _precision_table(metrics: dict[str, Any], kind: str) -> Table:
    with_truth = list(shown_structures(metrics))
    rows = [Row((name_cell(title_of(name)), *_precision_cells(row[kind])), name) for name, row in with_truth]
    mean = metrics[kind]
    rows.append(Row((name_cell(f"Mean of {mean['n']}"), Cell(""), *_precision_cells(mean)[1:]), kind="mean"))
    without = [name for name, row in metrics["structures"].items() if not row["support"]]
    notes = []
    if without:
        notes.append(f"No ground truth in this set, and not in the mean: {joined(without)}.")
    if metrics["unknown_to_model"]:
        notes.append(f"In the set, but unknown to the system and not scored: {joined(metrics['unknown_to_model'])}.")
    dropped = {name: at(row[kind], "interval", "dropped") for name, row in with_truth}
    if any(dropped.values()):
        counts = ", ".join(f"{title_of(name)} {count:,}" for name, count in dropped.items() if count)
        notes.append(f"Resamples without ground truth, which the interval leaves out: {counts}.")
    return Table(
        caption=f"Average precision {KIND_WORDS[kind]}",
        columns=("", "n", "AP50", "interval", "AP75", "AP", "interval", "AR1", "AR10", "AR100"),
        rows=tuple(rows),
        notes=tuple(notes),
    )


def _precision_cells(figures: dict[str, Any] | None) -> tuple[Cell, ...]:
    return (
        count_cell(at(figures, "n")),
        number_cell(at(figures, "AP50")),
        interval_cell(at(figures, "interval", "AP50")),
        number_cell(at(figures, "AP75")),
        number_cell(at(figures, "AP")),
        interval_cell(at(figures, "interval", "AP")),
        *(number_cell(at(figures, name)) for name in ("AR1", "AR10", "AR100")),
    )


def _size_cells(figures: dict[str, Any] | None) -> list[Cell]:
    cells = []
    for size in _SIZES:
        cells.append(count_cell(at(figures, f"n_{size}")))
        cells += [number_cell(at(figures, f"{name}_{size}")) for name in ("AP", "AR")]
    return cells


def _slice_means(metrics: dict[str, Any], field: str, values: dict[str, Any]) -> Table:
    kinds = [kind for kind in KIND_WORDS if metrics.get(kind) is not None]
    rows = [
        Row((name_cell(value), count_cell(part["frames"]), *_mean_cells(part, kinds))) for value, part in values.items()
    ]
    rows.append(Row((name_cell("all"), count_cell(metrics["frames"]), *_mean_cells(metrics, kinds)), kind="mean"))
    return Table(
        caption=f"By {_words(field)}: means over the structures with ground truth there",
        groups=(("", 2), *((KIND_WORDS[kind], 4) for kind in kinds)),
        columns=(_words(field), "frames", *("structures", "AP50", "AP75", "AP") * len(kinds)),
        rows=tuple(rows),
        notes=(
            "Slices hold different structures, so their means are no ranking of the slices. Below AP50 stands its "
            "interval, from the resamples of the whole set restricted to the slice.",
        ),
    )


def _mean_cells(part: dict[str, Any], kinds: list[str]) -> list[Cell]:
    cells = []
    for kind in kinds:
        cells.append(count_cell(at(part[kind], "n")))
        cells.append(figure_cell(at(part[kind], "AP50"), at(part[kind], "interval", "AP50")))
        cells += [number_cell(at(part[kind], name)) for name in ("AP75", "AP")]
    return cells


def _slice_structures(metrics: dict[str, Any], field: str, values: dict[str, Any]) -> Table:
    kind = main_kind(metrics)
    rows = []
    for name, row in shown_structures(metrics):
        parts = [at(part["structures"], name, kind) for part in values.values()]
        cells = [_slice_cell(part) for part in (*parts, row[kind])]
        rows.append(Row((name_cell(title_of(name)), *cells), name))
    return Table(
        caption=f"By {_words(field)}: AP50 of each structure {KIND_WORDS[kind]}, number of annotations in brackets",
        columns=("", *values, "all"),
        rows=tuple(rows),
        notes=("Below each figure stands its interval.",),
    )


def _slice_cell(figures: dict[str, Any] | None) -> Cell:
    if figures is None or not figures["n"]:
        return Cell("–", "number nothing")
    value = figures["AP50"]
    cell = share_cell(value, NOTHING if value is None else f"{figure(value)} ({figures['n']:,})")
    return replace(cell, below=interval(at(figures, "interval", "AP50"), 2))


def _words(field: str) -> str:
    return field.replace("_", " ")
