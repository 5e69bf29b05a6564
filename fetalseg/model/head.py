"""The prediction head: class, box and mask coefficients of every anchor."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from fetalseg.model.blocks import conv_block
from fetalseg.model.variants import Variant

__all__ = ["Head", "HeadOutput"]

PRIOR = 0.01  # probability of a structure at an untrained anchor, Lin et al. 2017 (focal loss), section 4.1


class HeadOutput(NamedTuple):
    """Predictions of A anchors, in the order of `fetalseg.model.anchors.anchor_grid`.

    Attributes:
        class_logits: [B, A, C + 1] with background at index 0 (softmax), or [B, A, C] (sigmoid).
        box_deltas: [B, A, 4].
        coefficients: [B, A, K], -1..1.
    """

    class_logits: Tensor
    box_deltas: Tensor
    coefficients: Tensor


class Head(nn.Module):
    """The head of one level, or of all levels where the variant shares it.

    Args:
        variant: the numbers.
        anchors: at one place.
    """

    def __init__(self, variant: Variant, anchors: int) -> None:
        super().__init__()
        width = variant.head_channels
        widths = [variant.pyramid_channels] + [width] * variant.head_layers
        self.tower = nn.Sequential(
            *(conv_block(variant.conv, widths[i], widths[i + 1]) for i in range(variant.head_layers))
        )
        classes = variant.structures + (variant.score == "softmax")
        self.classes = _prediction(variant, anchors * classes)
        self.boxes = _prediction(variant, anchors * 4)
        self.masks = _prediction(variant, anchors * variant.prototypes)
        self.depths = (classes, 4, variant.prototypes)
        if variant.score == "sigmoid":
            last = [module for module in self.classes.modules() if isinstance(module, nn.Conv2d)][-1]
            nn.init.constant_(_bias(last), -math.log((1 - PRIOR) / PRIOR))

    def forward(self, level: Tensor) -> HeadOutput:
        """Predictions on one level [B, pyramid_channels, rows, columns]."""
        x = self.tower(level)
        maps = (self.classes(x), self.boxes(x), self.masks(x))
        # [B, anchors * depth, rows, columns] -> [B, rows * columns * anchors, depth]
        flat = [m.permute(0, 2, 3, 1).reshape(m.shape[0], -1, d) for m, d in zip(maps, self.depths, strict=True)]
        return HeadOutput(flat[0], flat[1], torch.tanh(flat[2]))


def _prediction(variant: Variant, outputs: int) -> nn.Module:
    """The last layer: 3x3 as in the reference, or 1x1 behind separable layers."""
    if variant.conv == "plain":
        return nn.Conv2d(variant.head_channels, outputs, 3, padding=1)
    return nn.Conv2d(variant.head_channels, outputs, 1)


def _bias(conv: nn.Conv2d) -> Tensor:
    assert conv.bias is not None
    return conv.bias
