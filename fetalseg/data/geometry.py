"""One affine map moves a frame, its boxes and its masks together.

Coordinates are pixel edges: pixel (i, j) covers [i, i+1) x [j, j+1), x before y.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from fetalseg.data.frames import AnnotatedFrame, Shape
from fetalseg.preprocess import FrameGeometry, InputRule

__all__ = ["Affine", "Sample", "around", "compose", "letterbox", "place_shapes", "warp"]

# 3 x 3 matrix on (x, y, 1)
Affine = npt.NDArray[np.float64]

_MIN_SIDE = 1.5  # px of the network's input; a smaller box can't be told from noise
_MIN_VISIBLE = 0.5  # share of a structure inside the frame for it to be learnt
# The same where only its box is known: of a band along the box's diagonal, cut to this share of its length, the box has
# this share of the height, too, while the ellipse that stands for it keeps all of it.
_MIN_VISIBLE_BOX = 0.8
_TRACE = 0.02  # share below which it counts as not in the frame at all


@dataclass(frozen=True, eq=False)
class Sample:
    """One training example at the network's size.

    Attributes:
        image: uint8 [h, w].
        boxes: float32 [M, 4] xyxy in network-input pixels.
        labels: int64 [M], places in the set's `structures`.
        masks: uint8 0 or 1 [M, Hp, Wp]; all 0 where `has_mask` is false.
        has_mask: bool [M].
        known: bool [C]; a structure cut by the frame's edge beyond recognition is not known.
    """

    image: npt.NDArray[np.uint8]
    boxes: npt.NDArray[np.float32]
    labels: npt.NDArray[np.int64]
    masks: npt.NDArray[np.uint8]
    has_mask: npt.NDArray[np.bool_]
    known: npt.NDArray[np.bool_]


def letterbox(frame_shape: tuple[int, int], rule: InputRule) -> Affine:
    """The map of `fetalseg.preprocess.prepare`: frame pixels to network-input pixels."""
    geometry = FrameGeometry.of(frame_shape, rule)
    (sy, sx), (top, left) = geometry.scale, geometry.pad
    return np.array([[sx, 0, left], [0, sy, top], [0, 0, 1]], np.float64)


def around(
    centre: tuple[float, float],
    *,
    degrees: float = 0.0,
    scale: tuple[float, float] = (1.0, 1.0),
    shift: tuple[float, float] = (0.0, 0.0),
) -> Affine:
    """Scales by (x, y), turns clockwise on the screen, then shifts by (x, y) px.

    Before the shift `centre` stays where it is. A negative scale is a flip.
    """
    angle = np.deg2rad(degrees)
    cos, sin = np.cos(angle), np.sin(angle)
    linear = np.array([[cos, -sin], [sin, cos]]) * np.asarray(scale)
    matrix = np.eye(3)
    matrix[:2, :2] = linear
    matrix[:2, 2] = np.asarray(centre) - linear @ np.asarray(centre) + np.asarray(shift)
    return matrix


def compose(*maps: Affine) -> Affine:
    """One map that does these in the order given."""
    result = np.eye(3)
    for matrix in maps:
        result = matrix @ result
    return result


def warp(
    image: npt.NDArray[np.uint8], matrix: Affine, shape: tuple[int, int], *, fill: int = 0
) -> npt.NDArray[np.uint8]:
    """The image [H, W] moved by `matrix` into a canvas of `shape` (h, w), bilinear."""
    # OpenCV's integer coordinates are pixel centres: half a pixel before and after.
    indices = compose(_translation(0.5, 0.5), matrix, _translation(-0.5, -0.5))
    size = (shape[1], shape[0])
    moved = cv2.warpAffine(image, indices[:2], size, flags=cv2.INTER_LINEAR, borderValue=fill)
    return np.asarray(moved, np.uint8)


def place_shapes(
    frame: AnnotatedFrame, matrix: Affine, image: npt.NDArray[np.uint8], prototype_shape: tuple[int, int]
) -> Sample:
    """The structures of a frame where `matrix` puts them in `image` [h, w].

    A structure that the edge cuts to less than half (a box alone: to less than four fifths), or that becomes too small,
    is left out and its kind counts as not known in this sample: it is neither a positive nor a negative.
    """
    known = frame.known.copy()
    boxes, labels, masks, has_mask = [], [], [], []
    for shape in frame.shapes:
        box, visible = _visible_part(shape, matrix, (image.shape[0], image.shape[1]))
        if (
            visible < (_MIN_VISIBLE_BOX if shape.crop is None else _MIN_VISIBLE)
            or min(box[2] - box[0], box[3] - box[1]) < _MIN_SIDE
        ):
            if visible > _TRACE:
                known[shape.label] = False
            continue
        boxes.append(box)
        labels.append(shape.label)
        masks.append(_place_mask(shape, matrix, (image.shape[0], image.shape[1]), prototype_shape))
        has_mask.append(shape.crop is not None)
    return Sample(
        image=image,
        boxes=np.asarray(boxes, np.float32).reshape(-1, 4),
        labels=np.asarray(labels, np.int64),
        masks=np.asarray(masks, np.uint8).reshape(-1, *prototype_shape),
        has_mask=np.asarray(has_mask, np.bool_),
        known=known,
    )


def _visible_part(shape: Shape, matrix: Affine, canvas: tuple[int, int]) -> tuple[npt.NDArray[np.float32], float]:
    """The box of what is visible of a structure, and its share."""
    box, visible = visible_box(shape.outline, matrix, canvas)
    if shape.crop is None or not 0 < visible < 1:
        return box, visible
    # The hull of a bent structure tells too much once an edge cuts it.
    mask = warp(shape.crop, compose(_translation(*shape.corner), matrix), canvas) > 127
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if len(rows) == 0:
        return np.zeros(4, np.float32), 0.0
    area = np.count_nonzero(shape.crop > 127) * abs(float(np.linalg.det(matrix[:2, :2])))
    box = np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1], np.float32)
    return box, min(1.0, np.count_nonzero(mask) / max(area, 1.0))


def visible_box(
    outline: npt.NDArray[np.float32], matrix: Affine, shape: tuple[int, int]
) -> tuple[npt.NDArray[np.float32], float]:
    """The xyxy box of a moved outline inside a canvas (h, w), and the share of the outline that is inside."""
    points = outline @ matrix[:2, :2].T + matrix[:2, 2]
    low, high = points.min(0), points.max(0)
    limit = np.array([shape[1], shape[0]])
    if (low >= 0).all() and (high <= limit).all():
        return np.concatenate([low, high]).astype(np.float32), 1.0
    if (high <= 0).any() or (low >= limit).any():
        return np.zeros(4, np.float32), 0.0
    canvas = np.array([[0, 0], [shape[1], 0], [shape[1], shape[0]], [0, shape[0]]], np.float32)
    polygon = points.astype(np.float32)
    area, inside = cv2.intersectConvexConvex(polygon, canvas)
    if inside is None or area <= 0:
        return np.zeros(4, np.float32), 0.0
    inside = inside.reshape(-1, 2)
    whole = float(cv2.contourArea(polygon))
    return np.concatenate([inside.min(0), inside.max(0)]).astype(np.float32), min(1.0, float(area) / whole)


def _place_mask(
    shape: Shape, matrix: Affine, input_shape: tuple[int, int], prototype_shape: tuple[int, int]
) -> npt.NDArray[np.uint8]:
    """The mask 0 or 1 [Hp, Wp]: a prototype pixel belongs to it if its centre does."""
    if shape.crop is None:
        return np.zeros(prototype_shape, np.uint8)
    shrink = np.diag([prototype_shape[1] / input_shape[1], prototype_shape[0] / input_shape[0], 1.0])
    whole = compose(_translation(*shape.corner), matrix, shrink)
    return np.asarray(warp(shape.crop, whole, prototype_shape) > 127, np.uint8)


def _translation(x: float, y: float) -> Affine:
    return np.array([[1, 0, x], [0, 1, y], [0, 0, 1]], np.float64)
