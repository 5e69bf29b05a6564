"""The tables of an evaluation for a spreadsheet: one file each, empty cells where there is no figure."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

__all__ = ["write_tables"]

_KINDS = ("box", "mask", "boundary")
_ENDS = ("low", "high")
_MEASURES = ("AP", "AP50", "AP75")
_OVERLAPS = ("iou", "hausdorff_frames", "hausdorff_px", "hausdorff_mm_frames", "hausdorff_mm")
_COUNTS = ("view", "frames", "tp", "fp", "fn", "tn")
_SHARES = ("accuracy", "recall", "precision", "specificity", "f1")
_INTERVALS = ("centre_hit", "dice", "iou", "hausdorff_px", "hausdorff_mm")
_WRONG_VIEW = ("other_frames", "wrong_view", "wrong_view_present", "wrong_view_per_100")

Rows = list[list[Any]]


def write_tables(folder: Path, metrics: Mapping[str, Any]) -> None:
    """Writes `structures.csv`, `table3.csv` and `slices.csv`.

    Args:
        folder: where to.
        metrics: what `metrics.json` holds.
    """
    tables = {"structures": _structures(metrics), "table3": _table3(metrics), "slices": _slices(metrics)}
    for name, rows in tables.items():
        with (folder / f"{name}.csv").open("w", encoding="utf-8", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows(rows)


def _structures(metrics: Mapping[str, Any]) -> Rows:
    """One row a structure; the columns of earlier versions come first."""
    heading = ["structure", "support", "frames", *(f"box_{m}" for m in _MEASURES)]
    heading += ["mask_support", *(f"mask_{m}" for m in _MEASURES), "centre_hit", "dice", *_OVERLAPS]
    for kind in ("box", "mask"):
        heading += [f"{kind}_AP50_low", f"{kind}_AP50_high", f"{kind}_AR100", f"{kind}_threshold", f"{kind}_best_f1"]
    heading += [f"boundary_{m}" for m in _MEASURES]
    heading += [f"{word}_{end}" for word in _INTERVALS for end in _ENDS]
    rows: Rows = [heading]
    for name, one in metrics["structures"].items():
        row = [name, one["support"], one["frames"], *_chosen(one["box"], _MEASURES)]
        row += [one["mask_support"], *_chosen(one["mask"], _MEASURES), one["centre_hit"], one["dice"]]
        row += _chosen(one["overlap"], _OVERLAPS)
        for kind in ("box", "mask"):
            figures = one[kind] or {}
            row += [*_bounds(figures.get("interval"), "AP50"), figures.get("AR100")]
            row += _chosen(one["threshold"].get(kind), ("threshold", "f1"))
        row += _chosen(one["boundary"], _MEASURES)
        overlap = one["overlap"] or {}
        rows.append(row + [bound for word in _INTERVALS for bound in _bounds(overlap.get("interval"), word)])
    return rows


def _table3(metrics: Mapping[str, Any]) -> Rows:
    """One row a match rule and structure."""
    shares = [word for share in _SHARES for word in (share, f"{share}_low", f"{share}_high")]
    last = [f"wrong_view_per_100_{end}" for end in _ENDS]
    rows: Rows = [["match_rule", "structure", *_COUNTS, *shares, *_WRONG_VIEW, *last]]
    for rule, table in metrics["table3"].items():
        for name, one in table.items():
            cells = [cell for share in _SHARES for cell in (one[share], *_bounds(one["interval"], share))]
            bounds = _bounds(one["interval"], "wrong_view_per_100")
            rows.append([rule, name, *_chosen(one, _COUNTS), *cells, *_chosen(one, _WRONG_VIEW), *bounds])
    return rows


def _slices(metrics: Mapping[str, Any]) -> Rows:
    """One row a field, value and structure, "mean" for all; only where there is ground truth."""
    words = [f"{kind}_{word}" for kind in _KINDS for word in ("n", *_MEASURES)]
    words += [f"{kind}_AP50_{end}" for kind in _KINDS for end in _ENDS]
    rows: Rows = [["field", "value", "frames", "structure", *words]]
    for field, values in metrics["slices"].items():
        for value, part in values.items():
            for name, one in {"mean": part, **part["structures"]}.items():
                cells = [c for kind in _KINDS for c in _chosen(one[kind], ("n", *_MEASURES))]
                cells += [c for kind in _KINDS for c in _bounds((one[kind] or {}).get("interval"), "AP50")]
                rows.append([field, value, part["frames"], name, *cells])
    return rows


def _chosen(figures: Mapping[str, Any] | None, names: Sequence[str]) -> list[Any]:
    return [None] * len(names) if figures is None else [figures[name] for name in names]


def _bounds(interval: Mapping[str, Any] | None, name: str) -> list[Any]:
    bounds = None if interval is None else interval[name]
    return [None, None] if bounds is None else list(bounds)
