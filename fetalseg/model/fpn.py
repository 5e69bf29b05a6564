"""The feature pyramid: coarse meaning brought down to fine places."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from fetalseg.model.backbone import Features
from fetalseg.model.blocks import conv_block
from fetalseg.model.variants import Variant

__all__ = ["FeaturePyramid"]


class FeaturePyramid(nn.Module):
    """Levels P3, P4, P5 from the backbone, and coarser ones by stride-2 convolutions of the level before.

    Args:
        variant: the numbers.
        backbone_channels: of C2, C3, C4, C5.
    """

    def __init__(self, variant: Variant, backbone_channels: tuple[int, int, int, int]) -> None:
        super().__init__()
        c2, *rest = backbone_channels
        width, levels = variant.pyramid_channels, len(variant.anchors)
        self.lateral = nn.ModuleList(nn.Conv2d(channels, width, 1) for channels in rest)
        self.fine = nn.Conv2d(c2, width, 3, stride=2, padding=1) if variant.pyramid_fine else None
        self.smooth = nn.ModuleList(conv_block(variant.conv, width, width) for _ in rest)
        # The reference has no ReLU on its coarse levels, so they are bare convolutions there.
        plain = variant.conv == "plain"
        self.coarser = nn.ModuleList(
            nn.Conv2d(width, width, 3, stride=2, padding=1)
            if plain
            else conv_block(variant.conv, width, width, stride=2)
            for _ in range(levels - 3)
        )
        self.levels = levels

    def forward(self, features: Features) -> list[Tensor]:
        """Levels [B, pyramid_channels, rows, columns], P3 first."""
        c3, c4, c5 = (lateral(c) for lateral, c in zip(self.lateral, features[1:], strict=True))
        p4 = c4 + functional.interpolate(c5, size=c4.shape[-2:], mode="bilinear", align_corners=False)
        p3 = c3 + functional.interpolate(p4, size=c3.shape[-2:], mode="bilinear", align_corners=False)
        if self.fine is not None:
            p3 = p3 + self.fine(features.c2)
        levels = [smooth(p) for smooth, p in zip(self.smooth, (p3, p4, c5), strict=True)]
        for layer in self.coarser:
            levels.append(layer(levels[-1]))
        return levels
