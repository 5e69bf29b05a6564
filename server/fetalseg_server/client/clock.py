"""The server's clock as a client sees it, and how long frame and answer were on their way.

Four moments make a sample, as in NTP (RFC 5905, section 8): the client sends at T1 and has the answer at T4 by its own
clock, the server received at T2 and answered at T3 by its clock. Then

    offset = ((T2 - T1) + (T3 - T4)) / 2        delay = (T4 - T1) - (T3 - T2)

and the true offset lies within delay / 2 of it, the more so the more alike the two ways are.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

__all__ = ["ClockEstimate", "ServerClock", "now_us"]

DRIFT = 100e-6  # two ordinary quartz clocks, each up to 50 ppm off


def now_us() -> int:
    """This computer's monotonic clock in us, the one that a client's estimates are about."""
    return time.monotonic_ns() // 1000


@dataclass(frozen=True)
class ClockEstimate:
    """What is known about the server's clock.

    Attributes:
        offset_us: the server's clock minus this computer's monotonic clock.
        delay_us: of the sample behind it, there and back without the server's own time.
        error_us: the offset is off by no more than this.
    """

    offset_us: float
    delay_us: float
    error_us: float


class ServerClock:
    """Keeps the best sample: the one whose error is least, where a sample's error grows as the clocks drift."""

    def __init__(self) -> None:
        self._offset_us = 0.0
        self._delay_us = 0.0
        self._taken_us: int | None = None

    def add(self, sent_us: int, received_us: int, answered_us: int, returned_us: int) -> None:
        """Takes one sample, T1 to T4; one that no clocks could give is left out."""
        delay_us = (returned_us - sent_us) - (answered_us - received_us)
        if answered_us < received_us or delay_us < -1:  # each side cuts its own microsecond
            return
        known = self.estimate(returned_us)
        if known is None or delay_us / 2 <= known.error_us:
            self._offset_us = ((received_us - sent_us) + (answered_us - returned_us)) / 2
            self._delay_us = max(0.0, delay_us)
            self._taken_us = returned_us

    def estimate(self, at_us: int) -> ClockEstimate | None:
        """The estimate as it stands at a moment of this computer's clock, None without a sample."""
        if self._taken_us is None:
            return None
        error_us = self._delay_us / 2 + DRIFT * (at_us - self._taken_us)
        return ClockEstimate(self._offset_us, self._delay_us, error_us)
