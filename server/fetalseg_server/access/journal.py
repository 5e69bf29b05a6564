"""What becomes of connections, told to the logs and to the audit alike."""

from __future__ import annotations

import contextlib
import logging
from collections import Counter

from fetalseg_server.access.audit import AuditError, AuditLog
from fetalseg_server.access.tokens import Client
from fetalseg_server.messages import ModelDescription
from fetalseg_server.rate_limit import RateLimit

__all__ = ["Journal"]

log = logging.getLogger(__name__)

# Refusals cost a stranger nothing; beyond this rate they are counted, not written one by one.
_REFUSALS_PER_S = 5.0
_REFUSALS_AT_ONCE = 100


class Journal:
    """The one place that decides what is told of a connection.

    Only `connected` and `image` can fail: nobody is served whose record can't be written. The end of a session that
    can't be recorded is an error in the logs, and the session has ended all the same.

    Args:
        audit: where records go.
    """

    def __init__(self, audit: AuditLog) -> None:
        self.audit = audit
        self._refusals = RateLimit(_REFUSALS_PER_S, _REFUSALS_AT_ONCE)
        self._untold = 0

    async def started(self, model: ModelDescription, engine: str) -> None:
        """The engine is warm."""
        with contextlib.suppress(AuditError):
            await self.audit.record("started", **_facts(model), engine=engine)

    async def connected(self, session: str, client: Client, address: str, model: ModelDescription) -> None:
        """A session begins.

        Raises:
            AuditError: it can't be recorded, and must not begin.
        """
        await self.audit.record("connected", session=session, client=client.name, address=address, **_facts(model))
        log.info("a session began", extra={"session": session, "client": client.name, "address": address})

    async def ended(
        self, session: str, client: Client, address: str, *, code: int | None, seconds: float, frames: Counter[str]
    ) -> None:
        """A session's connection has ended; `code` is None where the other side went away."""
        values = {"code": code, "seconds": round(seconds, 3), "frames": dict(frames)}
        log.info("a session ended", extra={"session": session, "client": client.name, "address": address, **values})
        with contextlib.suppress(AuditError):
            await self.audit.record(
                "ended",
                session=session,
                client=client.name,
                address=address,
                code=code,
                seconds=round(seconds, 3),
                frames=dict(frames),
            )

    async def image(self, client: Client, address: str, model: ModelDescription, outcome: str) -> None:
        """A single image was asked for over HTTP.

        Raises:
            AuditError: it can't be recorded, and must not be answered.
        """
        await self.audit.record("image", client=client.name, address=address, **_facts(model), outcome=outcome)

    async def refused(self, address: str, reason: str) -> None:
        """Somebody was sent away; `reason` is a word of ours, never one of theirs."""
        if not self._refusals.take():
            self._untold += 1
            return
        untold, self._untold = self._untold, 0
        log.info("refused", extra={"address": address, "reason": reason})
        with contextlib.suppress(AuditError):
            await self.audit.record("refused", address=address, reason=reason, untold_before=untold)

    async def reloaded(self, what: str) -> None:
        """Files were read again, or the model."""
        log.info("reloaded: %s", what)
        with contextlib.suppress(AuditError):
            await self.audit.record("reloaded", what=what)

    async def stopped(self) -> None:
        """The server ends in good order."""
        with contextlib.suppress(AuditError):
            await self.audit.record("stopped")


def _facts(model: ModelDescription) -> dict[str, str]:
    return {"model": model.name, "version": model.version, "sha256": model.sha256}
