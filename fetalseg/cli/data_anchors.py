"""`fetalseg data anchors`: how well a network's anchors fit the boxes of data sets, and which shapes would."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from rich.table import Table

from fetalseg.cli.tables import plain_table, table_console
from fetalseg.data.anchor_fitting import MATCHED_IOU, arrange, fit_shapes, shape_iou
from fetalseg.data.box_sizes import InputBoxes, input_boxes
from fetalseg.data.coco import read_coco
from fetalseg.errors import DataError, MissingExtraError

if TYPE_CHECKING:
    from fetalseg.model.variants import Variant

__all__ = ["add_arguments", "run"]

_BLOCK = 128  # boxes compared with all anchors at once, to bound memory


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the options."""
    parser.add_argument("sets", nargs="+", type=Path, metavar="SET", help="folder with instances.json, or COCO file")
    parser.add_argument("--variant", default="fetalseg-s", metavar="NAME", help="which network (default: %(default)s)")
    parser.add_argument(
        "--count", type=int, default=9, metavar="N", help="how many shapes to fit (default: %(default)s)"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the fit (default: %(default)s)")


def run(args: argparse.Namespace) -> int:
    """Prints what the network's anchors cover, and the fitted shapes."""
    try:
        from fetalseg.model.variants import variant
    except ModuleNotFoundError as error:
        raise MissingExtraError(error.name or "torch", "train") from None
    chosen = variant(args.variant)
    found = input_boxes([read_coco(path) for path in args.sets], chosen.input)
    if not len(found.boxes):
        raise DataError(f"{', '.join(map(str, args.sets))}: no box to fit anchors to")
    fit = fit_shapes(found.sizes, args.count, seed=args.seed)
    present = _overlaps(found, chosen)
    fitted = shape_iou(found.sizes, fit.shapes).max(axis=1)
    console = table_console()
    console.print(_coverage(found, present, fitted, args.variant, args.count))
    console.print(
        f"An anchor of {args.variant} stands where its pyramid puts it; a fitted shape is taken at the box's own "
        "centre, which is the best it can do."
    )
    strides = [2 ** (3 + level) for level in range(len(chosen.anchors))]
    table = plain_table("level", "stride", "width", "height", "columns", "rows", title="fitted, px of the input")
    for shape in arrange(fit.shapes, strides):
        level = f"P{3 + shape.level}"
        sizes = (f"{shape.width:.1f}", f"{shape.height:.1f}")
        table.add_row(level, str(strides[shape.level]), *sizes, str(shape.columns), str(shape.rows))
    console.print(table)
    return 0


def _overlaps(found: InputBoxes, chosen: Variant) -> npt.NDArray[np.float64]:
    """Largest IoU of each box with any anchor of a network, [N]."""
    from fetalseg.model.anchors import anchor_grid, best_overlap

    grid = anchor_grid(chosen)
    blocks = [grid.new_tensor(found.boxes[i : i + _BLOCK]) for i in range(0, len(found.boxes), _BLOCK)]
    return np.concatenate([best_overlap(block, grid).numpy() for block in blocks]).astype(np.float64)


def _coverage(
    found: InputBoxes, present: npt.NDArray[np.float64], fitted: npt.NDArray[np.float64], name: str, count: int
) -> Table:
    iou = f"IoU >= {MATCHED_IOU}"
    headings = ("boxes", f"{name}: {iou}", "mean IoU", f"{count} fitted: {iou}", "mean IoU")
    table = plain_table("structure", *headings)
    for structure in [*dict.fromkeys(sorted(found.names.tolist())), None]:
        rows = np.ones(len(found.names), np.bool_) if structure is None else found.names == structure
        cells = [f(values[rows]) for values in (present, fitted) for f in (_matched, _mean)]
        table.add_row(structure or "all", f"{int(rows.sum()):,}", *cells)
    return table


def _matched(overlap: npt.NDArray[np.float64]) -> str:
    return f"{float((overlap >= MATCHED_IOU).mean()):.3f}"


def _mean(overlap: npt.NDArray[np.float64]) -> str:
    return f"{float(overlap.mean()):.3f}"
