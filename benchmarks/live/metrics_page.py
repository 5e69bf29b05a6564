"""What a server says about itself at `/metrics`, in Prometheus' text format."""

from __future__ import annotations

import math
import re
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["Histogram", "MetricsPage", "parse_metrics", "read_metrics"]

_LAG = "fetalseg_event_loop_lag_seconds"
_SAMPLE = re.compile(r"^(?P<name>[a-zA-Z_:][\w:]*)(?:\{(?P<labels>.*)\})? (?P<value>\S+)")
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
_TIMEOUT_S = 10


@dataclass(frozen=True)
class Histogram:
    """Counts up to and including each bound, as Prometheus keeps them.

    Attributes:
        cumulative: by upper bound; the last bound is infinite.
    """

    cumulative: Mapping[float, float]

    def since(self, before: Histogram) -> Histogram:
        """What was counted after an earlier look at the same histogram."""
        return Histogram({bound: n - before.cumulative.get(bound, 0.0) for bound, n in self.cumulative.items()})

    def quantile(self, share: float) -> float | None:
        """As Prometheus' `histogram_quantile`: linear within a bucket; None of nothing, the last bound beyond it.

        Args:
            share: 0..1.
        """
        bounds = sorted(self.cumulative)
        total = self.cumulative[bounds[-1]] if bounds else 0.0
        if total <= 0:
            return None
        wanted, low, below = share * total, 0.0, 0.0
        for bound in bounds:
            count = self.cumulative[bound]
            if count >= wanted and count > below:
                return low if math.isinf(bound) else low + (bound - low) * (wanted - below) / (count - below)
            low, below = bound, count
        return low


@dataclass(frozen=True)
class MetricsPage:
    """One look at a server's metrics; what it doesn't tell is absent.

    Attributes:
        values: by name and labels, as they are written: `fetalseg_frames_total{outcome="result"}`.
        event_loop_lag: seconds.
    """

    values: Mapping[str, float] = field(default_factory=dict)
    event_loop_lag: Histogram = field(default_factory=lambda: Histogram({}))


def parse_metrics(text: str) -> MetricsPage:
    """Reads Prometheus' text format as far as the benchmarks need it."""
    values: dict[str, float] = {}
    buckets: dict[float, float] = {}
    for line in text.splitlines():
        if (match := _SAMPLE.match(line)) is None:
            continue
        labels = dict(_LABEL.findall(match["labels"] or ""))
        values[line.rpartition(" ")[0]] = float(match["value"])
        if match["name"] == f"{_LAG}_bucket":
            buckets[float(labels["le"])] = float(match["value"])
    return MetricsPage(values, Histogram(buckets))


def read_metrics(http: str, token: str | None = None) -> MetricsPage:
    """Asks a server.

    Raises:
        OSError: it doesn't answer, or refuses.
    """
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # never through a proxy
    with opener.open(urllib.request.Request(f"{http}/metrics", headers=headers), timeout=_TIMEOUT_S) as response:
        return parse_metrics(response.read().decode())
