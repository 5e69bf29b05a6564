"""When to try again after a connection broke."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass

__all__ = ["Backoff", "Reconnect"]


@dataclass(frozen=True)
class Reconnect:
    """How a client comes back: exponential back-off with full jitter.

    Before attempt k a random time between 0 and min(max_delay_s, first_delay_s * 2^k) goes by (k from 0), so that many
    consoles don't return to a restarted server in step (M. Brooker, "Exponential Backoff And Jitter", AWS 2015).

    Attributes:
        attempts: in a row, above 0; then the client gives up. A connection that proved itself starts the count anew.
        first_delay_s: s, above 0.
        max_delay_s: s, at least `first_delay_s`.
        at_start: the first connection is tried as often, too: for a console that may be on before its server.
    """

    attempts: int = 10
    first_delay_s: float = 0.25
    max_delay_s: float = 15.0
    at_start: bool = False

    def __post_init__(self) -> None:
        if self.attempts < 1 or not 0 < self.first_delay_s <= self.max_delay_s:
            raise ValueError(f"expected attempts >= 1 and 0 < first_delay_s <= max_delay_s, got {self}")

    def delay_s(self, attempt: int, draw: float) -> float:
        """Seconds to wait.

        Args:
            attempt: from 0.
            draw: random, 0..1.
        """
        return draw * min(self.max_delay_s, self.first_delay_s * 2.0 ** min(attempt, 64))


class Backoff:
    """Counts one client's failures."""

    def __init__(self, policy: Reconnect) -> None:
        self._policy = policy
        self.failures = 0
        self._began = 0.0

    def next_delay_s(self) -> float | None:
        """Seconds until the next attempt; None where it is time to give up."""
        if self.failures == 0:
            self._began = time.monotonic()
        if self.failures >= self._policy.attempts:
            return None
        self.failures += 1
        return self._policy.delay_s(self.failures - 1, random.random())

    def connection_ended(self, *, lasted_s: float, answered: bool) -> None:
        """A connection came about and ended: one that answered a frame or lasted starts the count anew.

        A server that accepts and hangs up at once doesn't: it would be asked again and again without a pause.
        """
        if answered or lasted_s >= self._policy.max_delay_s:
            self.failures = 0

    @property
    def in_words(self) -> str:
        """What was tried."""
        times = "1 attempt" if self.failures == 1 else f"{self.failures} attempts"
        return f"gave up after {times} in {time.monotonic() - self._began:.1f} s"
