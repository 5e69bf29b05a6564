"""How a time is distributed, as far as so many measurements can tell."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

__all__ = ["percentiles"]

# Percentile: measurements from which on one of them lies beyond it. With fewer it would be the largest, a bit less.
_LEAST = {50: 1, 95: 20, 99: 100}


def percentiles(values: Sequence[float]) -> dict[str, float | None]:
    """ "p50", "p95" and "p99" of at least one value, interpolated linearly; None for one that takes more values."""
    return {
        f"p{p}": round(float(np.percentile(values, p)), 3) if len(values) >= least else None
        for p, least in _LEAST.items()
    }
