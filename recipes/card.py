"""Prints the tables of a model's card from evaluations: one table for each, so that sets are never averaged.

    python recipes/card.py run/eval-hc18 run/eval-nt run/eval-phantom

Each folder is what `fetalseg eval --out` wrote.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

_HEAD = (
    "| structure | n | box AP50 | box AP75 | box AP | mask AP50 | mask AP75 | mask AP | centre hit | Dice |\n"
    "|---|---|---|---|---|---|---|---|---|---|"
)


def table(metrics: dict[str, Any]) -> str:
    """A markdown table of the structures that occur in an evaluation, with their mean if there are several.

    Args:
        metrics: what `metrics.json` holds.
    """
    found = {name: row for name, row in metrics["structures"].items() if row["support"]}
    lines = [_HEAD]
    for name, row in found.items():
        ends = (_figure(row["centre_hit"]), _figure(row["dice"]))
        lines.append(_line(name.replace("_", " "), row["support"], row, ends))
    if len(found) > 1:
        lines.append(_line(f"mean of {len(found)}", "", metrics, ("", "")))
    return "\n".join(lines)


def _line(name: str, support: int | str, row: dict[str, Any], ends: tuple[str, str]) -> str:
    figures = [_figure((row[kind] or {}).get(key)) for kind in ("box", "mask") for key in ("AP50", "AP75", "AP")]
    return "| " + " | ".join([name, str(support), *figures, *ends]) + " |"


def _figure(value: float | None) -> str:
    return "n/a" if value is None else f"{value:.3f}"


def main(folders: Sequence[str]) -> int:
    """Prints the table of each folder under its name and number of frames."""
    if not folders:
        print(__doc__, file=sys.stderr)
        return 2
    for folder in folders:
        metrics = json.loads((Path(folder) / "metrics.json").read_text(encoding="utf-8"))
        print(f"**{Path(folder).name}**, {metrics['frames']} frames\n\n{table(metrics)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
