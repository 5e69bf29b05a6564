"""How a fetus and the probe have moved since the start of a cine; a still frame is one moment of it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

__all__ = ["STILL", "Motion", "draw_moment"]


@dataclass(frozen=True)
class Motion:
    """A moment.

    Attributes:
        x_mm: shift of the trunk to the right.
        y_mm: shift down.
        turn: radians, turn of the trunk.
        beat: phase of the heart, 0 at the end of filling, 0.5 at its smallest, 1 as 0.
        swing: bend of the limbs' joints from their rest, radians.
        away: distance of the image plane from the one the view wants; 0 in it, 1 where the next view takes over.
    """

    x_mm: float = 0.0
    y_mm: float = 0.0
    turn: float = 0.0
    beat: float = 0.0
    swing: float = 0.0
    away: float = 0.0

    @property
    def squeeze(self) -> float:
        """Factor 0.88..1 on the heart's inner sizes."""
        return 1.0 - 0.06 * (1.0 - math.cos(2.0 * math.pi * self.beat))

    def shown(self, depth: float) -> float:
        """Factor 0..1 on the size of what is left of a round structure in the plane.

        Args:
            depth: half its thickness across the plane, in units of `away`; the cut of a ball shrinks as a circle does.
        """
        return math.sqrt(max(0.0, 1.0 - (self.away / depth) ** 2))


STILL = Motion()


def draw_moment(rng: np.random.Generator) -> Motion:
    """A still frame frozen at any phase of the heart."""
    return Motion(beat=float(rng.random()))
