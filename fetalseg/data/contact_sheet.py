"""Many annotated frames on one picture: the quickest way to see what a set holds, and what is wrong with it."""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from fetalseg.data.records import CocoSet, ImageRecord
from fetalseg.errors import DataError
from fetalseg.instances import Instances
from fetalseg.render import draw
from fetalseg.taxonomy import describe

__all__ = ["choose_frames", "contact_sheet", "truth_instances"]

Image = npt.NDArray[np.uint8]

MAX_FRAMES = 500  # about 9,800 x 6,700 px; a JPEG holds 65,535 a side

_WIDTH = 400  # px, of a frame's place; its height follows the frames
_CAPTION = 22  # px
_GAP = 6  # px
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_INK = (225, 228, 232)
_PAPER = (24, 26, 30)
_KEY_WIDTH = 200  # px of one entry of the colour key


def choose_frames(
    source: CocoSet, count: int, *, structure: str | None = None, view: str | None = None, seed: int = 0
) -> list[ImageRecord]:
    """At most `count` images at random, in the order of the file.

    Args:
        source: the set.
        count: 1 to 500.
        structure: only images with an annotation of it.
        view: only images of it.
        seed: same seed, same images.

    Raises:
        ValueError: a count below 1 or above 500, or a structure that the set doesn't have.
        DataError: no image fits.
    """
    if not 1 <= count <= MAX_FRAMES:
        raise ValueError(f"the number of frames must be 1 to {MAX_FRAMES}, got {count}")
    if structure is not None and structure not in source.structures:
        raise ValueError(f"unknown structure {structure!r}; the set has {', '.join(source.structures)}")
    label = None if structure is None else source.structures.index(structure)
    fitting = [
        image
        for image in source.images
        if (view is None or image.view == view) and (label is None or any(a.label == label for a in image.annotations))
    ]
    if not fitting:
        wanted = " and ".join(text for text in (structure and f"with {structure}", view and f"of view {view}") if text)
        views = ", ".join(sorted({image.view or "none" for image in source.images}))
        raise DataError(f"{source.path}: no image {wanted}; there are {len(source.images)}, of the views: {views}")
    chosen = np.random.default_rng(seed).permutation(len(fitting))[:count]
    return [fitting[i] for i in sorted(chosen.tolist())]


def truth_instances(image: ImageRecord, structures: tuple[str, ...]) -> Instances:
    """The annotations of an image as if they had been found; a box alone has an empty mask.

    Raises:
        DataError: a mask without a pixel.
    """
    shape = (image.height, image.width)
    boxes = np.array([a.box(*shape) for a in image.annotations], np.float32).reshape(-1, 4)
    crop_boxes = np.concatenate([np.floor(boxes[:, :2]), np.ceil(boxes[:, 2:])], axis=1).astype(np.int64)
    crops = []
    for i, annotation in enumerate(image.annotations):
        mask = annotation.mask(*shape)
        if mask is not None:
            # By the mask, not by its box, which may be too small.
            ys, xs = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
            crop_boxes[i] = xs[0], ys[0], xs[-1] + 1, ys[-1] + 1
        x1, y1, x2, y2 = crop_boxes[i].tolist()
        crops.append(np.zeros((y2 - y1, x2 - x1), np.bool_) if mask is None else mask[y1:y2, x1:x2])
    return Instances(
        labels=np.array([a.label for a in image.annotations], np.int64),
        scores=np.ones(len(boxes), np.float32),
        boxes=boxes,
        crops=crops,
        crop_boxes=crop_boxes,
        frame_shape=shape,
        structures=structures,
    )


def contact_sheet(source: CocoSet, frames: Sequence[ImageRecord], *, overlays: bool = True) -> Image:
    """Frames side by side with their annotations, each with its id, file and view, above a key of the colours.

    Args:
        source: the set.
        frames: some of its images.
        overlays: draw the annotations.

    Returns:
        RGB uint8.

    Raises:
        DataError: an image that can't be read, a mask without a pixel.
    """
    columns = max(1, min(len(frames), round(math.sqrt(len(frames) * 1.2))))
    rows = math.ceil(len(frames) / columns)
    aspect = float(np.median([image.height / image.width for image in frames]))
    cell = (_WIDTH, round(_WIDTH * min(max(aspect, 0.5), 1.2)))
    labels = sorted({a.label for image in frames for a in image.annotations}) if overlays else []
    width = _GAP + columns * (cell[0] + _GAP)
    key = _color_key(source.structures, labels, width)
    step = cell[1] + _CAPTION + _GAP
    sheet = np.full((_GAP + rows * step + len(key), width, 3), _PAPER, np.uint8)
    sheet[_GAP + rows * step :] = key
    for place, image in enumerate(frames):
        row, column = divmod(place, columns)
        x, y = _GAP + column * (cell[0] + _GAP), _GAP + row * step
        picture = _fitted(_picture(source, image, overlays=overlays), cell)
        top, left = y + (cell[1] - len(picture)) // 2, x + (cell[0] - picture.shape[1]) // 2
        sheet[top : top + len(picture), left : left + picture.shape[1]] = picture
        caption = f"{image.id}  {image.path.name}" + (f"  {image.view}" if image.view else "")
        _write(sheet, _shortened(caption, cell[0]), (x, y + cell[1] + 15))
    return sheet


def _picture(source: CocoSet, image: ImageRecord, *, overlays: bool) -> Image:
    try:
        pixels = image.pixels()
        if not overlays:
            return pixels if pixels.ndim == 3 else np.repeat(pixels[:, :, None], 3, axis=2)
        return draw(pixels, truth_instances(image, source.structures), legend=False)
    except DataError as error:
        raise DataError(f"{source.path}: {error}") from None


def _fitted(picture: Image, cell: tuple[int, int]) -> Image:
    height, width = picture.shape[:2]
    ratio = min(cell[0] / width, cell[1] / height)
    size = (max(1, round(width * ratio)), max(1, round(height * ratio)))
    method = cv2.INTER_AREA if ratio < 1 else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(picture, size, interpolation=method), np.uint8)


def _color_key(structures: tuple[str, ...], labels: Sequence[int], width: int) -> Image:
    """One swatch and name for each label, in as many rows as the width asks for."""
    a_row = max(1, (width - 2 * _GAP) // _KEY_WIDTH)
    key = np.full((_CAPTION * math.ceil(len(labels) / a_row) + _GAP, width, 3), _PAPER, np.uint8)
    described = describe(structures)
    for place, label in enumerate(labels):
        row, column = divmod(place, a_row)
        x, y = _GAP + column * _KEY_WIDTH, row * _CAPTION
        key[y + 4 : y + 17, x : x + 13] = described[label].color
        _write(key, _shortened(described[label].title, _KEY_WIDTH - 24), (x + 19, y + 15))
    return key


def _write(canvas: Image, text: str, place: tuple[int, int]) -> None:
    cv2.putText(canvas, text, place, _FONT, 0.42, _INK, 1, cv2.LINE_AA)


def _shortened(text: str, width: int) -> str:
    """The text cut so that it fits into so many pixels."""
    while cv2.getTextSize(text, _FONT, 0.42, 1)[0][0] > width and len(text) > 4:
        text = text[:-4] + "..."
    return text
