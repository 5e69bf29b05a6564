"""How a fetus and the probe have moved since the start of a cine; a still frame is one moment of it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

__all__ = ["GONE", "STILL", "Motion", "Movement", "draw_moment", "draw_movement"]

# What is left of a structure that the plane has left: too little to see. It is still drawn, because each line has its
# own random pattern by its number, and one line less would change the patterns of all that follow.
GONE = 0.02


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
        """Factor `GONE`..1 on the size of what is left of a round structure in the plane.

        Args:
            depth: half its thickness across the plane, in units of `away`; the cut of a ball shrinks as a circle does.
        """
        return max(GONE, math.sqrt(max(0.0, 1.0 - (self.away / depth) ** 2)))


STILL = Motion()


@dataclass(frozen=True)
class Movement:
    """How fetus and probe move while a view is held.

    Attributes:
        bursts: (begin s, length s, strength 0..1) of the fetus's movements; it rests between them.
        drift_mm: how far the probe wanders to each side (x, y).
        drift_s: how long the way there and back takes (x, y).
        tilt: radians, how far the probe turns to each side.
        tilt_s: how long that takes.
        phase: of the three, radians.
    """

    bursts: tuple[tuple[float, float, float], ...]
    drift_mm: tuple[float, float]
    drift_s: tuple[float, float]
    tilt: float
    tilt_s: float
    phase: tuple[float, float, float]

    def at(self, seconds: float, *, beat: float) -> Motion:
        """The moment `seconds` after the probe came to the view, at a phase of the heart; it starts where it is."""
        burst = 0.0
        for begin, length, strength in self.bursts:
            inside = min(max((seconds - begin) / length, 0.0), 1.0)
            burst += strength * math.sin(math.pi * inside) ** 2
        x, y = (
            reach * (math.sin(2 * math.pi * seconds / period + phase) - math.sin(phase))
            for reach, period, phase in zip(self.drift_mm, self.drift_s, self.phase, strict=False)
        )
        turn = self.tilt * (math.sin(2 * math.pi * seconds / self.tilt_s + self.phase[2]) - math.sin(self.phase[2]))
        breath = 0.5 * math.sin(2 * math.pi * 0.25 * seconds)
        return Motion(
            x_mm=x + 1.6 * burst,
            y_mm=y + breath - 1.2 * burst,
            turn=turn + 0.12 * burst,
            beat=beat,
            swing=0.9 * burst + 0.06 * math.sin(2 * math.pi * 0.4 * seconds),
        )


def draw_movement(rng: np.random.Generator, seconds: float) -> Movement:
    """Movements of a view that is held for some seconds.

    Speeds of real ones: probe 1 to 5 mm/s and 2 to 10 degrees/s, trunk 2 to 10 mm/s, bursts of 0.5 to 2 s.
    """
    bursts, begin = [], float(rng.uniform(0.3, 1.5))
    while begin < seconds:
        length = float(rng.uniform(0.5, 2.0))
        bursts.append((begin, length, float(rng.uniform(0.3, 1.0))))
        begin += length + float(rng.uniform(0.5, 3.0))
    periods = rng.uniform(3.0, 6.0, size=2)
    # the fastest moment of a sine of period T and reach r is 2 pi r / T
    reach = rng.uniform(1.0, 3.5, size=2) * periods / (2 * math.pi)
    tilt_s = float(rng.uniform(3.0, 6.0))
    tilt = math.radians(float(rng.uniform(2.0, 8.0))) * tilt_s / (2 * math.pi)
    phases = rng.uniform(0.0, 2 * math.pi, size=3).tolist()
    return Movement(
        bursts=tuple(bursts),
        drift_mm=(float(reach[0]), float(reach[1])),
        drift_s=(float(periods[0]), float(periods[1])),
        tilt=tilt,
        tilt_s=tilt_s,
        phase=(phases[0], phases[1], phases[2]),
    )


def draw_moment(rng: np.random.Generator) -> Motion:
    """A still frame frozen at any phase of the heart."""
    return Motion(beat=float(rng.random()))
