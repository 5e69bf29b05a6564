"""Which anchor answers for which structure."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torchvision.ops import box_iou

from fetalseg.model.anchors import to_corners

__all__ = ["BACKGROUND", "IGNORED", "Matching", "match"]

BACKGROUND = -1
IGNORED = -2


@dataclass(frozen=True)
class Matching:
    """Rules of the assignment.

    Attributes:
        positive_iou: an anchor with at least this overlap learns the structure (Bolya et al. 2019: 0.5).
        negative_iou: an anchor below this overlap with every structure learns background (0.4); between the two it
            learns nothing.
        at_least: this many anchors, its nearest ones, learn a structure even where their overlap is lower. 1 is
            YOLACT's rule; thin boxes rarely overlap any anchor by half, and one anchor alone learns too slowly.
        at_most: a structure is learnt by no more than this many anchors, the nearest; None for no bound. Others
            above `positive_iou` learn nothing.
    """

    positive_iou: float = 0.5
    negative_iou: float = 0.4
    at_least: int = 1
    at_most: int | None = None

    def __post_init__(self) -> None:
        if not 0 < self.negative_iou <= self.positive_iou <= 1:
            raise ValueError(
                f"expected 0 < negative_iou <= positive_iou <= 1, got {self.negative_iou} and {self.positive_iou}"
            )
        if self.at_least < 1 or (self.at_most is not None and self.at_most < self.at_least):
            raise ValueError(f"expected 1 <= at_least <= at_most, got {self.at_least} and {self.at_most}")


def match(boxes: Tensor, anchors: Tensor, rules: Matching) -> Tensor:
    """Assigns ground truths to anchors.

    An anchor goes to the structure that it overlaps most; a structure's `at_least` nearest anchors are its own in any
    case, and where two structures want the same one the larger overlap wins. Then, from the largest overlap down, each
    structure takes the nearest anchor that no other has taken this way: none is left without (unless it touches none).

    Args:
        boxes: [M, 4] ground truths, xyxy in pixels of the network input.
        anchors: [A, 4] centre x, centre y, width, height in the same unit.
        rules: thresholds and bounds.

    Returns:
        int64 [A]: index of the ground truth, or `BACKGROUND`, or `IGNORED`.
    """
    assigned = torch.full((len(anchors),), BACKGROUND, dtype=torch.int64, device=anchors.device)
    if len(boxes) == 0:
        return assigned
    overlap = box_iou(boxes, to_corners(anchors))  # [M, A]
    best, truth = overlap.max(dim=0)
    assigned[best >= rules.negative_iou] = IGNORED
    positive = best >= rules.positive_iou
    assigned[positive] = truth[positive]
    if rules.at_most is not None:
        _keep_nearest(assigned, best, len(boxes), rules.at_most)
    _claim_nearest(assigned, overlap, min(rules.at_least, len(anchors)))
    return assigned


def _keep_nearest(assigned: Tensor, overlap: Tensor, count: int, at_most: int) -> None:
    """Sets all but the `at_most` nearest anchors of each of `count` ground truths to `IGNORED`, in place."""
    for truth in range(count):
        own = (assigned == truth).nonzero()[:, 0]
        if len(own) > at_most:
            order = overlap[own].argsort(descending=True, stable=True)
            assigned[own[order[at_most:]]] = IGNORED


def _claim_nearest(assigned: Tensor, overlap: Tensor, at_least: int) -> None:
    """Gives each ground truth its nearest anchors of `overlap` [M, A], in place."""
    values, nearest = overlap.topk(at_least, dim=1)  # [M, at_least]
    strength = torch.zeros_like(overlap).scatter_(1, nearest, values)
    strongest, truth = strength.max(dim=0)
    # An anchor that has a structure already has the one it overlaps most.
    free = (strongest > 0) & (assigned < 0)
    assigned[free] = truth[free]
    remaining = overlap.clone()
    for _ in range(len(overlap)):
        index = int(remaining.argmax())
        owner, anchor = divmod(index, overlap.shape[1])
        if remaining[owner, anchor] <= 0:
            break
        assigned[anchor] = owner
        remaining[owner] = -1
        remaining[:, anchor] = -1
