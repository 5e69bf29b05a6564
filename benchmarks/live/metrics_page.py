"""How late a server's event loop was, from its `/metrics` in Prometheus' text format."""

from __future__ import annotations

import math
import re
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["Histogram", "parse_lag", "read_lag"]

_BUCKET = re.compile(r'fetalseg_event_loop_lag_seconds_bucket\{le="(?P<bound>[^"]+)"\} (?P<count>\S+)')
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


def parse_lag(page: str) -> Histogram:
    """By how many seconds the event loop was late; empty where the page doesn't tell."""
    matches = map(_BUCKET.match, page.splitlines())
    return Histogram({float(match["bound"]): float(match["count"]) for match in matches if match})


def read_lag(http: str, token: str | None = None) -> Histogram:
    """Asks a server.

    Raises:
        OSError: it doesn't answer, or refuses.
    """
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # never through a proxy
    with opener.open(urllib.request.Request(f"{http}/metrics", headers=headers), timeout=_TIMEOUT_S) as response:
        return parse_lag(response.read().decode())
