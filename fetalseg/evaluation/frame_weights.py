"""How often each frame counts: once, or as often as a resample of a bootstrap drew it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["FrameWeights", "frame_weights"]

FrameWeights = npt.NDArray[np.int64] | npt.NDArray[np.bool_]


def frame_weights(weights: FrameWeights | None, frames: int) -> npt.NDArray[np.int64]:
    """The weights as int64 [F]; without any, each frame counts once.

    Args:
        weights: whole numbers [F] from 0 on, or a bool [F] that keeps some of the frames.
        frames: F.

    Raises:
        ValueError: another number of weights, or weights that are no whole numbers or negative.
    """
    if weights is None:
        return np.ones(frames, np.int64)
    if weights.shape != (frames,):
        raise ValueError(f"expected a weight for each of {frames} frames, got an array of shape {weights.shape}")
    if not (np.issubdtype(weights.dtype, np.integer) or weights.dtype == np.bool_):
        raise ValueError(f"weights of frames must be whole numbers or bool, got {weights.dtype}")
    if frames and weights.min() < 0:
        raise ValueError(f"weights of frames must be 0 or more, got {weights.min()}")
    return weights.astype(np.int64)
