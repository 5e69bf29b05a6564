"""`fetalseg data split`: the study's protocol as folders of COCO files."""

from __future__ import annotations

import argparse
from pathlib import Path

from rich.table import Table

from fetalseg.cli.tables import plain_table, table_console
from fetalseg.data.coco import read_coco
from fetalseg.data.facts import groups_by
from fetalseg.data.protocol import TEST_SHARE, VALIDATION_SHARE, Fold, repeated_splits
from fetalseg.data.records import CocoSet
from fetalseg.data.split_files import write_splits

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the options."""
    parser.add_argument("set", type=Path, metavar="SET", help="folder with instances.json, or COCO file")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for the parts and splits.json")
    parser.add_argument("--repeats", type=int, default=5, metavar="N", help="how many folds (default: %(default)s)")
    parser.add_argument(
        "--test", type=float, default=TEST_SHARE, metavar="SHARE", help="of all images (default: %(default)s; 0: none)"
    )
    parser.add_argument(
        "--validation",
        type=float,
        default=VALIDATION_SHARE,
        metavar="SHARE",
        help="of what is not for testing (default: %(default)s)",
    )
    parser.add_argument("--seed", type=int, default=0, help="another number, other parts (default: %(default)s)")
    parser.add_argument(
        "--group", default="patient", metavar="FIELD", help="of the images; its values stay whole (default: patient)"
    )


def run(args: argparse.Namespace) -> int:
    """Splits the set and writes the parts."""
    source = read_coco(args.set)
    splits = repeated_splits(
        source,
        repeats=args.repeats,
        test_share=args.test,
        validation_share=args.validation,
        seed=args.seed,
        groups=None if args.group == "patient" else groups_by(source, args.group),
    )
    summary = write_splits(source, splits, args.out, seed=args.seed, group=args.group)
    console = table_console()
    console.print(_table(source, {"test": splits.test, **_parts(splits.folds)}))
    if splits.unit == "image":
        console.print(
            "[yellow]By image: no image names a patient, so one may be on two sides, and figures optimistic.[/]"
        )
    elif splits.unit.endswith("or image"):
        word = splits.unit.split()[0]
        console.print(
            f"[yellow]No {word} that is named is in two parts; images that name none were split one by one, so figures "
            "may be optimistic.[/]"
        )
    else:
        console.print(f"No {splits.unit} is in two parts.")
    print(f"wrote {summary}")
    return 0


def _parts(folds: tuple[Fold, ...]) -> dict[str, tuple[int, ...]]:
    parts: dict[str, tuple[int, ...]] = {}
    for i, (train, validation) in enumerate(folds):
        parts |= {f"train {i}": train, f"validation {i}": validation}
    return parts


def _table(source: CocoSet, parts: dict[str, tuple[int, ...]]) -> Table:
    """Images of each part, by view."""
    views = list(dict.fromkeys(image.view for image in source.images))
    table = plain_table("part", "images", "share", "patients", *(view or "no view" for view in views))
    for name, ids in parts.items():
        images = source.subset(ids).images
        patients = {image.patient for image in images if image.patient is not None}
        counts = [sum(image.view == view for image in images) for view in views]
        share = f"{100 * len(images) / len(source.images):.1f} %"
        cells = (f"{len(images):,}", share, f"{len(patients):,}" if patients else "", *(f"{n:,}" for n in counts))
        table.add_row(name, *cells)
    return table
