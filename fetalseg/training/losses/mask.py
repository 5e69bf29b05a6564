"""Masks of structures whose truth is drawn, inside their boxes.

Letters: P anchors that learn such a structure, Hp x Wp the prototypes.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812 - PyTorch's own name for it
from torch import Tensor

__all__ = ["crop_region", "mask_loss"]


def mask_loss(
    logits: Tensor,
    masks: Tensor,
    boxes: Tensor,
    *,
    dice: float = 0.0,
    whole_pixels: bool = True,
    weights: Tensor | None = None,
) -> Tensor:
    """Cross-entropy inside each instance's box, summed, by the box's area; and 1 - Dice there.

    The crop is one prototype pixel wider than the box on each side, so that the border is learnt from both sides. In
    the area a side of less than one pixel counts as one.

    Args:
        logits: [P, Hp, Wp] coefficients times prototypes.
        masks: 0 or 1 [P, Hp, Wp].
        boxes: [P, 4] xyxy in prototype pixels, of the ground truths.
        dice: weight of 1 - Dice.
        whole_pixels: see `crop_region`.
        weights: [P], how many anchors each stands for where some were drawn of many; None: one.

    Returns:
        Scalar: mean over P, weighted; 0 without any.
    """
    if len(logits) == 0:
        return logits.sum()
    inside = crop_region(boxes, logits.shape[1], logits.shape[2], whole_pixels=whole_pixels)
    entropy = F.binary_cross_entropy_with_logits(logits, masks, reduction="none") * inside
    area = (boxes[:, 2:] - boxes[:, :2]).clamp(min=1).prod(dim=1)
    loss = entropy.sum(dim=(1, 2)) / area
    if dice:
        p = torch.sigmoid(logits) * inside
        truth = masks * inside
        overlap = 2 * (p * truth).sum(dim=(1, 2))
        loss = loss + dice * (1 - (overlap + 1) / (p.sum(dim=(1, 2)) + truth.sum(dim=(1, 2)) + 1))
    if weights is None:
        return loss.mean()
    return (loss * weights).sum() / weights.sum()


def crop_region(boxes: Tensor, height: int, width: int, *, margin: int = 1, whole_pixels: bool = True) -> Tensor:
    """Bool [P, height, width]: the pixels of each box [P, 4], and `margin` more on each side.

    A box has all pixels that it touches. With a margin of one these hold every pixel that decides about the mask inside
    the box when serving: a frame pixel there is interpolated between the four nearest centres. Without `whole_pixels`
    the region has those whose upper left corner lies in the box widened by `margin`, as in the public YOLACT: one pixel
    fewer at a left or upper edge between two pixels.
    """
    x = torch.arange(width, device=boxes.device)
    y = torch.arange(height, device=boxes.device)
    low, high = boxes[:, :2], boxes[:, 2:]
    if whole_pixels:
        low, high = low.floor(), high.ceil()
    low, high = low - margin, high + margin
    columns = (x >= low[:, :1]) & (x < high[:, :1])
    rows = (y >= low[:, 1:]) & (y < high[:, 1:])
    return rows[:, :, None] & columns[:, None, :]
