"""Where PyTorch runs the peers, alike for all of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

__all__ = ["Place", "fold_batch_norm", "stretched"]

_TYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


class Place:
    """A device and what is computed in: eager mode, convolutions in channels-last memory, autocast below fp32.

    Args:
        precision: "fp32", "bf16" or "fp16".
        device: "cpu" or "cuda"; None: the GPU if PyTorch sees one.

    Attributes:
        precision: as given.
        device: of PyTorch.
        gpu: its name; None on the processor.

    Raises:
        ValueError: another precision or device.
    """

    def __init__(self, precision: str = "fp32", device: str | None = None) -> None:
        if precision not in _TYPES:
            raise ValueError(f"torch computes in {', '.join(_TYPES)}, got {precision!r}")
        if device not in (None, "cpu", "cuda"):
            raise ValueError(f"torch runs on cpu or cuda, got {device!r}")
        has_gpu = torch.cuda.is_available()
        if device == "cuda" and not has_gpu:
            raise ValueError("PyTorch sees no GPU; expected the device cpu here")
        self.precision = precision
        self.device = torch.device(device or ("cuda" if has_gpu else "cpu"))
        self.gpu = torch.cuda.get_device_name(self.device) if self.device.type == "cuda" else None

    @contextmanager
    def computing(self) -> Iterator[None]:
        """For inference; ends when the device has ended. fp32 means fp32, not TF32, as in our engines."""
        with (
            torch.inference_mode(),
            torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=False, allow_tf32=False),
            torch.autocast(self.device.type, _TYPES[self.precision], enabled=self.precision != "fp32"),
        ):
            yield
        self._wait()

    def put(self, image: npt.NDArray[np.uint8] | npt.NDArray[np.float32]) -> Tensor:
        """An image, or boxes, in the device's memory; ends when they are there."""
        there = torch.from_numpy(np.ascontiguousarray(image)).to(self.device)
        self._wait()
        return there

    def house(self, network: nn.Module) -> nn.Module:
        """A network on the device, in evaluation mode."""
        return network.eval().to(self.device).to(memory_format=torch.channels_last)

    def _wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)


def stretched(frame: npt.NDArray[np.uint8], size: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """RGB uint8 [h, w, 3] of a gray or RGB frame, as the public YOLACT resizes."""
    resized = cv2.resize(frame, (size[1], size[0]), interpolation=cv2.INTER_LINEAR)
    return np.asarray(cv2.cvtColor(resized, cv2.COLOR_GRAY2RGB) if resized.ndim == 2 else resized, np.uint8)


def fold_batch_norm(part: nn.Module) -> None:
    """Folds every BatchNorm into the convolution before it, in place, as our networks have it."""
    for parent in list(part.modules()):
        for (name, conv), (next_name, norm) in pairwise(list(parent.named_children())):
            if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                setattr(parent, name, fuse_conv_bn_eval(conv, norm))
                setattr(parent, next_name, nn.Identity())
