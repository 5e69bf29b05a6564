"""Random weights that give ordinary numbers."""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["settle_batch_norm"]


def settle_batch_norm(part: nn.Module, images: Tensor) -> None:
    """Gives normalisation layers the statistics of some images, and leaves the part in evaluation mode.

    The values of random layers else grow from each to the next, until boxes are as large as the frame.

    Args:
        part: fresh, changed in place.
        images: [B, c, h, w], at least two.
    """
    for module in part.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None  # the statistics of what it sees, not a tenth of them
    part.train()
    with torch.no_grad():
        part(images)
    part.eval()
