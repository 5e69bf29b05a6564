"""When to hand over the next frame: so late that it is the newest, so early that the network needn't wait for it.

A frame that is handed over as soon as there is a place grows old behind the one in the network, while newer ones come.
Measured on a busy machine, where the network took 150 ms for frames that came every 40 ms: without this, answers were
368 ms old in the median, with it 264 ms, for the same number of results.
"""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["Pace"]

_WEIGHT = 0.2  # of the latest frame in the running means
_MARGIN_S = 0.003  # for the way to the worker and for timers that count whole milliseconds


class Pace:
    """Running means of the two stages, and from them the moment for the next frame.

    All times are seconds on one monotonic clock.
    """

    def __init__(self) -> None:
        self._prepare_s = 0.0
        self._network_s = 0.0
        self._network_from = 0.0

    def handed_over(self, now: float) -> None:
        """A frame went to an idle worker: its network starts once it is prepared."""
        self._network_from = now + self._prepare_s

    def answered(self, now: float, timing_ms: Mapping[str, float]) -> None:
        """A frame is done; the next one, if there is one, is in the network from now on.

        Args:
            now: the time.
            timing_ms: of a result, by stage; empty for a frame without one.
        """
        self._network_from = now
        if timing_ms:
            prepare_ms = timing_ms["decode"] + timing_ms["preprocess"]
            network_ms = timing_ms["infer"] + timing_ms["postprocess"] + timing_ms["encode"]
            self._prepare_s += _WEIGHT * (prepare_ms / 1000 - self._prepare_s)
            self._network_s += _WEIGHT * (network_ms / 1000 - self._network_s)

    def next_at(self) -> float:
        """When a frame handed over beside the one in the network is ready just before that one is done."""
        return self._network_from + self._network_s - self._prepare_s - _MARGIN_S
