"""Where a box lies: offsets as in YOLACT, or the overlap of the decoded box.

Letters: P anchors that learn a structure.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F  # noqa: N812 - PyTorch's own name for it
from torch import Tensor
from torchvision.ops import complete_box_iou_loss, distance_box_iou_loss, generalized_box_iou_loss

__all__ = ["BoxLoss", "box_overlap_loss", "efficient_box_iou_loss", "paired_iou", "smooth_l1_loss"]

BoxLoss = Literal["smooth_l1", "giou", "diou", "ciou", "eiou"]


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


def box_overlap_loss(boxes: Tensor, truths: Tensor, kind: BoxLoss) -> Tensor:
    """Mean over P of 1 - GIoU, DIoU, CIoU or EIoU of boxes [P, 4] xyxy with truths [P, 4]; 0 without any.

    For boxes ten times as wide as high CIoU comes down to IoU: its term for the shape compares arc tangents, which
    hardly change beyond a ratio of 5, and its term for the centre divides a vertical offset by the diagonal. EIoU
    compares width and height each with that of the hull.

    Raises:
        ValueError: a kind that doesn't work on boxes.
    """
    kinds = {
        "giou": generalized_box_iou_loss,
        "diou": distance_box_iou_loss,
        "ciou": complete_box_iou_loss,
        "eiou": efficient_box_iou_loss,
    }
    if kind not in kinds:
        raise ValueError(f"{kind!r} is no overlap loss; expected one of {', '.join(kinds)}")
    total: Tensor = kinds[kind](boxes, truths, reduction="sum")
    return total / max(1, len(boxes))


def efficient_box_iou_loss(boxes: Tensor, truths: Tensor, *, reduction: Literal["none", "sum"] = "none") -> Tensor:
    """EIoU loss (Zhang et al., Neurocomputing 2022): 1 - DIoU, and the squared errors of width and height.

    Either error is a share of the width or height of the smallest box around both.

    Args:
        boxes: [P, 4] xyxy.
        truths: [P, 4] xyxy.
        reduction: [P] losses, or their sum.
    """
    hull = torch.maximum(boxes[:, 2:], truths[:, 2:]) - torch.minimum(boxes[:, :2], truths[:, :2])
    errors = (boxes[:, 2:] - boxes[:, :2]) - (truths[:, 2:] - truths[:, :2])
    loss: Tensor = distance_box_iou_loss(boxes, truths) + (errors / hull.clamp(min=1e-6)).square().sum(dim=1)
    return loss.sum() if reduction == "sum" else loss
