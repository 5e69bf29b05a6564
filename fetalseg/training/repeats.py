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

__all__ = ["MEAN", "Spread", "TableRow", "keep_protocol", "read_metrics", "summarise", "write_tables"]

MEAN = "mean"  # name of the row over all structures with ground truth


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
        box: AP50 by box.
        mask: AP50 by mask.
    """

    structure: str
    support: int
    box: Spread | None
    mask: Spread | None


def keep_protocol(path: Path, settings: Mapping[str, Any]) -> None:
    """Writes down the settings that all repeats share, or holds them against those that were written before.

    Raises:
        DataError: repeats with other settings are there already; the message names the differences.
        OSError: the file can't be written.
    """
    now = json.loads(json.dumps(settings))
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(now, indent=2) + "\n", encoding="utf-8")
        return
    then = json.loads(path.read_text(encoding="utf-8"))
    if changed := sorted(key for key in then.keys() | now.keys() if then.get(key) != now.get(key)):
        details = ", ".join(f"{key} was {then.get(key)} and is {now.get(key)}" for key in changed)
        raise DataError(f"{path} belongs to repeats with other settings: {details}")


def read_metrics(path: Path) -> dict[str, Any] | None:
    """The `metrics.json` of a repeat; None if it isn't there, or was cut off as it was written."""
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
            box=_spread([_ap50(m["structures"][name]["box"]) for m in metrics]),
            mask=_spread([_ap50(m["structures"][name]["mask"]) for m in metrics]),
        )
        for name, found in first["structures"].items()
    ]
    boxes, masks = ([_ap50(m[kind]) for m in metrics] for kind in ("box", "mask"))
    return [*rows, TableRow(MEAN, first["box"]["n"], _spread(boxes), _spread(masks))]


def write_tables(folder: Path, tables: Mapping[str, Sequence[TableRow]], facts: Mapping[str, Any]) -> None:
    """Writes `table4.csv` and `table4.json`: the rows of each set, and how they came about.

    Raises:
        OSError: a file can't be written.
    """
    with (folder / "table4.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(
            ["set", "structure", "support", "box_AP50_mean", "box_AP50_sd", "mask_AP50_mean", "mask_AP50_sd"]
        )
        for name, rows in tables.items():
            writer.writerows([name, row.structure, row.support, *_cells(row.box), *_cells(row.mask)] for row in rows)
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
    return [None, None] if spread is None else [spread.mean, spread.sd]
