"""The losses, one function a term, one file a part of the network.

`yolact-r50` is trained as Bolya et al. (ICCV 2019) describe. The sigmoid variants differ where thin structures need it:
scores learn the overlap that their box reaches (Li et al., Generalized Focal Loss, NeurIPS 2020), boxes are judged by
their overlap, and masks also by Dice. Labels may be partial: what isn't known in a frame is neither right nor wrong,
and a structure with a box and no mask learns its mask from the box and the image.
"""

from fetalseg.training.losses.box import complete_iou_loss, paired_iou, smooth_l1_loss
from fetalseg.training.losses.box_supervised import lightness, pairwise_loss, projection_loss
from fetalseg.training.losses.classification import (
    hard_negative_cross_entropy,
    partial_cross_entropy,
    quality_focal_loss,
)
from fetalseg.training.losses.config import LossConfig, Losses
from fetalseg.training.losses.mask import crop_region, mask_loss
from fetalseg.training.losses.semantic import semantic_loss, semantic_target

__all__ = [
    "LossConfig",
    "Losses",
    "complete_iou_loss",
    "crop_region",
    "hard_negative_cross_entropy",
    "lightness",
    "mask_loss",
    "pairwise_loss",
    "paired_iou",
    "partial_cross_entropy",
    "projection_loss",
    "quality_focal_loss",
    "semantic_loss",
    "semantic_target",
    "smooth_l1_loss",
]
