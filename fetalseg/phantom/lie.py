"""How the fetus lies under the probe and where the operator keeps it in the frame: drawn once per examination.

A fetus that lies face up with its head to the left does so in all frames of its examination, give or take what a hand
that holds a probe changes from frame to frame. Its limbs move freely, so the posture of limbs belongs to the frame.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

__all__ = ["Facing", "Lie", "draw_lie"]

Facing = Literal["up", "down", "upright"]

_JITTER = 0.07  # radians, from frame to frame; 4 degrees
_LEVEL_JITTER = 0.02  # radians, of a profile: operators save it when the back is level, for only so both lines show


@dataclass(frozen=True)
class Lie:
    """Orientation and place of one fetus in the frames of its examination.

    Attributes:
        facing: where the face looks in a cut along the body; `upright` is neither up nor down, the body on end.
        on_end: radians, turn of an upright body, positive clockwise; 0 for the others.
        tilt: radians, of a profile against the frame's lower edge.
        head_right: whether the head lies on the right of a cut along the body.
        head_turn: radians, of axial cuts of the head; 0 is the midline level.
        trunk_turn: radians, of axial cuts of the trunk; 0 is the spine below.
        mirrored: whether axial cuts are seen from the other side, the probe turned round.
        back_up: whether the back is towards the probe when the spine is looked for; operators like to wait for it.
        back_tilt: radians, of a cut along the whole back, which needn't be level.
        near: side of the fetus, 0 left and 1 right, that lies nearer to the probe.
        aim: where the operator keeps the structure of interest, (x, y) from the middle as shares of the frame's
            width and height.
    """

    facing: Facing = "up"
    on_end: float = 0.0
    tilt: float = 0.0
    head_right: bool = False
    head_turn: float = 0.0
    trunk_turn: float = 0.0
    mirrored: bool = False
    back_up: bool = False
    back_tilt: float = 0.0
    near: int = 0
    aim: tuple[float, float] = (0.0, 0.0)

    def head(self, rng: np.random.Generator) -> tuple[float, bool]:
        """Turn in radians of an axial cut of the head in one frame, and whether it is mirrored."""
        return self.head_turn + float(rng.normal(0.0, _JITTER)), self.mirrored

    def trunk(self, rng: np.random.Generator) -> tuple[float, bool]:
        """Turn in radians of an axial cut of the trunk in one frame, and whether it is mirrored."""
        return self.trunk_turn + float(rng.normal(0.0, _JITTER)), self.mirrored

    def profile(self, rng: np.random.Generator) -> tuple[float, bool]:
        """Turn in radians and mirroring of a body drawn head left and face up, as it lies in one frame's profile."""
        turn = self.tilt + self.on_end + float(rng.normal(0.0, _LEVEL_JITTER))
        return _laid(turn, self.facing == "down", self.head_right)

    def back(self, rng: np.random.Generator, *, from_behind: bool) -> tuple[float, bool]:
        """As `profile`, for a cut along the whole back, from the side or from behind.

        Operators turn the probe until the back of an upright fetus lies along the frame too.
        """
        turn = self.back_tilt + float(rng.normal(0.0, _JITTER))
        return _laid(turn, self.back_up and not from_behind, self.head_right)


def draw_lie(rng: np.random.Generator) -> Lie:
    """Mostly face up and level; 10 % face down, 5 % upright, one in six tilted by up to 24 degrees.

    The real frames of the profile all lie face up and most of them level; heads and trunks come at any angle, heads
    with a level midline more often, for so the sound meets it head on.
    """
    kind = rng.random()
    facing: Facing = "down" if kind < 0.10 else "upright" if kind < 0.15 else "up"
    level = rng.random() < 0.84
    level_head = rng.random() < 0.5
    return Lie(
        facing=facing,
        on_end=float(rng.choice([-1.0, 1.0]) * rng.uniform(0.9, 1.57)) if facing == "upright" else 0.0,
        tilt=float(rng.normal(0.0, 0.025) if level else rng.uniform(-0.42, 0.42)),
        head_right=bool(rng.random() < 0.5),
        head_turn=float(rng.normal(0.0, 0.4) if level_head else rng.uniform(-math.pi, math.pi)),
        trunk_turn=float(rng.uniform(-math.pi, math.pi)),
        mirrored=bool(rng.random() < 0.5),
        back_up=facing == "down" or bool(rng.random() < 1 / 3),
        back_tilt=float(rng.normal(0.0, 0.24)),
        near=int(rng.integers(2)),
        aim=(float(rng.uniform(-0.1, 0.1)), float(rng.uniform(-0.06, 0.08))),
    )


def _laid(turn: float, over: bool, head_right: bool) -> tuple[float, bool]:
    """Turn and mirroring of a body drawn head left and face up.

    A body turned by half a turn has its head on the other side, so that it is mirrored once more.
    """
    return (turn + math.pi, not head_right) if over else (turn, head_right)
