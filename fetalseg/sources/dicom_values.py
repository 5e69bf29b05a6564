"""Numbers out of DICOM elements, which may hold one value, several, none, or text that is no number."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

__all__ = ["numbers", "positive"]


def numbers(value: Any) -> list[float]:
    """All values of an element as finite numbers; empty if there are none or one of them is no finite number."""
    values = value if isinstance(value, Iterable) and not isinstance(value, str) else [value]
    try:
        found = [float(item) for item in values]
    except (TypeError, ValueError):
        return []
    return found if all(map(math.isfinite, found)) else []


def positive(value: Any) -> float | None:
    """The first value of an element if it is a finite number above 0."""
    found = numbers(value)
    return found[0] if found and found[0] > 0 else None
