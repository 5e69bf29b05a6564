"""How far a run is, and the learning rate that belongs there."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

__all__ = ["Budget", "learning_rate_factor"]


@dataclass(frozen=True)
class Budget:
    """When a run ends: after so many steps, or after so much time; exactly one of them is given.

    Attributes:
        steps: optimiser steps.
        minutes: of training, waiting and validation included.

    Raises:
        ValueError: none or both are given, or a number that is not above 0.
    """

    steps: int | None = None
    minutes: float | None = None

    def __post_init__(self) -> None:
        given = {name: value for name, value in asdict(self).items() if value is not None}
        if len(given) != 1:
            raise ValueError(f"expected either steps or minutes, got {self.steps} and {self.minutes}")
        for name, value in given.items():
            if not 0 < value < math.inf:
                raise ValueError(f"{name} must be above 0, got {value:g}")

    def progress(self, step: int, elapsed_s: float) -> float:
        """Share of the run that is done, 0..1, after `step` steps and `elapsed_s` seconds."""
        if self.steps is not None:
            return min(1.0, step / self.steps)
        assert self.minutes is not None
        return min(1.0, elapsed_s / (60 * self.minutes))

    def left_s(self, step: int, elapsed_s: float, *, step_s: float) -> float:
        """Seconds until the end, at `step_s` seconds a step; validations to come are not counted in a run of steps."""
        if self.steps is not None:
            return max(0, self.steps - step) * step_s
        assert self.minutes is not None
        return max(0.0, 60 * self.minutes - elapsed_s)


def learning_rate_factor(progress: float, *, warm_up: float, final: float = 0.01) -> float:
    """Linear from 0 to 1 over the first `warm_up` of the run, then half a cosine down to `final`.

    Args:
        progress: 0..1.
        warm_up: share of the run, 0 <= warm_up < 1.
        final: factor at the end.
    """
    if progress < warm_up:
        return progress / warm_up
    angle = math.pi * (progress - warm_up) / (1 - warm_up)
    return final + (1 - final) * (1 + math.cos(angle)) / 2
