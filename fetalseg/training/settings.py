"""Settings that must be the same when something is gone on with."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

__all__ = ["differences"]


def differences(then: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """What differs between settings that were written as JSON and those of today, in words; "" if nothing does.

    Args:
        then: as read from JSON.
        now: values that JSON can hold; tuples count as the lists that they become.
    """
    today = json.loads(json.dumps(now))
    changed = sorted(key for key in then.keys() | today.keys() if then.get(key) != today.get(key))
    return ", ".join(f"{key} was {then.get(key)} and is {today.get(key)}" for key in changed)
