"""The prototype branch: K masks of the whole frame, which each candidate weighs by its coefficients."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from fetalseg.model.blocks import conv_block
from fetalseg.model.variants import Variant

__all__ = ["Protonet"]


class Protonet(nn.Module):
    """Layers at stride 8, an upsampling to stride 4, one more layer, and a 1x1 layer to K prototypes.

    Args:
        variant: the numbers.
        c2_channels: of the backbone's features of stride 4.
    """

    def __init__(self, variant: Variant, c2_channels: int) -> None:
        super().__init__()
        width = variant.protonet_channels
        widths = [variant.pyramid_channels] + [width] * variant.protonet_layers
        self.coarse = nn.Sequential(
            *(conv_block(variant.conv, widths[i], widths[i + 1]) for i in range(variant.protonet_layers))
        )
        self.skip = nn.Conv2d(c2_channels, width, 1) if variant.protonet_skip else None
        self.fine = conv_block(variant.conv, width, width)
        self.output = nn.Conv2d(width, variant.prototypes, 1)

    def forward(self, p3: Tensor, c2: Tensor) -> Tensor:
        """Prototypes [B, K, Hp, Wp], not negative; Hp x Wp is twice the size of P3."""
        x = functional.interpolate(self.coarse(p3), scale_factor=2, mode="bilinear", align_corners=False)
        if self.skip is not None:
            x = x + self.skip(c2)
        return functional.relu(self.output(self.fine(x)))
