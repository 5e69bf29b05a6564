"""The 3x3 layer that pyramid, prototype branch and head are made of."""

from __future__ import annotations

from torch import nn

from fetalseg.model.variants import ConvKind

__all__ = ["conv_block"]


def conv_block(kind: ConvKind, inputs: int, outputs: int, *, stride: int = 1) -> nn.Sequential:
    """A 3x3 convolution with ReLU: [B, inputs, H, W] to [B, outputs, ceil(H / stride), ceil(W / stride)].

    "plain" has a bias and no normalisation, as the reference; "separable" is a depthwise and a pointwise
    convolution, each with BatchNorm, which `Yolact.fuse` folds away.
    """
    if kind == "plain":
        return nn.Sequential(nn.Conv2d(inputs, outputs, 3, stride, padding=1), nn.ReLU())
    return nn.Sequential(
        nn.Conv2d(inputs, inputs, 3, stride, padding=1, groups=inputs, bias=False),
        nn.BatchNorm2d(inputs),
        nn.ReLU(),
        nn.Conv2d(inputs, outputs, 1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(),
    )
