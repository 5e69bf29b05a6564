"""`fetalseg phantom`: writes synthetic frames with exact masks as a COCO data set."""

from __future__ import annotations

import argparse
import re

from fetalseg.anatomy import VIEWS
from fetalseg.cli.progress_bar import progress_bar
from fetalseg.phantom.dataset import write_dataset
from fetalseg.phantom.frames import NO_VIEW

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the options."""
    views = ", ".join([*(v.name for v in VIEWS), f"{NO_VIEW} (no fetus)"])
    parser.add_argument("--out", required=True, metavar="DIR", help="new folder for instances.json and images/")
    parser.add_argument("--frames", type=int, required=True, metavar="N", help="how many frames")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="same seed, same bytes (default 0)")
    parser.add_argument("--size", type=_size, default=(640, 432), metavar="WxH", help="frame size (default 640x432)")
    parser.add_argument("--views", nargs="+", metavar="VIEW", help=f"only these views: {views} (default all)")
    parser.add_argument(
        "--cine",
        action="store_true",
        help="one fetus at 25 frames a second: the probe sweeps from view to view, holds and freezes",
    )


def run(args: argparse.Namespace) -> int:
    """Writes the data set."""
    with progress_bar() as progress:
        task = progress.add_task("frames", total=max(args.frames, 0))
        path = write_dataset(
            args.out,
            frames=args.frames,
            seed=args.seed,
            size=args.size,
            views=args.views,
            moving=args.cine,
            on_frame=lambda: progress.advance(task),
        )
    print(f"{args.frames} frames: {path}")
    return 0


def _size(text: str) -> tuple[int, int]:
    found = re.fullmatch(r"(\d+)x(\d+)", text)
    if found is None:
        raise argparse.ArgumentTypeError(f"expected WIDTHxHEIGHT such as 640x432, got {text!r}")
    return int(found[1]), int(found[2])
