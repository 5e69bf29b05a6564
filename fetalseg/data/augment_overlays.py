"""What a console writes over a frame: calipers, text, a scale, a picture of the whole, empty boxes.

Such things must not decide what a structure is: on real frames calipers stand where an annotator measured, so they are
drawn here everywhere else, too. What hides a structure stays small against it, since its label stays.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from fetalseg.data.augment_options import AugmentOptions

__all__ = ["MAX_HIDDEN", "draw_overlays", "save_as_jpeg"]

Image = npt.NDArray[np.uint8]
Boxes = npt.NDArray[np.float32]

MAX_HIDDEN = 0.25  # share of a structure's box that may be hidden
_TRIES = 4
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_WORDS = ("NT", "CRL", "BPD", "HC", "FL", "AC", "NB", "GA", "1", "2", "D", "Dist", "Gn", "DR", "MI", "TIs", "Fr", "2D")


def draw_overlays(image: Image, boxes: Boxes, options: AugmentOptions, rng: np.random.Generator) -> Image:
    """Draws some of all these into a copy.

    Args:
        image: [h, w]; left as it is.
        boxes: [M, 4] xyxy of its structures.
        options: how often.
        rng: all chance comes from it.
    """
    erased, small, measured, written = rng.spawn(4)
    whole, image = image, image.copy()
    if erased.random() < options.erase_share:
        _erase(image, boxes, erased)
    if small.random() < options.overview_share:
        _draw_overview(image, whole, boxes, small)
    if measured.random() < options.calipers_share:
        _draw_calipers(image, boxes, measured)
    if written.random() < options.text_share:
        _draw_text(image, written)
    return image


def save_as_jpeg(image: Image, options: AugmentOptions, rng: np.random.Generator) -> Image:
    """The image after a visit to a JPEG file, with the probability of the options."""
    if rng.random() >= options.jpeg_share:
        return image
    done, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(25, 81))])
    assert done, "OpenCV refused to write a JPEG"
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_GRAYSCALE), np.uint8)


def _is_clear(x1: int, y1: int, x2: int, y2: int, boxes: Boxes) -> bool:
    """Whether a rectangle hides little of each box."""
    if len(boxes) == 0:
        return True
    width = np.minimum(boxes[:, 2], x2) - np.maximum(boxes[:, 0], x1)
    height = np.minimum(boxes[:, 3], y2) - np.maximum(boxes[:, 1], y1)
    hidden = np.maximum(width, 0) * np.maximum(height, 0)
    sizes = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    return bool((hidden <= MAX_HIDDEN * sizes).all())


def _erase(image: Image, boxes: Boxes, rng: np.random.Generator) -> None:
    """A black or dark box, most often at an edge, as of a caption that was blanked."""
    height, width = image.shape
    for _ in range(_TRIES):
        box_width = int(width * rng.uniform(0.1, 0.5))
        box_height = int(height * rng.uniform(0.05, 0.25))
        x, y = int(rng.uniform(0, width - box_width)), int(rng.uniform(0, height - box_height))
        edge = rng.integers(5)
        if edge < 2:
            y = (0, height - box_height)[edge]
        elif edge < 4:
            x = (0, width - box_width)[edge - 2]
        level = 0 if rng.random() < 0.7 else int(rng.integers(5, 60))
        if _is_clear(x, y, x + box_width, y + box_height, boxes):
            image[y : y + box_height, x : x + box_width] = level
            return


def _draw_overview(image: Image, whole: Image, boxes: Boxes, rng: np.random.Generator) -> None:
    """The whole frame once more in a corner: structures in it are not to be found."""
    height, width = image.shape
    for _ in range(_TRIES):
        ratio = rng.uniform(0.12, 0.25)
        small = cv2.resize(whole, None, fx=ratio, fy=ratio, interpolation=cv2.INTER_AREA)
        rows, columns = small.shape
        x, y = int(rng.integers(2)) * (width - columns), int(rng.integers(2)) * (height - rows)
        if _is_clear(x, y, x + columns, y + rows, boxes):
            image[y : y + rows, x : x + columns] = small
            cv2.rectangle(image, (x, y), (x + columns - 1, y + rows - 1), int(rng.integers(60, 200)), 1)
            return


def _draw_calipers(image: Image, boxes: Boxes, rng: np.random.Generator) -> None:
    """One or two pairs of measuring crosses, across a structure or anywhere, some with a dotted line, and a reading."""
    height, width = image.shape
    for _ in range(rng.integers(1, 3)):
        level, size = int(rng.integers(150, 256)), int(rng.integers(5, 12))
        if len(boxes) and rng.random() < 0.5:
            x1, y1, x2, y2 = boxes[rng.integers(len(boxes))]
            start, end = np.array([rng.uniform(x1, x2), y1]), np.array([rng.uniform(x1, x2), y2])
            if rng.random() < 0.5:
                start, end = np.array([x1, rng.uniform(y1, y2)]), np.array([x2, rng.uniform(y1, y2)])
        else:
            start = rng.uniform((0.1 * width, 0.1 * height), (0.9 * width, 0.9 * height))
            angle = rng.uniform(0, 2 * np.pi)
            end = start + rng.uniform(5, 80) * np.array([np.cos(angle), np.sin(angle)])
        marker = cv2.MARKER_CROSS if rng.random() < 0.7 else cv2.MARKER_TILTED_CROSS
        for point in (start, end):
            cv2.drawMarker(image, (int(point[0]), int(point[1])), level, marker, size, 1)
        if rng.random() < 0.6:
            length = max(1.0, float(np.hypot(*(end - start))))
            dots = start + np.outer(np.arange(4, length, 4) / length, end - start)
            dots = dots[((dots >= 0) & (dots < (width, height))).all(1)].astype(int)
            image[dots[:, 1], dots[:, 0]] = level
    _write(image, f"{rng.choice(_WORDS)} {rng.uniform(0.1, 7):.2f} {rng.choice(('mm', 'cm'))}", rng)


def _draw_text(image: Image, rng: np.random.Generator) -> None:
    """Words and settings, the marks of a depth scale, or a line across."""
    height, width = image.shape
    for _ in range(rng.integers(1, 4)):
        _write(image, f"{rng.choice(_WORDS)} {rng.integers(1, 200)}", rng)
    if rng.random() < 0.4:
        x, step = int(rng.choice((3, width - 6))), int(rng.integers(12, 50))
        level, long = int(rng.integers(120, 256)), int(rng.integers(1, 5))
        for y in range(int(rng.integers(step)), height, step):
            cv2.line(image, (x, y), (min(x + long, width - 1), y), level, 1)
    if rng.random() < 0.2:
        x = int(rng.uniform(0.1, 0.9) * width)
        image[:: int(rng.integers(2, 8)), x] = int(rng.integers(80, 220))


def _write(image: Image, text: str, rng: np.random.Generator) -> None:
    height, width = image.shape
    corner = (int(rng.uniform(0, 0.85) * width), int(rng.uniform(0.04, 0.99) * height))
    scale, level = rng.uniform(0.28, 0.45), int(rng.integers(110, 256))
    cv2.putText(image, text, corner, _FONT, scale, level, 1, cv2.LINE_AA)
