"""What the server remembers of addresses: connections that have shown no token yet, and wrong tokens.

An address is an IPv4 address or an IPv6 network of 64 bits: that is what one network card can choose from.
"""

from __future__ import annotations

import ipaddress
from collections import Counter

from fetalseg_server.rate_limit import RateLimit

__all__ = ["FailedAttempts", "PendingConnections", "group_of", "parse_address"]

_MAX_ADDRESSES = 10_000


def parse_address(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """An address as a socket tells it; IPv4 that comes through an IPv6 socket is IPv4. None where it is no address."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return None
    mapped = parsed.ipv4_mapped if isinstance(parsed, ipaddress.IPv6Address) else None
    return mapped or parsed


def group_of(address: str) -> str:
    """The name under which an address is remembered."""
    parsed = parse_address(address)
    if isinstance(parsed, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((parsed, 64), strict=False))
    return address if parsed is None else str(parsed)


class PendingConnections:
    """Counts connections that nobody has vouched for yet.

    Args:
        limit: of one address.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._counts: Counter[str] = Counter()

    def enter(self, address: str) -> bool:
        """Whether one more may come; if so it is counted until `leave`."""
        group = group_of(address)
        if self._counts[group] >= self._limit:
            return False
        self._counts[group] += 1
        return True

    def leave(self, address: str) -> None:
        """One has shown its token, or is gone."""
        group = group_of(address)
        self._counts[group] -= 1
        if self._counts[group] <= 0:
            del self._counts[group]

    def __len__(self) -> int:
        return self._counts.total()


class FailedAttempts:
    """Limits how often an address may be wrong about a token.

    An address that was wrong too often isn't looked at for a while, whatever it shows: a guess that isn't compared
    teaches nothing. Its open sessions go on.

    Args:
        per_minute: wrong tokens of one address, at once and in the long run.
    """

    def __init__(self, per_minute: int) -> None:
        self._per_minute = per_minute
        self._limits: dict[str, RateLimit] = {}

    def wait_s(self, address: str) -> float:
        """Seconds until the address is looked at again, 0 now."""
        limit = self._limits.get(group_of(address))
        return 0.0 if limit is None else limit.wait_s()

    def failed(self, address: str) -> None:
        """The address showed a token that opens nothing."""
        group = group_of(address)
        if group not in self._limits and len(self._limits) >= _MAX_ADDRESSES:
            self._forget_some()
        self._limits.setdefault(group, RateLimit(self._per_minute / 60, self._per_minute)).take()

    def _forget_some(self) -> None:
        """Those that owe nothing, and a part of the others, the oldest: many at a time, because it takes a while."""
        self._limits = {group: limit for group, limit in self._limits.items() if not limit.full}
        for group in list(self._limits)[: len(self._limits) - _MAX_ADDRESSES // 2]:
            del self._limits[group]
