"""Several frames on one split screen.

Consoles offer it, data sets don't hold it: off by default. It doubles or quadruples the structures of a frame and
halves their size, which is the wrong way for bands a few pixels high. Frames are only joined where the same structures
are annotated: on a screen of two frames with different lists a structure would be a negative on one half and unknown on
the other, and one list for the whole can't say so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np

from fetalseg.data.augment_options import AugmentOptions
from fetalseg.data.frames import AnnotatedFrame, Shape
from fetalseg.data.geometry import compose, warp

__all__ = ["draw_mosaic", "split_screen"]

_LOOKS = 30  # at other frames of a set before it is taken to hold none with the same list


def draw_mosaic(
    frame: AnnotatedFrame, others: Sequence[AnnotatedFrame], options: AugmentOptions, rng: np.random.Generator
) -> AnnotatedFrame:
    """The frame, or with the probability `mosaic_share` a split screen of two or four frames of its set.

    Args:
        frame: comes first.
        others: frames of the same set; only those with the same annotated structures are joined.
        options: how often.
        rng: all chance comes from it.

    Returns:
        The frame itself where no screen is to be drawn, or too few frames fit.
    """
    if rng.random() >= options.mosaic_share:
        return frame
    wanted = 3 if rng.random() < 0.5 else 1
    chosen: list[AnnotatedFrame] = []
    for place in rng.integers(len(others), size=_LOOKS):
        if np.array_equal(others[place].known, frame.known) and len(chosen) < wanted:
            chosen.append(others[place])
    return frame if len(chosen) < wanted else split_screen([frame, *chosen])


def split_screen(frames: Sequence[AnnotatedFrame]) -> AnnotatedFrame:
    """Two frames side by side, or four in two rows, each as large as fits into its part of a screen like the first.

    Raises:
        ValueError: another number of frames, or frames in which different structures are annotated.
    """
    if len(frames) not in (2, 4):
        raise ValueError(f"a split screen takes 2 or 4 frames, got {len(frames)}")
    first = frames[0]
    if any(not np.array_equal(frame.known, first.known) for frame in frames):
        raise ValueError("frames with different annotated structures can't share a screen")
    rows, columns = len(frames) // 2, 2
    height, width = first.image.shape[0] // rows, first.image.shape[1] // columns
    screen = np.zeros_like(first.image)
    shapes: list[Shape] = []
    for place, frame in enumerate(frames):
        top, left = (place // columns) * height, (place % columns) * width
        ratio = min(height / frame.image.shape[0], width / frame.image.shape[1])
        size = (max(1, round(frame.image.shape[1] * ratio)), max(1, round(frame.image.shape[0] * ratio)))
        screen[top : top + size[1], left : left + size[0]] = cv2.resize(frame.image, size, interpolation=cv2.INTER_AREA)
        scale = (size[0] / frame.image.shape[1], size[1] / frame.image.shape[0])
        shapes += [_move(shape, scale, (left, top)) for shape in frame.shapes]
    return replace(first, image=screen, shapes=tuple(shapes))


def _move(shape: Shape, scale: tuple[float, float], shift: tuple[int, int]) -> Shape:
    """A structure scaled, then shifted by whole pixels."""
    outline = (shape.outline * scale + shift).astype(np.float32)
    if shape.crop is None:
        return replace(shape, outline=outline)
    low = np.floor(outline.min(0)).astype(int)
    high = np.maximum(np.ceil(outline.max(0)).astype(int), low + 1)
    to_screen = np.array([[scale[0], 0, shift[0]], [0, scale[1], shift[1]], [0, 0, 1]], np.float64)
    matrix = compose(_shift(*shape.corner), to_screen, _shift(-int(low[0]), -int(low[1])))
    crop = warp(shape.crop, matrix, (int(high[1] - low[1]), int(high[0] - low[0])))
    return replace(shape, outline=outline, crop=crop, corner=(int(low[0]), int(low[1])))


def _shift(x: float, y: float) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    return np.array([[1, 0, x], [0, 1, y], [0, 0, 1]], np.float64)
