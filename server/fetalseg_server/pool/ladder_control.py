"""Who steps down the quality ladder, and who up again: one step at a time, with hysteresis."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from fetalseg_server.ladder import Rung

__all__ = ["INTERVAL_S", "Climber", "LadderControl"]

INTERVAL_S = 0.5  # between two looks, and so between two steps

# Frames are lost to load only where the worker is busy; a console that sends in bursts loses frames on an idle one.
_BUSY = 0.9
_LOST = 0.05
# A step up must leave room, else it is taken back at once.
_ROOM = 0.8
_CALM_S = 5.0
_LONGEST_CALM_S = 60.0


class Climber(Protocol):
    """A session on the ladder.

    Attributes:
        rung: where it stands, 0 for full quality.
    """

    rung: int

    @property
    def weight(self) -> float:
        """Those of little weight step down first and up last."""

    @property
    def fps(self) -> float:
        """Frames a second that it sends."""

    @property
    def lost(self) -> float:
        """Share of its frames, 0..1, that lately had no result in time."""


class LadderControl:
    """Moves the sessions of one worker.

    A step up that leads to losses within the calm it needed is followed by a calm of twice the length, up to a minute,
    so that a load at the border doesn't make quality swing.

    Args:
        rungs: see `parse_ladder`.
    """

    def __init__(self, rungs: Sequence[Rung]) -> None:
        self._rungs = rungs
        self._calm_s = _CALM_S
        self._calm_from: float | None = None
        self._up_at: float | None = None

    def regulate(
        self, now: float, busy: float, climbers: Sequence[Climber], cost_ms: Callable[[int], float | None]
    ) -> Climber | None:
        """Makes at most one step.

        Args:
            now: seconds on a monotonic clock.
            busy: share of the last second in which the worker had work.
            climbers: its sessions.
            cost_ms: of a frame on a rung, None where that isn't known.

        Returns:
            Who stepped, None where nobody did.
        """
        if busy >= _BUSY and any(climber.lost >= _LOST for climber in climbers):
            return self._step_down(now, climbers)
        if self._calm_from is None:
            self._calm_from = now
        if now - self._calm_from < self._calm_s:
            return None
        if self._up_at is not None and now - self._up_at >= self._calm_s:
            self._calm_s, self._up_at = _CALM_S, None  # the last step up has held
        return self._step_up(now, busy, climbers, cost_ms)

    def _step_down(self, now: float, climbers: Sequence[Climber]) -> Climber | None:
        if self._up_at is not None and now - self._up_at < self._calm_s:
            self._calm_s, self._up_at = min(2 * self._calm_s, _LONGEST_CALM_S), None
        self._calm_from = None
        able = [climber for climber in climbers if climber.rung < len(self._rungs) - 1]
        if not able:
            return None
        chosen = min(able, key=lambda climber: (climber.rung, climber.weight))
        chosen.rung += 1
        return chosen

    def _step_up(
        self, now: float, busy: float, climbers: Sequence[Climber], cost_ms: Callable[[int], float | None]
    ) -> Climber | None:
        able = [climber for climber in climbers if climber.rung > 0]
        if not able:
            return None
        chosen = max(able, key=lambda climber: (climber.rung, climber.weight))
        more = self._load(chosen, chosen.rung - 1, cost_ms) - self._load(chosen, chosen.rung, cost_ms)
        if busy + more > _ROOM:
            return None
        chosen.rung -= 1
        self._up_at = self._calm_from = now
        return chosen

    def _load(self, climber: Climber, rung: int, cost_ms: Callable[[int], float | None]) -> float:
        """Share of the worker's time that a session takes on a rung."""
        rate = climber.fps / 2 if self._rungs[rung].half_rate else climber.fps
        return rate * (cost_ms(rung) or 0.0) / 1000
