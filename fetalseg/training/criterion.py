"""From raw predictions and ground truth to the four losses."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F  # noqa: N812 - PyTorch's own name for it
from torch import Tensor

from fetalseg.model.anchors import decode, encode
from fetalseg.model.variants import Variant
from fetalseg.model.yolact import RawPredictions
from fetalseg.training.batches import Batch
from fetalseg.training.losses import (
    LossConfig,
    Losses,
    box_overlap_loss,
    focal_loss,
    hard_negative_cross_entropy,
    mask_loss,
    paired_iou,
    quality_focal_loss,
    semantic_loss,
    smooth_l1_loss,
)
from fetalseg.training.matching import IGNORED, Matching, match

__all__ = ["Assigned", "Criterion", "assign", "loss_config", "matching_rules"]


class Assigned(NamedTuple):
    """Who learns what in a batch; P matched anchors, ordered by image and anchor.

    Attributes:
        image: int64 [P].
        anchor: int64 [P].
        truth: int64 [P], index within the image's ground truths.
        label: int64 [P], 0..16.
        box: float32 [P, 4] of the ground truth.
        ignored: bool [B, A].
    """

    image: Tensor
    anchor: Tensor
    truth: Tensor
    label: Tensor
    box: Tensor
    ignored: Tensor


def loss_config(variant: Variant) -> LossConfig:
    """The losses a variant is trained with."""
    if variant.score == "softmax":
        return LossConfig()
    return LossConfig(
        classification="quality_focal",
        box="ciou",
        class_weight=1.0,
        box_weight=2.0,
        mask_weight=1.0,
        semantic_weight=0.5,
        dice=1.0,
        thin_structures=True,
        masks_per_image=32,
    )


def matching_rules(variant: Variant) -> Matching:
    """How a variant's anchors are assigned."""
    if variant.score == "softmax":
        return Matching()
    return Matching(at_least=9, at_most=24)


def assign(batch: Batch, anchors: Tensor, rules: Matching) -> Assigned:
    """Matches every image of a batch."""
    assigned = torch.stack([match(boxes, anchors, rules) for boxes in batch.boxes])  # [B, A]
    image, anchor = (assigned >= 0).nonzero(as_tuple=True)
    truth = assigned[image, anchor]
    counts = torch.tensor([0, *(len(b) for b in batch.boxes)], device=anchors.device).cumsum(0)
    row = counts[image] + truth
    labels, boxes = torch.cat(batch.labels)[row], torch.cat(batch.boxes)[row]
    return Assigned(image, anchor, truth, labels, boxes, assigned == IGNORED)


class Criterion:
    """The losses of one variant.

    Args:
        variant: for sizes.
        config: terms and weights.
        rules: of the assignment.
    """

    def __init__(self, variant: Variant, config: LossConfig, rules: Matching) -> None:
        self._config = config
        self._rules = rules
        self._stride = (
            variant.input.width / variant.prototype_shape[1],
            variant.input.height / variant.prototype_shape[0],
        )

    def __call__(self, raw: RawPredictions, batch: Batch, anchors: Tensor, generator: torch.Generator) -> Losses:
        """The weighted terms.

        Args:
            raw: predictions while training.
            batch: ground truth of the same images.
            anchors: [A, 4] of the network.
            generator: on the CPU; draws the anchors whose masks are assembled.
        """
        config = self._config
        assigned = assign(batch, anchors, self._rules)
        deltas = raw.box_deltas[assigned.image, assigned.anchor].float()
        boxes = decode(deltas, anchors[assigned.anchor])
        quality = paired_iou(boxes.detach(), assigned.box)
        if config.box == "smooth_l1":
            box = smooth_l1_loss(deltas, encode(assigned.box, anchors[assigned.anchor]))
        else:
            box = box_overlap_loss(boxes, assigned.box, config.box)
        return Losses(
            classification=config.class_weight * self._classification(raw, batch, assigned, quality),
            box=config.box_weight * box,
            mask=config.mask_weight * self._mask(raw, batch, assigned, generator),
            semantic=config.semantic_weight * self._semantic(raw, batch),
        )

    def _classification(self, raw: RawPredictions, batch: Batch, assigned: Assigned, quality: Tensor) -> Tensor:
        logits = raw.class_logits.float()
        where = (assigned.image, assigned.anchor, assigned.label)
        if self._config.classification == "quality_focal":
            return quality_focal_loss(logits, batch.known, where, quality, assigned.ignored)
        if self._config.classification == "focal":
            return focal_loss(logits, batch.known, where, assigned.ignored)
        targets = -assigned.ignored.long()
        targets[assigned.image, assigned.anchor] = assigned.label + 1
        return hard_negative_cross_entropy(logits, targets, batch.known, ratio=self._config.hard_negatives)

    def _mask(self, raw: RawPredictions, batch: Batch, assigned: Assigned, generator: torch.Generator) -> Tensor:
        """The mask term over anchors of structures that have a mask."""
        logits, masks, boxes = [], [], []
        stride = torch.tensor([*self._stride, *self._stride], device=assigned.box.device)
        for index in range(len(batch.boxes)):
            rows = (assigned.image == index).nonzero()[:, 0]
            rows = rows[batch.has_mask[index][assigned.truth[rows]]]
            chosen = torch.randperm(len(rows), generator=generator)[: self._config.masks_per_image]
            rows = rows[chosen.to(rows.device)]
            coefficients = raw.coefficients[index, assigned.anchor[rows]].float()  # [p, K]
            logits.append(torch.einsum("pk,khw->phw", coefficients, raw.prototypes[index].float()))
            masks.append(batch.masks[index][assigned.truth[rows]].float())
            boxes.append(assigned.box[rows] / stride)
        return mask_loss(
            torch.cat(logits),
            torch.cat(masks),
            torch.cat(boxes),
            dice=self._config.dice,
            whole_pixels=self._config.thin_structures,
        )

    def _semantic(self, raw: RawPredictions, batch: Batch) -> Tensor:
        """The semantic term over structures that are known and, where present, have masks."""
        assert raw.semantic_logits is not None, "the network must be in training mode"
        logits = raw.semantic_logits.float()
        counted = batch.known.clone()
        coverage = torch.zeros_like(logits)
        for index, (labels, has_mask) in enumerate(zip(batch.labels, batch.has_mask, strict=True)):
            counted[index, labels[~has_mask]] = False
            if not len(labels):
                continue
            cells = F.adaptive_avg_pool2d(batch.masks[index].float(), (logits.shape[2], logits.shape[3]))
            if not self._config.thin_structures:
                cells = cells.gt(0.5).float()
            for label, cell in zip(labels.tolist(), cells, strict=True):
                coverage[index, label] = torch.maximum(coverage[index, label], cell)
        return semantic_loss(logits, coverage, counted)
