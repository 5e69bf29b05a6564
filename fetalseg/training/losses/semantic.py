"""A coarse map of every structure, learnt beside the instances and not used when serving (Bolya et al., section 3.4).

Letters: B batch, C structures, M ground truths of a frame, h8 x w8 the finest level of the pyramid.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812 - PyTorch's own name for it
from torch import Tensor

__all__ = ["semantic_loss", "semantic_target"]


def semantic_target(
    masks: Tensor, labels: Tensor, structures: int, shape: tuple[int, int], *, binary: bool = False
) -> Tensor:
    """The map that one frame should show.

    Args:
        masks: 0 or 1 [M, Hp, Wp].
        labels: int64 [M].
        structures: C.
        shape: (h8, w8).
        binary: a cell is 1 if more than half of it is covered, else 0, as in the public YOLACT.

    Returns:
        Share 0..1 of each cell that the structure covers, [C, h8, w8]; where two of a kind lie in a cell, the larger.
    """
    target = torch.zeros((structures, *shape), device=masks.device)
    if len(labels) == 0:
        return target
    cells = F.adaptive_avg_pool2d(masks.float(), shape)
    if binary:
        cells = cells.gt(0.5).float()
    for label, cell in zip(labels.tolist(), cells, strict=True):
        target[label] = torch.maximum(target[label], cell)
    return target


def semantic_loss(logits: Tensor, coverage: Tensor, counted: Tensor) -> Tensor:
    """Cross-entropy of a coarse map of each structure.

    Args:
        logits: [B, C, h8, w8].
        coverage: [B, C, h8, w8], share 0..1 of the cell that the structure covers.
        counted: bool [B, C], structures whose pixels are known in the frame.

    Returns:
        Scalar: sum over structures, mean over pixels and frames.
    """
    entropy = F.binary_cross_entropy_with_logits(logits, coverage, reduction="none")
    batch, _, height, width = logits.shape
    return (entropy * counted[:, :, None, None]).sum() / (batch * height * width)
