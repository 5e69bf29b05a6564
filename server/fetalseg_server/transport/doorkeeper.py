"""Who may connect at all, decided before a byte is read."""

from __future__ import annotations

import ipaddress
import logging
from collections.abc import Sequence

from fetalseg_server.access.addresses import PendingConnections, parse_address

__all__ = ["Doorkeeper", "Visit", "parse_networks", "socket_names"]

log = logging.getLogger(__name__)

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def parse_networks(words: Sequence[str]) -> tuple[Network, ...]:
    """Addresses and networks, "10.1.2.3" or "10.1.0.0/16".

    Raises:
        ValueError: something else.
    """
    try:
        return tuple(ipaddress.ip_network(word) for word in words)
    except ValueError as error:
        raise ValueError(f"trusted_proxies must hold addresses or networks: {error}") from None


def socket_names(networks: Sequence[Network]) -> list[str]:
    """Networks in words, those of IPv4 also as an IPv6 socket tells them (RFC 4291, section 2.5.5.2)."""
    mapped = [
        f"::ffff:{network.network_address}/{96 + network.prefixlen}"
        for network in networks
        if isinstance(network, ipaddress.IPv4Network)
    ]
    return [*map(str, networks), *mapped]


class Visit:
    """A connection that counts as pending until somebody vouches for it or it ends."""

    def __init__(self, pending: PendingConnections | None, address: str) -> None:
        self._pending = pending
        self._address = address

    def leave(self) -> None:
        """It doesn't count any more; calling again does nothing."""
        pending, self._pending = self._pending, None
        if pending is not None:
            pending.leave(self._address)


class Doorkeeper:
    """Lets connections in, or not.

    Args:
        max_pending: connections of one address that have shown no token yet. A trusted proxy stands for many
            addresses and isn't counted: it must limit them itself.
        proxies: networks of trusted proxies.
        tls: whether connections are encrypted; where they aren't and there are proxies, nobody else but this machine
            is let in.

    Attributes:
        refused: connections that were not let in.
    """

    def __init__(self, *, max_pending: int, proxies: Sequence[Network], tls: bool) -> None:
        self._pending = PendingConnections(max_pending)
        self._proxies = tuple(proxies)
        self._tls = tls
        self.refused = 0

    @property
    def pending(self) -> int:
        """Connections that nobody has vouched for."""
        return len(self._pending)

    def enter(self, address: str) -> Visit | None:
        """Lets a connection in, None where it must go."""
        if self._is_proxy(address):
            return Visit(None, address)
        if self._proxies and not self._tls and not _is_this_machine(address):
            return self._refused(address, "only a trusted proxy may connect without TLS")
        if not self._pending.enter(address):
            return self._refused(address, "too many of its connections have shown no token")
        return Visit(self._pending, address)

    def _refused(self, address: str, reason: str) -> Visit | None:
        self.refused += 1
        log.debug("a connection was refused: %s", reason, extra={"address": address})
        return None

    def _is_proxy(self, address: str) -> bool:
        parsed = parse_address(address)
        return parsed is not None and any(parsed in network for network in self._proxies)


def _is_this_machine(address: str) -> bool:
    parsed = parse_address(address)
    return parsed is not None and parsed.is_loopback
