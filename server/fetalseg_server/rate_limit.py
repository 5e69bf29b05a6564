"""How much of something is allowed in the long run, with room for a burst."""

from __future__ import annotations

import time

__all__ = ["RateLimit"]


class RateLimit:
    """A token bucket: it fills at a steady rate up to a burst, and each event takes one.

    What is refused takes nothing, so that whoever asks for more than the rate still gets the rate.

    Args:
        per_s: events a second in the long run.
        burst: events at once.
    """

    def __init__(self, per_s: float, burst: float) -> None:
        self._per_s = per_s
        self._burst = burst
        self._left = burst
        self._counted_s = time.monotonic()

    def take(self) -> bool:
        """Whether one more event is allowed now; if so it is counted."""
        self._fill()
        if self._left < 1:
            return False
        self._left -= 1
        return True

    def wait_s(self) -> float:
        """Seconds until one more event is allowed, 0 now."""
        self._fill()
        return max(0.0, (1 - self._left) / self._per_s)

    @property
    def full(self) -> bool:
        """Nothing was taken lately: there is nothing to remember."""
        self._fill()
        return self._left >= self._burst

    def _fill(self) -> None:
        now_s = time.monotonic()
        self._left = min(self._burst, self._left + (now_s - self._counted_s) * self._per_s)
        self._counted_s = now_s
