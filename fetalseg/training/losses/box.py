"""Where a box lies: offsets as in YOLACT, or the overlap of the decoded box.

Letters: P anchors that learn a structure.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812 - PyTorch's own name for it
from torch import Tensor
from torchvision.ops import complete_box_iou_loss

__all__ = ["complete_iou_loss", "paired_iou", "smooth_l1_loss"]


def paired_iou(boxes: Tensor, truths: Tensor) -> Tensor:
    """IoU [P] of boxes [P, 4] and truths [P, 4], pair by pair."""
    low = torch.maximum(boxes[:, :2], truths[:, :2])
    high = torch.minimum(boxes[:, 2:], truths[:, 2:])
    inner = (high - low).clamp(min=0).prod(dim=1)
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(dim=1) + (truths[:, 2:] - truths[:, :2]).prod(dim=1)
    return inner / (areas - inner).clamp(min=1e-6)


def smooth_l1_loss(offsets: Tensor, expected: Tensor) -> Tensor:
    """Smooth L1 of offsets [P, 4], summed over the four and averaged over P; 0 without any."""
    return F.smooth_l1_loss(offsets, expected, reduction="sum") / max(1, len(offsets))


def complete_iou_loss(boxes: Tensor, truths: Tensor) -> Tensor:
    """Mean over P of 1 - CIoU (Zheng et al., AAAI 2020) of boxes [P, 4] xyxy with truths [P, 4]; 0 without any."""
    total: Tensor = complete_box_iou_loss(boxes, truths, reduction="sum")
    return total / max(1, len(boxes))
