"""From raw predictions and ground truth to the losses."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from fetalseg.model.anchors import decode, encode
from fetalseg.model.variants import Variant
from fetalseg.model.yolact import RawPredictions
from fetalseg.training.batches import Batch
from fetalseg.training.losses import (
    LossConfig,
    Losses,
    complete_iou_loss,
    hard_negative_cross_entropy,
    lightness,
    mask_loss,
    paired_iou,
    pairwise_loss,
    projection_loss,
    quality_focal_loss,
    semantic_loss,
    semantic_target,
    smooth_l1_loss,
)
from fetalseg.training.matching import IGNORED, Matching, match

__all__ = [
    "Assigned",
    "Criterion",
    "assign",
    "loss_config",
    "matching_rules",
]


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
        projection_weight=1.0,
        pairwise_weight=1.0,
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
    """Matches every image of a batch by the overlap with the anchors."""
    assigned = torch.stack([match(boxes, anchors, rules) for boxes in batch.boxes])  # [B, A]
    image, anchor = (assigned >= 0).nonzero(as_tuple=True)
    truth = assigned[image, anchor]
    counts = torch.tensor([0, *(len(b) for b in batch.boxes)], device=assigned.device).cumsum(0)
    row = counts[image] + truth
    labels, boxes = torch.cat(batch.labels)[row], torch.cat(batch.boxes)[row]
    return Assigned(image, anchor, truth, labels, boxes, assigned == IGNORED)


class MaskParts(NamedTuple):
    """What masks are made of, taken from the predictions once: each time would cost a gradient of their full size.

    Attributes:
        coefficients: [P, K] of the matched anchors.
        prototypes: of each frame [K, Hp, Wp].
    """

    coefficients: Tensor
    prototypes: tuple[Tensor, ...]


class Drawn(NamedTuple):
    """Matched anchors whose masks are assembled; p of them.

    Attributes:
        row: int64 [p], of `Assigned`.
        weight: [p], how many matched anchors of its frame each stands for.
        logits: [p, Hp, Wp] coefficients times prototypes.
        box: [p, 4] xyxy in prototype pixels, of the ground truths.
    """

    row: Tensor
    weight: Tensor
    logits: Tensor
    box: Tensor


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

    def __call__(
        self,
        raw: RawPredictions,
        batch: Batch,
        anchors: Tensor,
        generator: torch.Generator | Sequence[torch.Generator],
        *,
        progress: float = 1.0,
        totals: Callable[[Sequence[float]], Sequence[float]] | None = None,
    ) -> Losses:
        """The weighted terms.

        Args:
            raw: predictions while training.
            batch: ground truth of the same images.
            anchors: [A, 4] of the network.
            generator: on the CPU; draws the anchors whose masks are assembled. One for all frames in turn, or one for
                each, so that what is drawn in a frame doesn't depend on the others.
            progress: share of the run that is done, 0..1: the pairwise term comes in gradually.
            totals: sums each of some numbers over the processes that share a batch. The result are then this process's
                parts of the terms, which add up to the terms of the whole batch.
        """
        config = self._config
        assigned = assign(batch, anchors, self._rules)
        deltas = raw.box_deltas[assigned.image, assigned.anchor].float()
        boxes = decode(deltas, anchors[assigned.anchor])
        if config.box == "smooth_l1":
            box = smooth_l1_loss(deltas, encode(assigned.box, anchors[assigned.anchor]))
        else:
            box = complete_iou_loss(boxes, assigned.box)
        generators = [generator] * len(batch.boxes) if isinstance(generator, torch.Generator) else generator
        coefficients = raw.coefficients[assigned.image, assigned.anchor].float()
        parts = MaskParts(coefficients, raw.prototypes.float().unbind(0))
        mask = self._mask(parts, batch, assigned, generators)
        projection, pairwise = self._box_supervised(parts, batch, assigned, generators)
        grown = min(1.0, progress / config.pairwise_warm_up) if config.pairwise_warm_up else 1.0
        losses = Losses(
            classification=config.class_weight * self._classification(raw, batch, assigned, boxes.detach()),
            box=config.box_weight * box,
            mask=config.mask_weight * mask,
            semantic=config.semantic_weight * self._semantic(raw, batch),
            projection=config.projection_weight * projection,
            pairwise=config.pairwise_weight * grown * pairwise,
        )
        return losses if totals is None else _parts(losses, self._counts(batch, assigned), totals)

    def _counts(self, batch: Batch, assigned: Assigned) -> list[int]:
        """What each term is a mean over: matched anchors, those with a mask, frames, those drawn without a mask."""
        frames, matched = len(batch.boxes), len(assigned.image)
        has_mask = torch.cat([m[assigned.truth[assigned.image == i]] for i, m in enumerate(batch.has_mask)])
        boxed = torch.bincount(assigned.image[~has_mask], minlength=frames)
        drawn = int(boxed.clamp(max=self._config.box_masks_per_image).sum())
        return [matched, matched, int(has_mask.sum()), frames, drawn, drawn]

    def _classification(self, raw: RawPredictions, batch: Batch, assigned: Assigned, boxes: Tensor) -> Tensor:
        """The classification term; `boxes` [P, 4] xyxy are those that the matched anchors predict."""
        logits = raw.class_logits.float()
        where = (assigned.image, assigned.anchor, assigned.label)
        if self._config.classification == "quality_focal":
            quality = paired_iou(boxes, assigned.box)
            return quality_focal_loss(logits, batch.known, where, quality, assigned.ignored)
        targets = -assigned.ignored.long()
        targets[assigned.image, assigned.anchor] = assigned.label + 1
        return hard_negative_cross_entropy(logits, targets, batch.known, ratio=self._config.hard_negatives)

    def _draw(
        self,
        parts: MaskParts,
        batch: Batch,
        assigned: Assigned,
        generators: Sequence[torch.Generator],
        *,
        with_mask: bool,
        at_most: int,
    ) -> Drawn:
        """Draws in each frame `at_most` of the anchors whose structures have a mask, or of those that have none."""
        rows, weights, logits = [], [], []
        for index, has_mask in enumerate(batch.has_mask):
            own = (assigned.image == index).nonzero()[:, 0]
            own = own[has_mask[assigned.truth[own]] == with_mask]
            chosen = own[torch.randperm(len(own), generator=generators[index])[:at_most].to(own.device)]
            logits.append(torch.einsum("pk,khw->phw", parts.coefficients[chosen], parts.prototypes[index]))
            rows.append(chosen)
            weights.append(torch.full((len(chosen),), len(own) / max(1, len(chosen)), device=own.device))
        stride = torch.tensor([*self._stride, *self._stride], device=assigned.box.device)
        row = torch.cat(rows)
        return Drawn(row, torch.cat(weights), torch.cat(logits), assigned.box[row] / stride)

    def _mask(
        self, parts: MaskParts, batch: Batch, assigned: Assigned, generators: Sequence[torch.Generator]
    ) -> Tensor:
        """The mask term over anchors of structures that have a mask."""
        config = self._config
        drawn = self._draw(parts, batch, assigned, generators, with_mask=True, at_most=config.masks_per_image)
        image, truth = assigned.image[drawn.row], assigned.truth[drawn.row]
        masks = torch.cat([m[truth[image == index]] for index, m in enumerate(batch.masks)]).float()
        return mask_loss(
            drawn.logits,
            masks,
            drawn.box,
            dice=config.dice,
            whole_pixels=config.thin_structures,
            weights=drawn.weight,
        )

    def _box_supervised(
        self, parts: MaskParts, batch: Batch, assigned: Assigned, generators: Sequence[torch.Generator]
    ) -> tuple[Tensor, Tensor]:
        """Projection and pairwise term over anchors of structures that have a box and no mask."""
        config = self._config
        if not (config.projection_weight or config.pairwise_weight):
            return parts.coefficients.new_zeros(()), parts.coefficients.new_zeros(())
        drawn = self._draw(parts, batch, assigned, generators, with_mask=False, at_most=config.box_masks_per_image)
        height, width = drawn.logits.shape[1:]
        shades = lightness(batch.images, (height, width))
        pairwise = pairwise_loss(drawn.logits, shades[assigned.image[drawn.row]], drawn.box)
        return projection_loss(drawn.logits, drawn.box), pairwise

    def _semantic(self, raw: RawPredictions, batch: Batch) -> Tensor:
        """The semantic term over structures that are known and, where present, have masks."""
        assert raw.semantic_logits is not None, "the network must be in training mode"
        logits = raw.semantic_logits.float()
        _, structures, height, width = logits.shape
        counted = batch.known.clone()
        for index, (labels, has_mask) in enumerate(zip(batch.labels, batch.has_mask, strict=True)):
            counted[index, labels[~has_mask]] = False
        binary = not self._config.thin_structures
        frames = zip(batch.masks, batch.labels, strict=True)
        targets = [semantic_target(m, labels, structures, (height, width), binary=binary) for m, labels in frames]
        return semantic_loss(logits, torch.stack(targets), counted)


def _parts(losses: Losses, counts: Sequence[int], totals: Callable[[Sequence[float]], Sequence[float]]) -> Losses:
    """Means over the counts of this process as parts of means over those of all; nothing is divided by less than 1."""
    every = zip(losses, counts, totals(counts), strict=True)
    return Losses(*(term * (max(1, count) / max(1, total)) for term, count, total in every))
