"""How far synthetic frames look like real ones: the same figures of both, side by side, and a page of pictures.

    python -m benchmarks.realism --real shared/data/hc18 --real shared/data/nt --max-hc 99 --mm-per-px 0.07 \
        --synthetic phantom-frames --page frames.jpg

Any COCO set will do: masks of the cranium give grey levels of brain and skull, boxes of the small structures their
contrast, `pixel_size_mm` or `spacing_mm` the grain of the speckle in mm. The page holds frames of the sets that it was
made from, so it falls under their licences.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.frame_statistics import STATISTICS, Gray, MeasuredFrame, measure_frames
from benchmarks.machine import this_machine
from benchmarks.record import commit_of, write_record
from fetalseg.data.coco import read_coco
from fetalseg.data.records import CocoSet, ImageRecord
from fetalseg.errors import FetalsegError

_PAGE_ROWS, _PAGE_COLUMNS = 6, 3  # of each kind
_TILE = (320, 216)  # width, height, px
_PAGE_SUFFIXES = (".jpg", ".jpeg", ".png")


@dataclass(frozen=True)
class FrameSet:
    """The frames of one or more COCO sets.

    Attributes:
        images: with the size of their pixels in mm, None where it is unknown.
        structures: names in label order.
    """

    images: tuple[tuple[ImageRecord, float | None], ...]
    structures: tuple[str, ...]

    def frames(self) -> Iterator[MeasuredFrame]:
        """Reads the frames one after the other."""
        for image, mm_per_px in self.images:
            boxes, cranium = {}, None
            for annotation in image.annotations:
                name = self.structures[annotation.label]
                boxes[name] = annotation.box(image.height, image.width)
                if name == "cranium" and not annotation.crowd:
                    cranium = annotation.mask(image.height, image.width)
            yield MeasuredFrame(_gray(image), mm_per_px, cranium, boxes)


def read_set(folders: Sequence[Path], *, max_hc: float | None, mm_per_px: float | None, limit: int | None) -> FrameSet:
    """Reads one kind of frames.

    Args:
        folders: COCO sets with equal structures.
        max_hc: leave out heads with more `head_circumference_mm` than this.
        mm_per_px: size of a pixel where the file doesn't say.
        limit: at most so many frames of each folder, evenly spread.

    Raises:
        DataError: an unreadable set.
        ValueError: sets of different structures, or no frame left.
    """
    chosen: list[tuple[ImageRecord, float | None]] = []
    structures: tuple[str, ...] | None = None
    for folder in folders:
        found = read_coco(folder)
        if structures is not None and found.structures != structures:
            raise ValueError(f"{folder} has other structures than {folders[0]}")
        structures = found.structures
        extras = _extras(found)
        kept = [
            (image, _spacing(extras[image.id], mm_per_px))
            for image in found.images
            if max_hc is None or float(extras[image.id].get("head_circumference_mm", 0.0)) <= max_hc
        ]
        if limit is not None and len(kept) > limit:
            kept = [kept[round(place)] for place in np.linspace(0, len(kept) - 1, limit)]
        chosen += kept
    if not chosen or structures is None:
        raise ValueError(f"no frame of {', '.join(map(str, folders))} is left to measure")
    return FrameSet(tuple(chosen), structures)


def table(real: dict[str, npt.NDArray[np.float64]], synthetic: dict[str, npt.NDArray[np.float64]]) -> str:
    """A markdown table: median, 10th to 90th percentile and number of values of each figure."""
    lines = [
        "| figure: median (10-90 %), number of values | real | synthetic |",
        "|---|---|---|",
    ]
    for name, words in STATISTICS.items():
        lines.append(f"| {words} | {_summary(real[name])} | {_summary(synthetic[name])} |")
    return "\n".join(lines)


def page(real: FrameSet, synthetic: FrameSet, seed: int = 0) -> Gray:
    """A contact sheet, uint8 gray [H, W]: real frames on the left, synthetic ones on the right."""
    columns = [_column(frames, title, seed) for frames, title in ((real, "real"), (synthetic, "synthetic"))]
    gap = np.full((columns[0].shape[0], 12), 255, np.uint8)
    return np.hstack([columns[0], gap, columns[1]])


def _column(frames: FrameSet, title: str, seed: int) -> Gray:
    count = _PAGE_ROWS * _PAGE_COLUMNS
    order = np.random.default_rng(seed).permutation(len(frames.images))[:count]
    tiles = [_tile(_gray(frames.images[i][0])) for i in order]
    tiles += [np.zeros(_TILE[::-1], np.uint8)] * (count - len(tiles))
    rows = [np.hstack(tiles[i : i + _PAGE_COLUMNS]) for i in range(0, count, _PAGE_COLUMNS)]
    head = np.full((30, rows[0].shape[1]), 255, np.uint8)
    cv2.putText(head, title, (8, 21), cv2.FONT_HERSHEY_SIMPLEX, 0.6, 0.0, 1, cv2.LINE_AA)
    return np.vstack([head, *rows])


def _tile(pixels: Gray) -> Gray:
    """The picture fitted into a tile, the rest black."""
    width, height = _TILE
    scale = min(width / pixels.shape[1], height / pixels.shape[0])
    size = max(1, round(pixels.shape[1] * scale)), max(1, round(pixels.shape[0] * scale))
    small = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    tile = np.zeros((height, width), np.uint8)
    y, x = (height - size[1]) // 2, (width - size[0]) // 2
    tile[y : y + size[1], x : x + size[0]] = small
    return tile


def _gray(image: ImageRecord) -> Gray:
    pixels = image.pixels()
    return pixels if pixels.ndim == 2 else np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), np.uint8)


def _extras(found: CocoSet) -> dict[int, dict[str, Any]]:
    """The records of the images as written, by id: sizes in mm are no part of plain COCO."""
    content = json.loads(found.path.read_text(encoding="utf-8"))
    return {record["id"]: record for record in content["images"]}


def _spacing(record: dict[str, Any], otherwise: float | None) -> float | None:
    if "pixel_size_mm" in record:
        return float(record["pixel_size_mm"])
    if "spacing_mm" in record:
        return float(record["spacing_mm"][0])
    return otherwise


def _percentiles(values: npt.NDArray[np.float64]) -> dict[str, float] | None:
    """Of a figure's values; None where there are none."""
    if not len(values):
        return None
    low, median, high = (float(value) for value in np.percentile(values, [10, 50, 90]))
    return {"p10": low, "p50": median, "p90": high, "values": len(values)}


def _summary(values: npt.NDArray[np.float64]) -> str:
    if (found := _percentiles(values)) is None:
        return "-"
    digits = 2 if found["p50"] < 10 else 0
    low, median, high = (f"{found[name]:.{digits}f}" for name in ("p10", "p50", "p90"))
    return f"{median} ({low}-{high}), {len(values)}"


def parse(argv: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.realism", description=__doc__.splitlines()[0])
    parser.add_argument("--real", type=Path, action="append", required=True, metavar="DIR", help="may be repeated")
    parser.add_argument("--synthetic", type=Path, action="append", required=True, metavar="DIR", help="may be repeated")
    parser.add_argument("--max-hc", type=float, metavar="MM", help="leave out heads of a larger circumference")
    parser.add_argument("--mm-per-px", type=float, metavar="MM", help="size of a pixel where a set doesn't say")
    parser.add_argument("--limit", type=int, metavar="N", help="at most so many frames of each set, evenly spread")
    parser.add_argument(
        "--page", type=Path, metavar="FILE", help="write real and synthetic frames side by side (jpg, png)"
    )
    parser.add_argument("--json", type=Path, help="write the figures to this file as well")
    args = parser.parse_args(argv)
    if args.page is not None and args.page.suffix.lower() not in _PAGE_SUFFIXES:
        parser.error(f"--page must end in one of {', '.join(_PAGE_SUFFIXES)}, got {args.page}")
    if args.limit is not None and args.limit < 1:
        parser.error(f"--limit must be at least 1, got {args.limit}")
    return args


def main(argv: list[str] | None = None) -> int:
    """Prints the table; 0 done, 1 a set that can't be read or a page that can't be written."""
    args = parse(argv)
    options = {"max_hc": args.max_hc, "mm_per_px": args.mm_per_px, "limit": args.limit}
    try:
        real, synthetic = (read_set(folders, **options) for folders in (args.real, args.synthetic))
        found = measure_frames(real.frames()), measure_frames(synthetic.frames())
        print(table(*found))
        if args.json is not None:
            kinds = zip(("real", "synthetic"), found, strict=True)
            content = {kind: {name: _percentiles(values) for name, values in each.items()} for kind, each in kinds}
            write_record(args.json, tool="realism", machine=this_machine(), commit=commit_of(), content=content)
        if args.page is not None:
            args.page.write_bytes(cv2.imencode(args.page.suffix, page(real, synthetic))[1].tobytes())
            print(f"\n{args.page}: real frames on the left, synthetic ones on the right", file=sys.stderr)
    except (FetalsegError, ValueError, OSError) as error:
        print(f"realism: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
