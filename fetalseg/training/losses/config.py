"""Which terms a variant is trained with, and their sum."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

from torch import Tensor

__all__ = ["LossConfig", "Losses"]

ClassLoss = Literal["cross_entropy", "quality_focal"]
BoxLoss = Literal["smooth_l1", "ciou"]


@dataclass(frozen=True)
class LossConfig:
    """Which terms, and their weights; the defaults are those of YOLACT.

    Attributes:
        classification: "cross_entropy" over a softmax with hard negatives; "quality_focal" for sigmoids.
        box: "smooth_l1" on offsets, or "ciou" on decoded boxes.
        class_weight: of the classification term.
        box_weight: of the box term.
        mask_weight: of the mask term.
        semantic_weight: of the semantic term.
        projection_weight: of the projection term, for structures with a box and no mask; 0 leaves their masks alone.
        pairwise_weight: of the pairwise term, for the same structures.
        dice: weight of 1 - Dice beside the mask's cross-entropy, inside the mask term.
        thin_structures: keep what the public code of YOLACT rounds away: crops are made of whole pixels, see
            `crop_region`, and a semantic cell learns the share that is covered, not 1 above a half and 0 up to it.
        hard_negatives: background anchors for each matched one.
        masks_per_image: matched anchors whose masks are assembled, drawn at random.
        box_masks_per_image: the same for structures without a mask, whose masks are assembled whole and not in a crop.
        pairwise_warm_up: share of the run over which the pairwise term grows from 0 to its weight.
    """

    classification: ClassLoss = "cross_entropy"
    box: BoxLoss = "smooth_l1"
    class_weight: float = 1.0
    box_weight: float = 1.5
    mask_weight: float = 6.125
    semantic_weight: float = 1.0
    projection_weight: float = 0.0
    pairwise_weight: float = 0.0
    dice: float = 0.0
    thin_structures: bool = False
    hard_negatives: int = 3
    masks_per_image: int = 100
    box_masks_per_image: int = 8
    pairwise_warm_up: float = 0.1


class Losses(NamedTuple):
    """The weighted terms, each a scalar."""

    classification: Tensor
    box: Tensor
    mask: Tensor
    semantic: Tensor
    projection: Tensor
    pairwise: Tensor

    @property
    def total(self) -> Tensor:
        """Their sum."""
        return self.classification + self.box + self.mask + self.semantic + self.projection + self.pairwise
