"""What a frame costs a worker, measured, and from it how many frames a second may be promised.

Two measurements, of which the larger counts. One is made at the start, and again while nobody streams: all workers at
once are kept busy, so that what they take from each other on shared cores, or on one GPU, is in it. The other is the
live traffic of the last seconds, which rises where frames are richer than the probe, or the machine is busy. It can
also show that the first was made at a bad moment: that one counts for no more than live frames would cost if the other
workers, too, were busy.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from statistics import median

__all__ = ["PROMISED_SHARE", "FrameCost", "WorkerLoad", "stage_ms"]

# Of what a worker can do, this much is promised: frames of several consoles come in bursts, and no two cost the same.
PROMISED_SHARE = 0.85

_RECENT_S = 10.0
_FEWEST = 10  # live frames before they count: a hiccup is no measurement
_MOST = 256


def stage_ms(timing_ms: Mapping[str, float], batch: int = 1) -> float:
    """What a frame costs at least: the longer of the two stages that work side by side.

    Args:
        timing_ms: of a result.
        batch: frames that shared its inference.
    """
    prepare = timing_ms["decode"] + timing_ms["preprocess"]
    return max(prepare, timing_ms["infer"] / batch + timing_ms["postprocess"] + timing_ms["encode"])


class FrameCost:
    """Milliseconds of a worker that one frame takes, on each rung of the quality ladder."""

    def __init__(self) -> None:
        self._calibrated: dict[int, float] = {}
        self._crowding = math.inf
        self._live: dict[int, deque[tuple[float, float]]] = {}

    def calibrate(self, rung: int, cost_ms: float) -> None:
        """Notes what was measured with all workers busy."""
        self._calibrated[rung] = cost_ms

    def calibrate_alone(self, cost_ms: float, most: float) -> None:
        """Notes what a frame costs at full quality while nothing else is worked on.

        Args:
            cost_ms: right after `calibrate`.
            most: times longer that a frame can take beside others.
        """
        if 0 in self._calibrated:
            self._crowding = min(max(1.0, self._calibrated[0] / cost_ms), most)

    def observe(self, now: float, rung: int, cost_ms: float) -> None:
        """Notes the cost of a live frame.

        Args:
            now: seconds on a monotonic clock.
            rung: that it was worked on at.
            cost_ms: as far as it can be told, see `stage_ms`.
        """
        self._live.setdefault(rung, deque(maxlen=_MOST)).append((now, cost_ms))

    def ms(self, now: float, rung: int = 0) -> float | None:
        """The cost of a frame; None before anything is known of the rung."""
        recent = [cost for time, cost in self._live.get(rung, ()) if now - time <= _RECENT_S]
        live = median(recent) if len(recent) >= _FEWEST else None
        calibrated = self._calibrated.get(rung)
        if live is None or calibrated is None:
            return calibrated if live is None else live
        return max(live, min(calibrated, self._crowding * live))

    def fps(self, now: float, rung: int = 0) -> float:
        """Frames a second that may be promised; 0 before anything is known."""
        cost_ms = self.ms(now, rung)
        return 0.0 if cost_ms is None else PROMISED_SHARE * 1000 / max(cost_ms, 1e-3)


class WorkerLoad:
    """What a worker's frames cost it, and how busy it was in the last second.

    Attributes:
        cost: of a frame.
    """

    WINDOW_S = 1.0

    def __init__(self) -> None:
        self.cost = FrameCost()
        self._busy: deque[tuple[float, float]] = deque()  # (when, for how many seconds before)
        self._has_work_since = 0.0
        self._was_idle = True

    def handed_over(self, now: float, in_flight: int) -> None:
        """A frame goes to the worker, which has `in_flight` others; `now` in seconds on a monotonic clock."""
        if in_flight == 0:
            self._has_work_since = now
            self._was_idle = True

    def answered(self, now: float, timing_ms: Mapping[str, float], *, rung: int, batch: int) -> None:
        """A frame is done.

        The time since the answer before is what a frame costs where the worker had another one all the time; where
        it had none, it is too long, since nothing worked beside it.

        Args:
            now: as above.
            timing_ms: of a result, empty for a frame without one.
            rung: that it was worked on at.
            batch: frames that shared its inference.
        """
        busy_s = max(0.0, now - self._has_work_since)
        self._busy.append((now, busy_s))
        self._let_go(now)
        if timing_ms:
            least_ms = stage_ms(timing_ms, batch)
            self.cost.observe(now, rung, least_ms if self._was_idle or batch > 1 else max(least_ms, 1000 * busy_s))
        self._has_work_since = now
        self._was_idle = False

    def busy(self, now: float) -> float:
        """Share of the last second in which the worker had work, 0..1."""
        self._let_go(now)
        return min(1.0, sum(seconds for _, seconds in self._busy) / self.WINDOW_S)

    def _let_go(self, now: float) -> None:
        while self._busy and now - self._busy[0][0] > self.WINDOW_S:
            self._busy.popleft()
