"""Table 4 of Hong et al. (2026): average precision of each structure as mean and SD over repeated trainings.

The SD tells how much the random split and the random start matter. All repeats share one test part, so it is not a
confidence interval.
"""

from __future__ import annotations

import csv
import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fetalseg.errors import DataError
from fetalseg.training.settings import differences

__all__ = ["MEAN", "Spread", "TableRow", "keep_protocol", "read_json", "summarise", "write_tables"]

MEAN = "mean"  # name of the row over all structures with ground truth
_COLUMNS = ("n", "AP50_mean", "AP50_sd", "runs")


@dataclass(frozen=True)
class Spread:
    """A figure over the repeats.

    Attributes:
        mean: over the repeats.
        sd: with n - 1 in the denominator; None for one repeat.
        values: of each repeat.
    """

    mean: float
    sd: float | None
    values: tuple[float, ...]

    def __str__(self) -> str:
        return f"{self.mean:.3f}" if self.sd is None else f"{self.mean:.3f} ± {self.sd:.3f}"


@dataclass(frozen=True)
class TableRow:
    """One structure; None where there is no ground truth to score by.

    Attributes:
        structure: its name, or `MEAN`.
        support: annotations in the test part; for the mean, structures with ground truth.
        mask_support: those of them that are scored by mask.
        box: AP50 by box.
        mask: AP50 by mask.
    """

    structure: str
    support: int
    mask_support: int
    box: Spread | None
    mask: Spread | None


def keep_protocol(path: Path, settings: Mapping[str, Any]) -> None:
    """Writes down the settings that all repeats share, or holds them against those that were written before.

    Raises:
        DataError: repeats with other settings are there already; the message names the differences.
        OSError: the file can't be written.
    """
    then = read_json(path)
    if then is None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")
    elif changed := differences(then, settings):
        raise DataError(f"{path} belongs to repeats with other settings: {changed}")


def read_json(path: Path) -> dict[str, Any] | None:
    """The object in a file; None if the file isn't there, or was cut off as it was written."""
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None
    return found


def summarise(metrics: Sequence[Mapping[str, Any]]) -> list[TableRow]:
    """The rows of a set, structures first, their mean last.

    Args:
        metrics: what `fetalseg eval` writes as `metrics.json`, one a repeat, of the same test part.

    Raises:
        ValueError: none, or different test parts.
    """
    if not metrics:
        raise ValueError("no repeat to summarise")
    first = metrics[0]
    if any(other["data"]["sha256"] != first["data"]["sha256"] for other in metrics):
        raise ValueError("the repeats were tested on different frames")
    rows = [
        TableRow(
            structure=name,
            support=found["support"],
            mask_support=found["mask_support"],
            box=_spread([_ap50(m["structures"][name]["box"]) for m in metrics]),
            mask=_spread([_ap50(m["structures"][name]["mask"]) for m in metrics]),
        )
        for name, found in first["structures"].items()
    ]
    boxes, masks = ([_ap50(m[kind]) for m in metrics] for kind in ("box", "mask"))
    by_mask = first["mask"]["n"] if first["mask"] else 0
    return [*rows, TableRow(MEAN, first["box"]["n"], by_mask, _spread(boxes), _spread(masks))]


def write_tables(folder: Path, tables: Mapping[str, Sequence[TableRow]], facts: Mapping[str, Any]) -> None:
    """Writes `table4.csv` and `table4.json`: the rows of each set, and how they came about.

    What can't be scored is empty in the one and null in the other.

    Raises:
        OSError: a file can't be written.
    """
    with (folder / "table4.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["set", "structure"] + [f"{kind}_{column}" for kind in ("box", "mask") for column in _COLUMNS])
        for name, rows in tables.items():
            writer.writerows(
                [name, row.structure, row.support, *_cells(row.box), row.mask_support, *_cells(row.mask)]
                for row in rows
            )
    content = {**facts, "sets": {name: [asdict(row) for row in rows] for name, rows in tables.items()}}
    (folder / "table4.json").write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def _ap50(figures: Mapping[str, float | None] | None) -> float | None:
    return None if figures is None else figures["AP50"]


def _spread(values: Sequence[float | None]) -> Spread | None:
    known = tuple(value for value in values if value is not None)
    if not known:
        return None
    return Spread(statistics.fmean(known), statistics.stdev(known) if len(known) > 1 else None, known)


def _cells(spread: Spread | None) -> list[float | None]:
    return [None, None, 0] if spread is None else [spread.mean, spread.sd, len(spread.values)]
