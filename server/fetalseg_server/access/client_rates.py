"""The frame rate that each client may have, over all its connections."""

from __future__ import annotations

from fetalseg_server.access.tokens import Client
from fetalseg_server.rate_limit import RateLimit

__all__ = ["ClientRates"]

_BURST_S = 2.0  # seconds' worth of frames at once, as for a session


class ClientRates:
    """The frame rate of each client, over all its sessions and single images."""

    def __init__(self) -> None:
        self._rates: dict[Client, RateLimit] = {}

    def take_frame(self, client: Client) -> bool:
        """Whether one more frame of this client is allowed now; if so it is counted."""
        if client.max_fps is None:
            return True
        return self._rates.setdefault(client, RateLimit(client.max_fps, _BURST_S * client.max_fps)).take()
