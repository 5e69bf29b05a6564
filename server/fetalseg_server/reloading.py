"""What SIGHUP reads again while sessions go on: tokens, certificates, the audit's file, and a changed model."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable

from fetalseg.errors import FetalsegError
from fetalseg.model_file import file_digest, find_model
from fetalseg_server.messages import error_message
from fetalseg_server.pool.pool import ReloadingError
from fetalseg_server.protocol import CloseCode
from fetalseg_server.service import Service, read_tokens
from fetalseg_server.transport.tls import Certificates

__all__ = ["reload_everything"]

log = logging.getLogger(__name__)


async def reload_everything(service: Service, certificates: Certificates | None) -> None:
    """Reads each part again; one that can't be used stays as it was, is logged as an error, and keeps no other back."""

    async def reload_certificates() -> None:
        if certificates is not None:
            await asyncio.to_thread(certificates.reload)

    parts: dict[str, Callable[[], Awaitable[None]]] = {
        "audit file": service.journal.audit.reopen,  # first, so that the new file tells of the rest
        "tokens": lambda: _reload_tokens(service),
        "certificates": reload_certificates,
    }
    for name, part in parts.items():
        try:
            await part()
        except ValueError as error:
            log.error("the %s can't be read again, what was before stays: %s", name, error)
        else:
            await service.journal.reloaded(name)
    await _reload_model(service)


async def _reload_tokens(service: Service) -> None:
    """Sessions of a token that was withdrawn are ended."""
    lost = service.access.replace_tokens(await asyncio.to_thread(read_tokens, service.settings))
    for session in tuple(service.sessions):
        if session.client.name in lost:
            session.say(error_message("not_authorised", "the token was withdrawn", fatal=True))
            session.close(CloseCode.NOT_AUTHORISED, "not_authorised", owes=False)


async def _reload_model(service: Service) -> None:
    """Only where the file is another one: to replace the workers for a rotated log would cost a lot for nothing."""
    if not service.ready:
        log.warning("the model is not reloaded: the server is starting or ending")
        return
    with contextlib.suppress(FetalsegError, ReloadingError):  # they are logged
        digest = await asyncio.to_thread(lambda: file_digest(find_model(service.settings.model)))
        if digest != service.model.sha256:
            await service.reload()
