"""COCO's compressed run lengths: written straight from a mask's crop, and read back, without pycocotools.

The format (cocodataset/cocoapi, `maskApi.c`): the lengths of alternating runs of background and foreground, background
first, pixels in column-major order; from the fourth length on the difference to the length two before is kept;
each number is cut into groups of five bits, lowest first, bit 5 says that more follow, and 48 is added to make text.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

__all__ = ["compressed_runs", "decode_crop", "decode_mask", "decode_runs", "run_lengths"]

# Seven groups of five bits hold any difference of lengths below 2^31.
_GROUPS = 7


def run_lengths(
    crop: npt.NDArray[np.bool_], corner: tuple[int, int], frame_shape: tuple[int, int]
) -> npt.NDArray[np.int64]:
    """Lengths of the runs of a mask that is background outside its crop; int64, they add up to H * W.

    Args:
        crop: bool [height, width].
        corner: (x, y) of the crop in the frame.
        frame_shape: (H, W).
    """
    (height, width), (x, y) = frame_shape, corner
    changes = np.zeros((crop.shape[0] + 1, crop.shape[1]), np.bool_)
    changes[:-1] = crop
    changes[1:] ^= crop
    rows, columns = np.divmod(np.flatnonzero(changes), max(crop.shape[1], 1))
    borders = np.sort((columns + x) * height + rows + y)
    # Where a run reaches the bottom of the frame and the next column starts with one, both borders are the same pixel.
    same = np.flatnonzero(borders[1:] == borders[:-1])
    borders = np.delete(borders, np.concatenate([same, same + 1]))
    lengths = np.diff(borders, prepend=0, append=height * width)
    return lengths[:-1] if lengths[-1] == 0 else lengths


def compressed_runs(lengths: npt.NDArray[np.int64]) -> str:
    """The text of `counts` in a COCO annotation."""
    numbers = lengths.copy()
    numbers[3:] -= lengths[1:-2]
    shifted = numbers[:, None] >> (5 * np.arange(_GROUPS))
    groups = shifted & 31
    rest = shifted >> 5
    # A number ends where all further bits repeat the sign bit, which is bit 4 of its last group.
    more = np.where(groups & 16, rest != -1, rest != 0)
    written = np.ones(more.shape, np.bool_)
    written[:, 1:] = more[:, :-1]
    letters: npt.NDArray[np.uint8] = (groups + 32 * more + 48)[written].astype(np.uint8)
    return letters.tobytes().decode("ascii")


def decode_runs(counts: str | bytes | Sequence[int], frame_shape: tuple[int, int]) -> npt.NDArray[np.int64]:
    """Lengths of the runs that `counts` of a COCO annotation holds; int64, none negative, they add up to H * W.

    Args:
        counts: compressed text, or the lengths themselves.
        frame_shape: (H, W).

    Raises:
        ValueError: malformed text, values that are no lengths, or another sum.
    """
    if isinstance(counts, (str, bytes)):
        lengths = _decompress(counts)
    else:
        try:
            lengths = np.asarray(counts, np.int64)
            if lengths.ndim != 1:
                raise ValueError(f"an array of {lengths.ndim} dimensions")
        except (TypeError, ValueError, OverflowError) as error:
            raise ValueError(f"RLE counts are neither compressed text nor run lengths: {error}") from None
    height, width = frame_shape
    if len(lengths) and lengths.min() < 0:
        raise ValueError(f"RLE holds a negative run, {lengths.min()}")
    # The sum of longer runs could leave the range of int64 and come out right.
    if len(lengths) and lengths.max() > height * width:
        raise ValueError(f"RLE holds a run of {lengths.max()} pixels, expected at most {height} x {width}")
    if lengths.sum() != height * width:
        raise ValueError(f"RLE covers {lengths.sum()} pixels, expected {height} x {width} = {height * width}")
    return lengths


def decode_mask(counts: str | bytes | Sequence[int], frame_shape: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """The mask [H, W] that `counts` of a COCO annotation holds; arguments and errors as of `decode_runs`."""
    lengths = decode_runs(counts, frame_shape)
    foreground = np.arange(len(lengths)) % 2 == 1
    height, width = frame_shape
    return np.repeat(foreground, lengths).reshape(width, height).T


def decode_crop(
    counts: str | bytes | Sequence[int], frame_shape: tuple[int, int]
) -> tuple[npt.NDArray[np.bool_], tuple[int, int]]:
    """The part of a mask that holds all its foreground, and the (x, y) of its corner in the frame.

    Of a small structure this is a hundredth of the frame, and as much less to decode and to work on.

    Args:
        counts: as of `decode_runs`.
        frame_shape: (H, W).

    Returns:
        bool [height, width], with foreground along each of its edges; [0, 0] at (0, 0) for an empty mask.

    Raises:
        ValueError: as of `decode_runs`.
    """
    lengths = decode_runs(counts, frame_shape)
    height = frame_shape[0]
    there = 2 * np.flatnonzero(lengths[1::2]) + 1
    if not len(there):
        return np.zeros((0, 0), np.bool_), (0, 0)
    ends = np.cumsum(lengths)
    first, last = int(there[0]), int(there[-1])
    left, right = int(ends[first - 1]) // height, (int(ends[last]) - 1) // height + 1
    # The columns from the first run's to the last one's: background is cut at both ends.
    kept = lengths[first - 1 : last + 2].copy()
    kept[0] = ends[first - 1] - left * height
    foreground = np.arange(len(kept)) % 2 == 1
    if len(kept) > last - first + 2:
        kept[-1] = right * height - ends[last]
    columns = np.repeat(foreground, kept).reshape(right - left, height).T
    rows = np.flatnonzero(columns.any(axis=1))
    top, bottom = int(rows[0]), int(rows[-1]) + 1
    return columns[top:bottom], (left, top)


def _decompress(text: str | bytes) -> npt.NDArray[np.int64]:
    """The numbers of a compressed text, differences undone."""
    digits = np.frombuffer(text.encode() if isinstance(text, str) else text, np.uint8).astype(np.int64) - 48
    if not len(digits):
        return digits
    if digits.min() < 0 or digits.max() > 63:
        raise ValueError("compressed RLE holds a character outside '0'..'o'")
    last = np.flatnonzero(digits & 32 == 0)
    if not len(last) or last[-1] != len(digits) - 1:
        raise ValueError("compressed RLE ends inside a run")
    first = np.concatenate([[0], last[:-1] + 1])
    place = np.arange(len(digits)) - np.repeat(first, last - first + 1)
    if place.max() >= _GROUPS:
        raise ValueError("compressed RLE holds a run longer than any image")
    numbers = np.add.reduceat((digits & 31) << (5 * place), first)
    negative = digits[last] & 16 != 0
    numbers -= np.where(negative, np.int64(1) << (5 * (last - first + 1)), 0)
    numbers[1::2] = np.cumsum(numbers[1::2])
    numbers[2::2] = np.cumsum(numbers[2::2])
    return np.asarray(numbers, np.int64)
