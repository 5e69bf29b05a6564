"""A moving average of the weights: what is validated and shipped."""

from __future__ import annotations

import copy

import torch

from fetalseg.model.yolact import Yolact

__all__ = ["MovingAverage"]


class MovingAverage:
    """Exponential moving average of a network's parameters and buffers.

    Early in a run the average looks back no further than the run is old, so that the random start is soon forgotten.

    Args:
        network: to follow.
        decay: weight of the past at each step once the run is long.

    Attributes:
        network: a copy that carries the averages, in evaluation mode.
        updates: steps followed so far.
    """

    def __init__(self, network: Yolact, decay: float) -> None:
        self.network = copy.deepcopy(network).eval().requires_grad_(False)
        self.updates = 0
        self._decay = decay

    @torch.no_grad()
    def update(self, network: Yolact) -> None:
        """Takes in the weights after one more step."""
        self.updates += 1
        decay = min(self._decay, (1 + self.updates) / (10 + self.updates))
        for average, current in zip(self.network.state_dict().values(), network.state_dict().values(), strict=True):
            if average.dtype.is_floating_point:
                average.lerp_(current, 1 - decay)
            else:
                average.copy_(current)
