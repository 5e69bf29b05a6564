"""Where the structures lie: flips, rotation, scale, shift and crop as one random affine map."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

from fetalseg.data.augment_options import AugmentOptions
from fetalseg.data.frames import AnnotatedFrame
from fetalseg.data.geometry import Affine, around, compose, letterbox
from fetalseg.preprocess import FrameGeometry, InputRule

__all__ = ["draw_geometry", "factor_around_one", "rotation_limit"]

_LEAST_CROP = 1.2
_STEP = 0.05  # degrees


def draw_geometry(frame: AnnotatedFrame, rule: InputRule, options: AugmentOptions, rng: np.random.Generator) -> Affine:
    """A random map from the frame's pixels to the network's.

    The number of draws doesn't depend on the options, so that switching one off leaves the others as they are.
    """
    turn = rng.uniform(-1, 1) * rotation_limit(frame, options)
    zoom = math.exp(rng.uniform(math.log(options.zoom[0]), math.log(options.zoom[1])))
    stretch = math.sqrt(factor_around_one(rng, options.stretch))
    horizontal = -1.0 if rng.random() < options.flip_horizontal else 1.0
    vertical = -1.0 if rng.random() < options.flip_vertical else 1.0
    place = rng.uniform(-1, 1, 2)
    shift = (place[0] * options.shift * rule.width, place[1] * options.shift * rule.height)
    crops, magnification, window = rng.random(), rng.random(), rng.uniform(-1, 1, 2)
    shape = (frame.image.shape[0], frame.image.shape[1])
    if crops < options.crop_share:
        zoom = _LEAST_CROP * (max(options.crop_zoom, _LEAST_CROP) / _LEAST_CROP) ** magnification
        height, width = FrameGeometry.of(shape, rule).content
        # The window stays inside the frame, wherever the frame is larger than the window.
        shift = (
            window[0] * max(0.0, zoom * width - rule.width) / 2,
            window[1] * max(0.0, zoom * height - rule.height) / 2,
        )
    move = around(
        (rule.width / 2, rule.height / 2),
        degrees=turn,
        scale=(horizontal * zoom * stretch, vertical * zoom / stretch),
        shift=shift,
    )
    return compose(letterbox(shape, rule), move)


def rotation_limit(frame: AnnotatedFrame, options: AugmentOptions) -> float:
    """Degrees by which a frame may turn, either way.

    What fills a box without mask is not known. It may be a band along either diagonal, which becomes flatter by a turn
    one way and higher by a turn the other way, while the ellipse that stands for the structure hardly changes. So a
    frame turns only while both diagonals' boxes have at least the IoU `box_iou` with the ellipse's: at 0.8 by 1.4
    degrees for a nuchal translucency of 263 x 34 px, 3.2 for a nasal bone of 37 x 12 px, 5.4 for a palate of 99 x 63
    px. Flip, scale and shift keep a box tight, whatever is in it.
    """
    limit = options.degrees
    for shape in frame.shapes:
        if shape.crop is None:
            short, long = sorted(np.ptp(shape.outline, axis=0).tolist())
            limit = min(limit, _certain_turn(round(long / max(short, 1e-6), 1), options.box_iou))
    return limit


@lru_cache(maxsize=4096)
def _certain_turn(aspect: float, box_iou: float) -> float:
    """The largest turn in degrees at which the box of what fills a box of `aspect` >= 1 is known to an IoU."""
    # Step by step: far beyond the first loss, a narrow box that stands upright is certain again.
    degrees = 0.0
    while degrees < 90 and _diagonal_iou(aspect, math.radians(degrees + _STEP)) >= box_iou:
        degrees += _STEP
    return degrees


def _diagonal_iou(length: float, angle: float) -> float:
    """The lower IoU of the boxes of the two diagonals of a box `length` x 1 with that of its ellipse, after a turn."""
    cos, sin = math.cos(angle), math.sin(angle)
    width, height = math.hypot(length * cos, sin), math.hypot(length * sin, cos)
    ious = []
    for sign in (-1, 1):
        other = abs(length * cos + sign * sin), abs(cos - sign * length * sin)
        inner = min(width, other[0]) * min(height, other[1])
        ious.append(inner / (width * height + other[0] * other[1] - inner))
    return min(ious)


def factor_around_one(rng: np.random.Generator, spread: float) -> float:
    """A factor between 1 / (1 + spread) and 1 + spread, as often below one as above."""
    return math.exp(rng.uniform(-1, 1) * math.log1p(spread))
