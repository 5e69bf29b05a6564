"""Default boxes, and the code between a box and its offsets from one."""

from __future__ import annotations

import torch
from torch import Tensor
from torchvision.ops import box_iou

from fetalseg.model.variants import AnchorShape, Variant

__all__ = ["VARIANCES", "anchor_grid", "best_overlap", "decode", "encode", "to_corners"]

VARIANCES = (0.1, 0.2)  # of centre and size, Bolya et al. 2019 after SSD


def anchor_grid(variant: Variant) -> Tensor:
    """All default boxes of a variant.

    Order: level, row, column, shape, row within the place, column within the place; the predictions of the head come
    in the same order. Centres are ((i + 0.5) / columns of the level), as the public YOLACT has them, also where
    the level doesn't divide the input evenly.

    Returns:
        Float32 [A, 4] as centre x, centre y, width, height in pixels of the network input.
    """
    size = (variant.input.height, variant.input.width)
    levels = zip(variant.level_shapes, variant.anchors, strict=True)
    return torch.cat([_level_grid(size, level_shape, shapes) for level_shape, shapes in levels])


def _level_grid(size: tuple[int, int], level_shape: tuple[int, int], shapes: tuple[AnchorShape, ...]) -> Tensor:
    """Anchors [rows * columns * anchors a place, 4] of one level."""
    place = torch.tensor(
        [
            [(column + 0.5) / shape.columns, (row + 0.5) / shape.rows, shape.width, shape.height]
            for shape in shapes
            for row in range(shape.rows)
            for column in range(shape.columns)
        ]
    )
    (height, width), (rows, columns) = size, level_shape
    y, x = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
    grid = place.repeat(rows, columns, 1, 1)  # [rows, columns, anchors a place, 4]
    grid[..., 0] = (grid[..., 0] + x[..., None]) * width / columns
    grid[..., 1] = (grid[..., 1] + y[..., None]) * height / rows
    return grid.reshape(-1, 4)


def to_corners(boxes: Tensor) -> Tensor:
    """Turns boxes [..., 4] given as centre x, centre y, width, height into xyxy."""
    centre, half = boxes[..., :2], boxes[..., 2:] / 2
    return torch.cat([centre - half, centre + half], dim=-1)


def decode(deltas: Tensor, anchors: Tensor) -> Tensor:
    """Applies predicted offsets to anchors.

    Args:
        deltas: [..., A, 4] offsets (dx, dy, dw, dh).
        anchors: [A, 4] or [..., A, 4] as centre x, centre y, width, height.

    Returns:
        Boxes [..., A, 4] xyxy in the unit of the anchors.
    """
    centre = anchors[..., :2] + deltas[..., :2] * VARIANCES[0] * anchors[..., 2:]
    size = anchors[..., 2:] * torch.exp(deltas[..., 2:] * VARIANCES[1])
    return torch.cat([centre - size / 2, centre + size / 2], dim=-1)


def encode(boxes: Tensor, anchors: Tensor) -> Tensor:
    """The offsets that `decode` would turn into `boxes`.

    Args:
        boxes: [..., A, 4] xyxy with positive width and height, in the unit of the anchors.
        anchors: [A, 4] or [..., A, 4] as centre x, centre y, width, height.

    Returns:
        Offsets [..., A, 4].
    """
    size = boxes[..., 2:] - boxes[..., :2]
    centre = (boxes[..., :2] + boxes[..., 2:]) / 2
    shift = (centre - anchors[..., :2]) / anchors[..., 2:] / VARIANCES[0]
    return torch.cat([shift, torch.log(size / anchors[..., 2:]) / VARIANCES[1]], dim=-1)


def best_overlap(boxes: Tensor, anchors: Tensor) -> Tensor:
    """How well the nearest anchor fits each box: what a set of anchors can match at all.

    Args:
        boxes: [M, 4] xyxy in pixels of the network input.
        anchors: [A, 4] as centre x, centre y, width, height.

    Returns:
        [M] largest IoU with any anchor.
    """
    overlap: Tensor = box_iou(boxes, to_corners(anchors))
    return overlap.amax(dim=1)
