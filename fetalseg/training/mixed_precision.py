"""Half precision where it is safe, and a loss scaled so that float16 gradients don't vanish."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from fetalseg.training.options import Precision

__all__ = ["MixedPrecision"]

_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


class MixedPrecision:
    """How a step computes.

    bfloat16 has float32's range and needs nothing more. float16 ends at 6e-8: the loss is multiplied by a factor that
    grows while gradients are finite and is halved where they aren't (that step then leaves the weights alone).

    Args:
        precision: of the network.
        device: where it runs.
    """

    def __init__(self, precision: Precision, device: torch.device) -> None:
        self._dtype = _DTYPES[precision]
        self._device = device.type
        self._scaler = torch.amp.GradScaler(device.type, enabled=precision == "fp16")

    def autocast(self) -> torch.autocast:
        """Within it the network computes in the chosen precision."""
        return torch.autocast(self._device, self._dtype, enabled=self._dtype != torch.float32)

    def step(self, loss: Tensor, optimizer: Optimizer, parameters: Iterable[nn.Parameter], *, clip: float) -> None:
        """Gradients of `loss`, their norm clipped, and a step of the optimiser."""
        optimizer.zero_grad(set_to_none=True)
        self._scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        self._scaler.unscale_(optimizer)
        nn.utils.clip_grad_norm_(parameters, clip)
        self._scaler.step(optimizer)
        self._scaler.update()

    def state(self) -> dict[str, Any]:
        """The factor of the loss and its history as JSON values; empty without a factor."""
        return dict(self._scaler.state_dict())

    def restore(self, state: dict[str, Any]) -> None:
        """Goes on with what `state` returned."""
        if state:
            self._scaler.load_state_dict(state)
