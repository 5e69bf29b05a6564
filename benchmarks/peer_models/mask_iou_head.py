"""The MaskIoU head of Mask Scoring R-CNN, written from the paper (Huang et al., CVPR 2019, section 3.2, figure 3)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["MaskIouHead"]

_POOLED = 14  # side of a region's features
_WIDTH = 256
_HIDDEN = 1024


class MaskIouHead(nn.Module):
    """How well a predicted mask fits, from it and the features of its region.

    Four 3x3 convolutions of 256 channels, the last of stride 2, and three fully connected layers.

    Args:
        classes: with the background.
    """

    def __init__(self, classes: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for inputs, stride in ((_WIDTH + 1, 1), (_WIDTH, 1), (_WIDTH, 1), (_WIDTH, 2)):
            layers += [nn.Conv2d(inputs, _WIDTH, 3, stride=stride, padding=1), nn.ReLU()]
        side = _POOLED // 2
        layers += [nn.Flatten(), nn.Linear(_WIDTH * side * side, _HIDDEN), nn.ReLU()]
        layers += [nn.Linear(_HIDDEN, _HIDDEN), nn.ReLU(), nn.Linear(_HIDDEN, classes)]
        self.layers = nn.Sequential(*layers)

    def forward(self, features: Tensor, masks: Tensor) -> Tensor:
        """The IoU [N, classes] of masks [N, 1, 28, 28] whose regions have features [N, 256, 14, 14]."""
        x = torch.cat([features, functional.max_pool2d(masks, 2).to(features.dtype)], dim=1)
        ious: Tensor = self.layers(x)
        return ious
