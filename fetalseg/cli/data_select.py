"""`fetalseg data select`: a part of a set, by what its images' records say."""

from __future__ import annotations

import argparse
from pathlib import Path

from fetalseg.data.coco import read_coco, write_subset
from fetalseg.data.selection import parse_condition, select
from fetalseg.errors import DataError

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the options."""
    parser.add_argument("set", type=Path, metavar="SET", help="folder with instances.json, or COCO file")
    parser.add_argument(
        "--where",
        action="append",
        required=True,
        metavar="CONDITION",
        help="on a field of the images, such as head_circumference_mm<=99 or view=neck; repeatable, all must hold",
    )
    parser.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="folder for instances.json; images stay where they are"
    )


def run(args: argparse.Namespace) -> int:
    """Writes the part."""
    source = read_coco(args.set)
    ids = select(source, [parse_condition(text) for text in args.where])
    if not ids:
        raise DataError(f"no image of {source.path} meets {' and '.join(args.where)}")
    path = args.out / "instances.json"
    if path.exists():
        raise DataError(f"{path} exists; expected a folder without a set")
    try:
        write_subset(source, ids, path)
    except OSError as error:
        raise DataError(f"can't write to {error.filename or args.out}: {error.strerror}") from None
    print(f"wrote {path}: {len(ids)} of {len(source.images)} images")
    return 0
