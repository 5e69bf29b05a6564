"""COCO's run-length code of a mask, read with NumPy: the training extra carries no pycocotools.

Runs go down the columns and start with background. The compressed text holds each run as signed base-32 digits,
least significant first, bit 5 marking "more follows"; from the fourth run on it is the difference to the run
two places before.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

__all__ = ["decode_rle", "decode_runs"]


def decode_runs(text: str | bytes) -> npt.NDArray[np.int64]:
    """Run lengths from COCO's compressed text.

    Raises:
        ValueError: characters outside the code, or a text that ends inside a run.
    """
    raw = text.encode("ascii") if isinstance(text, str) else text
    digits = np.frombuffer(raw, np.uint8).astype(np.int64) - 48
    if not len(digits):
        return np.zeros(0, np.int64)
    if digits.min() < 0 or digits.max() > 63:
        raise ValueError("compressed RLE holds a character outside '0'..'o'")
    last = np.flatnonzero(digits & 32 == 0)
    if not len(last) or last[-1] != len(digits) - 1:
        raise ValueError("compressed RLE ends inside a run")
    first = np.concatenate(([0], last[:-1] + 1))
    place = np.arange(len(digits)) - np.repeat(first, last - first + 1)
    if place.max() > 7:
        raise ValueError("compressed RLE holds a run longer than any image")
    runs = np.add.reduceat((digits & 31) << (5 * place), first)
    negative = digits[last] & 16 != 0
    runs -= np.where(negative, np.int64(1) << (5 * (last - first + 1)), 0)
    runs[1::2] = np.cumsum(runs[1::2])
    runs[2::2] = np.cumsum(runs[2::2])
    return np.asarray(runs, np.int64)


def decode_rle(counts: str | bytes | Sequence[int], size: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """The mask [H, W] of runs that go down its columns.

    Args:
        counts: compressed text, or the run lengths.
        size: (H, W).

    Raises:
        ValueError: malformed text, a negative run, or runs that don't add up to H x W.
    """
    runs = decode_runs(counts) if isinstance(counts, (str, bytes)) else np.asarray(counts, np.int64)
    height, width = size
    if len(runs) and runs.min() < 0:
        raise ValueError("RLE holds a negative run")
    if runs.sum() != height * width:
        raise ValueError(f"RLE covers {runs.sum()} pixels, expected {height} x {width} = {height * width}")
    foreground = np.arange(len(runs)) % 2 == 1
    return np.repeat(foreground, runs).reshape(width, height).T
