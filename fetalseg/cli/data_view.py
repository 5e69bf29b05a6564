"""`fetalseg data view`: a contact sheet of annotated frames."""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2

from fetalseg.data.coco import read_coco
from fetalseg.data.contact_sheet import choose_frames, contact_sheet
from fetalseg.errors import DataError

__all__ = ["add_arguments", "run"]

_SUFFIXES = (".jpg", ".jpeg", ".png")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the options."""
    parser.add_argument("set", type=Path, metavar="SET", help="folder with instances.json, or COCO file")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="picture to write, JPEG or PNG")
    parser.add_argument("--frames", type=int, default=24, metavar="N", help="how many at most (default: %(default)s)")
    parser.add_argument("--structure", metavar="NAME", help="only frames with an annotation of it")
    parser.add_argument("--view", metavar="NAME", help="only frames of this view")
    parser.add_argument("--seed", type=int, default=0, help="another number, other frames (default: %(default)s)")
    parser.add_argument("--plain", action="store_true", help="leave the annotations out")


def run(args: argparse.Namespace) -> int:
    """Draws the sheet."""
    if args.out.suffix.lower() not in _SUFFIXES:
        raise ValueError(f"--out must end in {', '.join(_SUFFIXES)}, got {args.out}")
    source = read_coco(args.set)
    frames = choose_frames(source, args.frames, structure=args.structure, view=args.view, seed=args.seed)
    sheet = contact_sheet(source, frames, overlays=not args.plain)
    data = cv2.imencode(args.out.suffix.lower(), cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR))[1].tobytes()
    try:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_bytes(data)
    except OSError as error:
        raise DataError(f"can't write {args.out}: {error.strerror}") from None
    print(f"wrote {args.out}: {len(frames)} of {len(source.images)} frames, {sheet.shape[1]}x{sheet.shape[0]} px")
    return 0
