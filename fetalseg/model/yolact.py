"""The network: a single pass from frames to classes, boxes, mask coefficients and prototypes (Bolya et al. 2019)."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple, Self

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from fetalseg.model.anchors import anchor_grid
from fetalseg.model.backbone import Backbone
from fetalseg.model.fpn import FeaturePyramid
from fetalseg.model.head import Head, HeadOutput
from fetalseg.model.protonet import Protonet
from fetalseg.model.variants import Variant

__all__ = ["RawPredictions", "Yolact", "normalisation"]

# Mean and standard deviation of ImageNet in 0..255; for gray the means over the colours.
_MEAN = {3: (123.675, 116.28, 103.53), 1: (114.495,)}
_STD = {3: (58.395, 57.12, 57.375), 1: (57.63,)}


def normalisation(channels: int) -> dict[str, list[float]]:
    """The "mean" and "std" that the network subtracts and divides by, one a channel (1 or 3), in gray levels 0..255."""
    return {"mean": list(_MEAN[channels]), "std": list(_STD[channels])}


class RawPredictions(NamedTuple):
    """What the network says of each anchor, nothing decoded.

    Attributes:
        class_logits: [B, A, C + 1] with background at index 0 (softmax variants), or [B, A, C] (sigmoid variants).
        box_deltas: [B, A, 4], see `fetalseg.model.anchors.decode`.
        coefficients: [B, A, K], -1..1 (after tanh).
        prototypes: [B, K, Hp, Wp], not negative (after ReLU).
        semantic_logits: [B, C, rows of P3, columns of P3] while training, else None.
    """

    class_logits: Tensor
    box_deltas: Tensor
    coefficients: Tensor
    prototypes: Tensor
    semantic_logits: Tensor | None


class Yolact(nn.Module):
    """Backbone, feature pyramid, prototype branch and prediction head.

    Args:
        variant: the numbers.
        imagenet: start the backbone from weights learnt on ImageNet.

    Attributes:
        variant: as given.
        anchors: float32 [A, 4] as centre x, centre y, width, height in pixels of the network input.
    """

    anchors: Tensor
    mean: Tensor
    std: Tensor

    def __init__(self, variant: Variant, *, imagenet: bool = False) -> None:
        super().__init__()
        self.variant = variant
        channels = variant.input.channels
        self.backbone = Backbone(variant.backbone, channels, imagenet=imagenet)
        self.pyramid = FeaturePyramid(variant, self.backbone.channels)
        self.protonet = Protonet(variant, self.backbone.channels[0])
        counts = variant.anchors_per_place
        self.heads = nn.ModuleList(Head(variant, count) for count in (counts[:1] if variant.head_shared else counts))
        self.semantic = nn.Conv2d(variant.pyramid_channels, variant.structures, 1)
        if (variant.conv, variant.score) == ("plain", "softmax"):
            self._initialise_as_published()
        self.register_buffer("anchors", anchor_grid(variant), persistent=False)
        self.register_buffer("mean", torch.tensor(_MEAN[channels]).view(1, -1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(_STD[channels]).view(1, -1, 1, 1), persistent=False)
        self._frozen: list[nn.BatchNorm2d] = []

    def _initialise_as_published(self) -> None:
        """Xavier-uniform weights and zero biases outside the backbone, as the public YOLACT starts."""
        for part in (self.pyramid, self.protonet, self.heads, self.semantic):
            for module in part.modules():
                if isinstance(module, nn.Conv2d):
                    assert module.bias is not None
                    nn.init.xavier_uniform_(module.weight)
                    nn.init.zeros_(module.bias)

    def forward(self, images: Tensor) -> RawPredictions:
        """Predictions for images [B, c, h, w] with values 0..255."""
        features = self.backbone((images - self.mean) / self.std)
        levels = self.pyramid(features)
        prototypes = self.protonet(levels[0], features.c2)
        outputs = self._predict(levels)
        semantic = self.semantic(levels[0]) if self.training else None
        return RawPredictions(*outputs, prototypes, semantic)

    def _predict(self, levels: list[Tensor]) -> HeadOutput:
        heads = [self.heads[0]] * len(levels) if self.variant.head_shared else self.heads
        outputs = [head(level) for head, level in zip(heads, levels, strict=True)]
        return HeadOutput(*(torch.cat(columns, dim=1) for columns in zip(*outputs, strict=True)))

    def freeze(self, stages: int) -> Self:
        """Keeps the first `stages` stages of the backbone, and all of its BatchNorm, as they are during training.

        Batches of a fine-tuning are too small to estimate statistics from; the weights and biases of BatchNorm stay as
        learnt too, as in the reference.

        Args:
            stages: 0..4 of the backbone, from the input.
        """
        if not 0 <= stages <= len(self.backbone.stages):
            raise ValueError(f"stages to freeze must be within 0..{len(self.backbone.stages)}, got {stages}")
        self._frozen = [module for module in self.backbone.modules() if isinstance(module, nn.BatchNorm2d)]
        for module in (*self.backbone.stages[:stages], *self._frozen):
            module.requires_grad_(False)
        return self.train(self.training)

    def train(self, mode: bool = True) -> Self:
        """As any module, but frozen BatchNorm stays with its stored statistics."""
        super().train(mode)
        for module in self._frozen:
            module.eval()
        return self

    def fuse(self) -> Self:
        """Folds every BatchNorm into the convolution before it, in place; for inference only."""
        self.eval()
        for parent in list(self.modules()):
            children = list(parent.named_children())
            for (name, conv), (next_name, norm) in pairwise(children):
                if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                    setattr(parent, name, fuse_conv_bn_eval(conv, norm))
                    setattr(parent, next_name, nn.Identity())
        return self
