"""COCO's compressed run lengths, straight from a mask's crop.

The format (cocodataset/cocoapi, `maskApi.c`): the lengths of alternating runs of background and foreground, background
first, pixels in column-major order; from the fourth length on the difference to the length two before is kept;
each number is cut into groups of five bits, lowest first, bit 5 says that more follow, and 48 is added to make text.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["compressed_runs", "run_lengths"]

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
