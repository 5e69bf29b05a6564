"""What a network computes in: its convolutions in one type, its beginning and its end in float32."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fetalseg.model.yolact import Yolact

__all__ = ["DTYPES", "compute_in"]

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def compute_in(network: Yolact, dtype: torch.dtype) -> Yolact:
    """Turns the weights into another type, in place.

    Normalised frames go in, raw predictions come out of these layers in `dtype`; normalisation and anchors, and with
    them softmax, ranking and decoding, stay float32. Autocast would turn the weights anew for every frame: bf16 takes
    1.3 times as long with it (fetalseg-s, one core of an EPYC 9004) and gives the same.
    """
    if dtype == torch.float32:
        return network

    def enter(_: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return tuple(values.to(dtype) for values in inputs)

    for part in (network.backbone, network.pyramid, network.protonet, network.heads):
        part.to(dtype)
    network.backbone.register_forward_pre_hook(enter)
    return network
