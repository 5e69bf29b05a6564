"""Which anchor answers for which structure, decided by the predictions (Feng et al., TOOD, ICCV 2021).

Overlap with the anchor says little about a thin box: one of 18x6 px meets no anchor by half where it lies between two
rows, and one of 171x22 px is a middling fit for several shapes, whose order changes with a few pixels of a length that
annotators don't agree on. Here those anchors learn a structure that are on the way to it: high in score and in the
overlap of the box that they predict. Scores then rise where boxes are good, which is what NMS goes by.

Untrained offsets are near 0 and untrained scores all alike, so that a run starts with the anchors of largest overlap.

TOOD takes the anchors whose centre lies in the box. Whether one does lie in a box 6 px high is an accident of the grid,
and where a place has several shapes they share the centre: here an anchor's own overlap decides who may take part.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torchvision.ops import box_iou

from fetalseg.model.anchors import to_corners
from fetalseg.training.matching import BACKGROUND, claim_nearest

__all__ = ["Alignment", "TaskAlignment", "align"]


@dataclass(frozen=True)
class TaskAlignment:
    """Rules of the assignment; the defaults are TOOD's but for `candidate_iou`.

    Attributes:
        top: anchors that learn a structure, the best aligned ones.
        score_power: alignment is score ** score_power * IoU ** iou_power.
        iou_power: of the predicted box.
        candidate_iou: an anchor below this overlap with a structure doesn't learn it, unless it is the nearest and
            nothing else would.
    """

    top: int = 13
    score_power: float = 1.0
    iou_power: float = 6.0
    candidate_iou: float = 0.2

    def __post_init__(self) -> None:
        if self.top < 1:
            raise ValueError(f"expected at least one anchor a structure, got {self.top}")
        if not 0 < self.candidate_iou < 1:
            raise ValueError(f"expected 0 < candidate_iou < 1, got {self.candidate_iou}")
        if self.score_power < 0 or self.iou_power <= 0:
            raise ValueError(
                f"expected score_power >= 0 and iou_power > 0, got {self.score_power} and {self.iou_power}"
            )


class Alignment(NamedTuple):
    """The assignment of one frame.

    Attributes:
        assigned: int64 [A], index of the ground truth, or `BACKGROUND`.
        quality: [A], the score that each anchor should reach, 0 for background: its alignment as a share of the best
            one's for the same structure, times the best overlap.
    """

    assigned: Tensor
    quality: Tensor


@torch.no_grad()
def align(
    boxes: Tensor, labels: Tensor, anchors: Tensor, scores: Tensor, predicted: Tensor, rules: TaskAlignment
) -> Alignment:
    """Assigns ground truths to anchors.

    An anchor among the best of two structures goes to the one that its predicted box overlaps more. A structure left
    without gets its nearest anchor.

    Args:
        boxes: [M, 4] ground truths, xyxy in pixels of the network input.
        labels: int64 [M].
        anchors: [A, 4] centre x, centre y, width, height in the same unit.
        scores: [A, C] probabilities.
        predicted: [A, 4] xyxy in the same unit.
        rules: numbers.
    """
    assigned = torch.full((len(anchors),), BACKGROUND, dtype=torch.int64, device=anchors.device)
    if len(boxes) == 0:
        return Alignment(assigned, torch.zeros_like(anchors[:, 0]))
    fit = box_iou(boxes, to_corners(anchors))  # [M, A]
    overlap = box_iou(boxes, predicted)
    alignment = scores[:, labels].T.pow(rules.score_power) * overlap.pow(rules.iou_power)
    alignment = alignment * (fit >= rules.candidate_iou)
    values, best = alignment.topk(min(rules.top, len(anchors)), dim=1)
    claimed = torch.zeros_like(overlap).scatter_(1, best, (values > 0).float()) * overlap
    strongest, truth = claimed.max(dim=0)
    assigned = torch.where(strongest > 0, truth, assigned)
    lost = torch.tensor([bool((assigned != index).all()) for index in range(len(boxes))], device=fit.device)
    claim_nearest(assigned, fit * lost[:, None], 1)
    return Alignment(assigned, _quality(assigned, alignment, overlap))


def _quality(assigned: Tensor, alignment: Tensor, overlap: Tensor) -> Tensor:
    """The score [A] that each anchor should reach, from alignment and overlap [M, A]."""
    own = torch.arange(len(overlap), device=overlap.device)[:, None] == assigned  # [M, A]
    best_alignment = (alignment * own).amax(dim=1, keepdim=True)
    best_overlap = (overlap * own).amax(dim=1, keepdim=True)
    share = alignment / best_alignment.clamp(min=torch.finfo(alignment.dtype).tiny)
    # An anchor that was not among the candidates has no alignment: what it reaches counts.
    quality = torch.where(best_alignment > 0, share * best_overlap, overlap)
    return (quality * own).amax(dim=0)
