"""The frames that engines are compared on."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from fetalseg.errors import FrameError
from fetalseg.phantom.cine import VIEW_ORDER
from fetalseg.phantom.dataset import still
from fetalseg.phantom.frames import NO_VIEW
from fetalseg.sources import open_source

__all__ = ["HEIGHT", "WIDTH", "default_frames", "frames_of"]

HEIGHT, WIDTH = 432, 640  # px, as the phantom has them
SEED = 20260713  # no shipped model was trained on frames of this seed

Frames = list[npt.NDArray[np.uint8]]


def default_frames(count: int) -> Frames:
    """Synthetic frames of all views and of none in turn, then four that no scanner makes; always the same.

    Args:
        count: synthetic frames, at least 1.

    Returns:
        count + 4 frames, uint8 gray [HEIGHT, WIDTH].
    """
    views = itertools.cycle([*VIEW_ORDER, NO_VIEW])
    scanned = [
        still(index, SEED, height=HEIGHT, width=WIDTH, views=[view])[0].pixels
        for index, view in zip(range(count), views, strict=False)
    ]
    return [*scanned, *_extremes()]


def frames_of(spec: str, count: int) -> Frames:
    """The first frames of any source, at most `count`, gray or RGB as they come.

    Raises:
        FrameError, ValueError, MissingExtraError: as `fetalseg.sources.open_source`; no frame in it.
    """
    with open_source(spec) as source:
        frames = [frame.pixels for frame in itertools.islice(source, count)]
    if not frames:
        raise FrameError(f"{spec}: no frame came from it; expected at least one to compare engines on")
    return frames


def _extremes() -> Iterator[npt.NDArray[np.uint8]]:
    """Noise, black, a ramp of all gray levels and a fine checkerboard: where rounding and clipping show.

    None that is white all over: what a network makes of that is chance, and another in each precision.
    """
    yield np.random.default_rng(SEED).integers(0, 256, (HEIGHT, WIDTH), np.uint8)
    yield np.zeros((HEIGHT, WIDTH), np.uint8)
    rows, columns = np.indices((HEIGHT, WIDTH))
    yield (columns * 255 // (WIDTH - 1)).astype(np.uint8)
    yield ((rows // 4 + columns // 4) % 2 * 255).astype(np.uint8)
