"""Anchor shapes fitted to the boxes of a data set.

k-means over widths and heights with the distance 1 - IoU of two boxes that share a centre (Redmon and Farhadi,
YOLO9000, CVPR 2017, section 2): Euclidean distance would spend all shapes on the large boxes.

Shapes alone don't match boxes: they stand on the grid of a pyramid level. `arrange` chooses the level and, for a shape
that is flat or narrow against the finest stride, how many stand in one place.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

__all__ = ["PlacedShape", "ShapeFit", "arrange", "fit_shapes", "shape_iou"]

MATCHED_IOU = 0.5  # an anchor with this overlap learns the structure, Bolya et al. 2019

_STARTS = 8  # k-means ends in the nearest local optimum: the best of so many is kept
_ROUNDS = 100  # bound on a loop that could go round in circles
_MAX_PER_PLACE = 16  # a box of two pixels would ask for any number


@dataclass(frozen=True, eq=False)
class ShapeFit:
    """Shapes and how well they fit the boxes, as if every box found a shape at its own centre.

    Attributes:
        shapes: float64 [count, 2], width and height in the unit of the boxes, smallest area first.
        matched: share 0..1 of the boxes that have IoU >= 0.5 with their best shape.
        mean_iou: mean over the boxes of the IoU with their best shape.
    """

    shapes: npt.NDArray[np.float64]
    matched: float
    mean_iou: float


class PlacedShape(NamedTuple):
    """An anchor shape on a level of the pyramid.

    Attributes:
        level: index, 0 for the finest.
        width: px of the network input.
        height: px of the network input.
        columns: how many stand side by side within one place.
        rows: how many stand above each other within one place.
    """

    level: int
    width: float
    height: float
    columns: int
    rows: int


def shape_iou(sizes: npt.NDArray[np.floating], shapes: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """IoU [N, M] of boxes of `sizes` [N, 2] with boxes of `shapes` [M, 2] around the same centre."""
    a, b = np.asarray(sizes, np.float64), np.asarray(shapes, np.float64)
    inner = np.minimum(a[:, None], b[None]).prod(axis=2)
    union = a.prod(axis=1)[:, None] + b.prod(axis=1)[None] - inner
    return np.asarray(inner / union, np.float64)


def fit_shapes(sizes: npt.NDArray[np.floating], count: int, *, seed: int = 0) -> ShapeFit:
    """The `count` shapes that fit a set of boxes best, by k-means on 1 - IoU.

    A cluster's centre is the median width and height: near its optimum IoU falls like exp(-|log of the ratio|) along
    either axis, so distances add up to least near the median (on the boxes of real frames, nine shapes: mean IoU
    0.794 against 0.792 with means).

    Args:
        sizes: [N, 2] width and height of each box, above 0; in px of the network input if the result is to be used as
            anchors.
        count: how many shapes.
        seed: of the start, k-means++ (Arthur and Vassilvitskii, SODA 2007); the same seed gives the same shapes.

    Raises:
        ValueError: sizes that are not [N, 2], not finite or not above 0; a count below 1 or above the number of
            different boxes.
    """
    boxes = np.asarray(sizes, np.float64)
    if boxes.ndim != 2 or boxes.shape[1] != 2:
        raise ValueError(f"expected sizes [N, 2] of width and height, got {list(boxes.shape)}")
    if not (np.isfinite(boxes).all() and (boxes > 0).all()):
        raise ValueError("expected finite widths and heights above 0")
    different = len(np.unique(boxes, axis=0))
    if not 1 <= count <= different:
        raise ValueError(f"expected 1 to {different} shapes for {different} different boxes, got {count}")
    rng = np.random.default_rng(seed)
    candidates = [_improve(boxes, _draw_start(boxes, count, rng)) for _ in range(_STARTS)]
    shapes = max(candidates, key=lambda found: _mean_best(boxes, found))
    shapes = shapes[np.argsort(shapes.prod(axis=1), kind="stable")]
    best = shape_iou(boxes, shapes).max(axis=1)
    return ShapeFit(shapes, matched=float((best >= MATCHED_IOU).mean()), mean_iou=float(best.mean()))


def arrange(
    shapes: npt.NDArray[np.floating], strides: Sequence[int], *, worst_iou: float = 0.4
) -> tuple[PlacedShape, ...]:
    """Puts shapes on the levels of a pyramid, in the order given.

    A box that lies between two places overlaps neither anchor fully. The level is the coarsest on which the worst such
    shift still leaves a box of the very shape an IoU >= `worst_iou`. By area, as square anchors are spread, one of
    171x22 px would go to places 32 px apart and disappear between them. Where even the finest level is too coarse,
    several anchors stand in each place.

    Args:
        shapes: [M, 2] width and height, px of the network input.
        strides: px of each level, finest first.
        worst_iou: 0 < worst_iou < 1; by default the overlap below which an anchor would learn background.
    """
    placed = []
    for width, height in np.asarray(shapes, np.float64).tolist():
        fine = [i for i, stride in enumerate(strides) if _worst_iou(width, height, stride, stride) >= worst_iou]
        level = max(fine, default=0)
        columns, rows = _copies(width, height, strides[level], worst_iou)
        placed.append(PlacedShape(level, width, height, columns, rows))
    return tuple(placed)


def _worst_iou(width: float, height: float, step_x: float, step_y: float) -> float:
    """IoU of a box with the nearest of the boxes of its size whose centres are `step_x` and `step_y` apart."""
    inner = max(0.0, 1 - step_x / 2 / width) * max(0.0, 1 - step_y / 2 / height)
    return inner / (2 - inner)


def _copies(width: float, height: float, stride: int, worst_iou: float) -> tuple[int, int]:
    """Columns and rows within a place, one more along the axis that loses most until the worst shift leaves enough."""
    columns = rows = 1
    while columns * rows < _MAX_PER_PLACE and _worst_iou(width, height, stride / columns, stride / rows) < worst_iou:
        if columns * width < rows * height:
            columns += 1
        else:
            rows += 1
    return columns, rows


def _draw_start(sizes: npt.NDArray[np.float64], count: int, rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """k-means++: each further shape is a box drawn with a probability that grows with the squared distance."""
    chosen = [int(rng.integers(len(sizes)))]
    distance = 1 - shape_iou(sizes, sizes[chosen])[:, 0]
    for _ in range(count - 1):
        weight = distance**2
        chosen.append(int(rng.choice(len(sizes), p=weight / weight.sum())))
        distance = np.minimum(distance, 1 - shape_iou(sizes, sizes[chosen[-1:]])[:, 0])
    return sizes[chosen].copy()


def _improve(sizes: npt.NDArray[np.float64], shapes: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Lloyd's rounds until no box changes its shape; of all rounds the best, since medians may also make it worse."""
    best, best_value = shapes, _mean_best(sizes, shapes)
    owner = np.full(len(sizes), -1)
    for _ in range(_ROUNDS):
        overlap = shape_iou(sizes, shapes)
        previous, owner = owner, overlap.argmax(axis=1)
        if (owner == previous).all():
            break
        shapes = shapes.copy()
        for index in range(len(shapes)):
            own = sizes[owner == index]
            # A shape that no box chose starts again at the box that is served worst.
            shapes[index] = np.median(own, axis=0) if len(own) else sizes[overlap.max(axis=1).argmin()]
        value = _mean_best(sizes, shapes)
        if value > best_value:
            best, best_value = shapes, value
    return best


def _mean_best(sizes: npt.NDArray[np.float64], shapes: npt.NDArray[np.float64]) -> float:
    return float(shape_iou(sizes, shapes).max(axis=1).mean())
