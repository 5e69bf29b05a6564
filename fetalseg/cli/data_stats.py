"""`fetalseg data stats`: what sets hold."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from rich.console import Console

from fetalseg.cli.tables import plain_table, table_console
from fetalseg.data.coco import read_coco
from fetalseg.data.statistics import SetStatistics, Spread, StructureStatistics, describe_set
from fetalseg.errors import DataError

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the options."""
    parser.add_argument("sets", nargs="+", type=Path, metavar="SET", help="folder with instances.json, or COCO file")
    parser.add_argument("--out", type=Path, metavar="DIR", help="folder for stats.json and charts as PNG")
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")


def run(args: argparse.Namespace) -> int:
    """Describes the sets."""
    sets = [describe_set(read_coco(path)) for path in args.sets]
    text = json.dumps({"schema": 1, "sets": [one.to_json() for one in sets]}, indent=1)
    written = [] if args.out is None else _write(sets, text, args.out)
    if args.json:
        print(text)
        return 0
    console = table_console()
    for one in sets:
        _print(one, console)
    for path in written:
        print(f"wrote {path}")
    return 0


def _write(sets: list[SetStatistics], text: str, out: Path) -> list[Path]:
    from fetalseg.data.charts import write_charts

    try:
        out.mkdir(parents=True, exist_ok=True)
        (out / "stats.json").write_text(text, encoding="utf-8")
    except OSError as error:
        raise DataError(f"can't write to {out}: {error.strerror}") from None
    return [out / "stats.json", *write_charts(sets, out)]


def _print(one: SetStatistics, console: Console) -> None:
    patients = "no patients named" if one.patients is None else f"{one.patients:,} patients"
    if one.patients is not None and one.without_patient:
        patients += f" ({one.without_patient:,} images name none)"
    console.print(f"[bold]{one.name}[/]: {one.images:,} images, {patients}, {one.with_scale:,} with a scale in mm")
    console.print("views: " + ", ".join(f"{view} {count:,}" for view, count in one.views.items()))
    sizes = [f"{size} ({count:,})" for size, count in list(one.sizes.items())[:3]]
    more = f" and {len(one.sizes) - 3} other sizes" if len(one.sizes) > 3 else ""
    console.print(f"px: {', '.join(sizes)}{more}")
    table = plain_table("structure", "labels", "", "present", "absent", "unknown", "width px", "height px", "longer mm")
    for structure in one.structures:
        table.add_row(
            structure.name,
            f"{structure.annotations:,}",
            _shape(structure),
            *(f"{count:,}" for count in (structure.present, structure.absent, structure.unknown)),
            *(_spread(spread) for spread in (structure.width_px, structure.height_px, structure.length_mm)),
        )
    console.print(table)
    console.print("present, absent, unknown: images; sizes: median (5-95 %)\n")


def _shape(structure: StructureStatistics) -> str:
    if not structure.annotations:
        return ""
    if structure.masks in (0, structure.annotations):
        return "masks" if structure.masks else "boxes only"
    return f"{structure.masks:,} masks"


def _spread(spread: Spread | None) -> str:
    if spread is None:
        return ""
    low, median, high = (f"{value:.0f}" if value >= 10 else f"{value:.1f}" for value in
                         (spread.low, spread.median, spread.high))  # fmt: skip
    return f"{median} ({low}-{high})"
