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
        predict = Pointwise if variant.conv == "separable" else Conv3x3
        self.classes = predict(width, anchors, classes)
        self.boxes = predict(width, anchors, 4)
        self.masks = predict(width, anchors, variant.prototypes)
        if variant.score == "sigmoid":
            nn.init.constant_(self.classes.bias, -math.log((1 - PRIOR) / PRIOR))

    def forward(self, level: Tensor) -> HeadOutput:
        """Predictions on one level [B, pyramid_channels, rows, columns]."""
        x = self.tower(level)
        return HeadOutput(self.classes(x), self.boxes(x), torch.tanh(self.masks(x)))


class Conv3x3(nn.Conv2d):
    """The reference's last layer, [B, inputs, rows, columns] to [B, rows * columns * anchors, depth]."""

    bias: nn.Parameter

    def __init__(self, inputs: int, anchors: int, depth: int) -> None:
        super().__init__(inputs, anchors * depth, 3, padding=1)
        self.depth = depth

    def forward(self, x: Tensor) -> Tensor:
        """Predictions, anchor by anchor."""
        return super().forward(x).permute(0, 2, 3, 1).reshape(x.shape[0], -1, self.depth)


class Pointwise(nn.Module):
    """The same behind separable layers: a 1x1 convolution, written as one matrix product for all places.

    Channels go last before the product, not after it, where there are 3 to 5 times as many: that saves OpenVINO
    3.4 of 20.3 ms (fetalseg-s, bf16, one thread). The weight is stored [inputs, outputs], as the product takes it.
    """

    def __init__(self, inputs: int, anchors: int, depth: int) -> None:
        super().__init__()
        self.depth = depth
        self.weight = nn.Parameter(torch.empty(inputs, anchors * depth))
        self.bias = nn.Parameter(torch.zeros(anchors * depth))
        nn.init.normal_(self.weight, std=0.01)  # Lin et al. 2017, section 4.1

    def forward(self, x: Tensor) -> Tensor:
        """Predictions [B, rows * columns * anchors, depth] from [B, inputs, rows, columns]."""
        places = x.permute(0, 2, 3, 1) @ self.weight + self.bias
        return places.reshape(x.shape[0], -1, self.depth)
