"""A box over time: where it is, how its sides move, and how sure that is.

A Kalman filter of constant velocity for each side (Bar-Shalom, Li and Kirubarajan, Estimation with Applications to
Tracking and Navigation, 2001, section 6.2.2). Errors are measured in sizes of the box, so that the four sides share one
covariance and a filter is a handful of plain numbers, which are faster than arrays for a dozen boxes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from fetalseg.tracking.options import TrackerOptions

__all__ = ["BoxFilter"]

_FIRST_SPEED = 1.0  # sizes a second: standard deviation of a side's speed before anything is known of it
_SURPRISE = 3.0  # standard deviations
_COASTING = 0.6  # of its speed that a box keeps in each frame that doesn't show it
_MIN_SIDE = 1.0  # px


class BoxFilter:
    """One box.

    Args:
        box: xyxy, px, as detected.
        options: `jitter` and `restlessness` are used.

    Attributes:
        box: where it is now, xyxy, px.
    """

    def __init__(self, box: Sequence[float], options: TrackerOptions) -> None:
        self._noise = options.jitter**2
        self._restlessness = options.restlessness
        self._start(box)

    def _start(self, box: Sequence[float]) -> None:
        self.box = list(box)
        self._speed = [0.0] * 4  # px/s
        # Covariance of place and speed: sizes^2, sizes^2 / s, sizes^2 / s^2.
        self._place, self._mixed, self._speeds = self._noise, 0.0, _FIRST_SPEED**2
        self._surprised = False

    @property
    def size(self) -> float:
        """The side of a square of the same area, px."""
        x1, y1, x2, y2 = self.box
        return math.sqrt(max(x2 - x1, _MIN_SIDE) * max(y2 - y1, _MIN_SIDE))

    @property
    def centre(self) -> tuple[float, float]:
        """x, y, px."""
        x1, y1, x2, y2 = self.box
        return (x1 + x2) / 2, (y1 + y2) / 2

    def touches(self, width: int, height: int) -> bool:
        """Whether a part of it lies in a frame of this size."""
        x1, y1, x2, y2 = self.box
        return x1 < width and y1 < height and x2 > 0 and y2 > 0

    def predict(self, seconds: float) -> None:
        """Moves the box on."""
        self.box = _proper([side + seconds * speed for side, speed in zip(self.box, self._speed, strict=True)])
        q, t = self._restlessness, seconds
        self._place += 2 * t * self._mixed + t * t * self._speeds + q * t**3 / 3
        self._mixed += t * self._speeds + q * t * t / 2
        self._speeds += q * t

    def miss(self) -> None:
        """Nothing was found; what isn't seen is not believed to move far."""
        self._speed = [_COASTING * speed for speed in self._speed]

    def correct(self, box: Sequence[float]) -> bool:
        """Takes the box detected now.

        A detection far from what was expected is believed by half, as it may be a slip; a second one in a row is the
        truth, and the filter starts afresh from there. So a jump is followed one frame late.

        Returns:
            Whether it started afresh.
        """
        total = self._place + self._noise
        wrong = [found - side for found, side in zip(box, self.box, strict=True)]
        surprised = max(map(abs, wrong)) > _SURPRISE * math.sqrt(total) * self.size
        if surprised and self._surprised:
            self._start(box)
            return True
        self._surprised = surprised
        place, speed = self._place / total, self._mixed / total
        self.box = _proper([side + place * error for side, error in zip(self.box, wrong, strict=True)])
        self._speed = [now + speed * error for now, error in zip(self._speed, wrong, strict=True)]
        self._speeds -= speed * self._mixed
        self._mixed *= 1 - place
        self._place *= 1 - place
        return False


def _proper(box: list[float]) -> list[float]:
    """A box of at least one pixel: sides move on their own and could pass each other."""
    x1, y1, x2, y2 = box
    return [x1, y1, max(x2, x1 + _MIN_SIDE), max(y2, y1 + _MIN_SIDE)]
