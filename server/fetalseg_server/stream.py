"""`/v1/stream`: from the upgrade of a WebSocket to its session, and every reason for a refusal on the way.

Refusals come after the upgrade, as an `error` message and a close code, because a browser shows its page nothing else.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Coroutine
from dataclasses import replace
from typing import Any, TypeVar

from starlette.websockets import WebSocket, WebSocketDisconnect

from fetalseg_server.access.audit import AuditError
from fetalseg_server.access.security import Client, NotAuthorisedError, address_of, vouch_for
from fetalseg_server.live.session import Session
from fetalseg_server.logs import current_session
from fetalseg_server.messages import Limits, error_message, ready_message
from fetalseg_server.pool.pool import NoCapacityError
from fetalseg_server.protocol import SUBPROTOCOL, CloseCode, Connection, Hello, ProtocolError, Refused
from fetalseg_server.service import Service
from fetalseg_server.shutdown import MomentReachedError

__all__ = ["serve_stream"]

log = logging.getLogger(__name__)

T = TypeVar("T")


class _Peer:
    """A Starlette WebSocket as a session's other side."""

    def __init__(self, websocket: WebSocket) -> None:
        self._websocket = websocket

    async def receive(self) -> str | bytes | None:
        message = await self._websocket.receive()
        if message["type"] == "websocket.disconnect":
            return None
        text: str | None = message.get("text")
        return text if text is not None else bytes(message["bytes"])

    async def send(self, message: str | bytes) -> None:
        try:
            if isinstance(message, str):
                await self._websocket.send_text(message)
            else:
                await self._websocket.send_bytes(message)
        except (WebSocketDisconnect, RuntimeError) as error:
            raise ConnectionError("the connection is closed") from error

    async def close(self, code: int, reason: str) -> None:
        try:
            await self._websocket.close(code, reason)
        except (WebSocketDisconnect, RuntimeError) as error:
            raise ConnectionError("the connection is closed") from error


async def serve_stream(websocket: WebSocket, service: Service) -> None:
    """Serves one connection until its end."""
    service.entering += 1
    try:
        session = await _enter(websocket, service)
    finally:
        service.entering -= 1
    if session is not None:
        await _serve(session, address_of(websocket.scope), service)


async def _enter(websocket: WebSocket, service: Service) -> Session | None:
    """From the upgrade to the answer to `hello`; None where the connection was refused or went away."""
    offered = SUBPROTOCOL in websocket.scope.get("subprotocols", ())
    await websocket.accept(subprotocol=SUBPROTOCOL if offered else None)
    peer = _Peer(websocket)
    connection = Connection()
    try:
        if not offered:
            got = ", ".join(websocket.scope.get("subprotocols", ())) or "none"
            raise ProtocolError(f"expected the subprotocol {SUBPROTOCOL}, got {got}", code="bad_subprotocol")
        _check_page(websocket, service)
        hello = await _unless_draining(_hello(peer, connection, service), service)
        if hello is None:
            return None
        client = _client(websocket, hello, service)
        session = await _admit(peer, connection, hello, client, service)
        await _record(session, address_of(websocket.scope), service)
    except ProtocolError as error:
        service.metrics.closed.labels(str(error.close_code.value)).inc()
        await service.journal.refused(address_of(websocket.scope), error.code)
        await _refuse(peer, error)
        return None
    return session


async def _record(session: Session, address: str, service: Service) -> None:
    """Nobody is served whose session can't be recorded."""
    try:
        await service.journal.connected(session.id, session.client, address, service.model)
    except AuditError as error:
        _leave(session, service)
        session.seat.leave()
        raise ProtocolError(str(error), code="audit_failed", close_code=CloseCode.OVERLOADED) from None


async def _serve(session: Session, address: str, service: Service) -> None:
    """A session from its `ready` to the end of its connection."""
    current_session.set(session.id)
    begun_s, code = time.monotonic(), None
    try:
        code = await session.run()
        service.metrics.closed.labels("none" if code is None else str(code.value)).inc()
    finally:
        _leave(session, service)
        seconds = time.monotonic() - begun_s
        await service.journal.ended(
            session.id, session.client, address, code=code, seconds=seconds, frames=session.outcomes
        )


def _leave(session: Session, service: Service) -> None:
    service.sessions.discard(session)
    service.records.leave(session.record, session)
    service.metrics.sessions.set(len(service.sessions))


async def _unless_draining(work: Coroutine[Any, Any, T], service: Service) -> T:
    try:
        return await service.end_begins.unless_reached(work)
    except MomentReachedError:
        raise ProtocolError("the server is shutting down", code="draining", close_code=CloseCode.DRAINING) from None


def _check_page(websocket: WebSocket, service: Service) -> None:
    """The Host and Origin rules."""
    host, origin = websocket.headers.get("host"), websocket.headers.get("origin")
    if (problem := service.access.page_problem(host, origin)) is not None:
        raise ProtocolError(problem, code="not_authorised", close_code=CloseCode.NOT_AUTHORISED)


async def _hello(peer: _Peer, connection: Connection, service: Service) -> Hello | None:
    """The first message; None where the other side went away before it."""
    limit_s = service.settings.hello_timeout_s
    try:
        async with asyncio.timeout(limit_s):
            message = await peer.receive()
    except TimeoutError:
        raise ProtocolError(
            f"no hello within {limit_s:g} s", code="hello_timeout", close_code=CloseCode.HELLO_TIMEOUT
        ) from None
    if message is None:
        return None
    event = connection.receive_text(message) if isinstance(message, str) else connection.receive_bytes(message)
    assert isinstance(event, Hello), "a connection awaiting hello takes nothing else"
    return event


def _client(websocket: WebSocket, hello: Hello, service: Service) -> Client:
    try:
        client = service.access.client_of(hello.token, address_of(websocket.scope))
    except NotAuthorisedError as error:
        raise ProtocolError(str(error), code="not_authorised", close_code=CloseCode.NOT_AUTHORISED) from None
    vouch_for(websocket.scope)
    return client


async def _admit(peer: _Peer, connection: Connection, hello: Hello, client: Client, service: Service) -> Session:
    """Answers a `hello`; the session is counted from here on."""
    if hello.options.model not in (None, service.model.name):
        raise ProtocolError(f"expected model {service.model.name!r}, got {hello.options.model!r}", code="unknown_model")
    engine = await _unless_draining(service.engine_info(), service)
    if engine is None:
        raise ProtocolError("the engine can't be started", code="engine_error", close_code=CloseCode.OVERLOADED)
    record = None if hello.resume is None else service.records.reclaim(hello.resume, client)
    if service.records.connected >= service.settings.max_sessions:
        raise ProtocolError(
            f"all {service.settings.max_sessions} sessions are taken",
            code="overloaded",
            close_code=CloseCode.OVERLOADED,
        )
    if client.max_sessions is not None and service.records.connected_of(client) >= client.max_sessions:
        raise ProtocolError(
            f"all {client.max_sessions} sessions of this token are taken",
            code="overloaded",
            close_code=CloseCode.OVERLOADED,
        )
    try:
        seat = service.seat_for(client, record)
    except NoCapacityError as error:
        raise ProtocolError(str(error), code="overloaded", close_code=CloseCode.OVERLOADED) from None
    resumed = record is not None
    record = record or service.new_record(client)
    refusals = record.follow(hello.changes)
    record.sit(seat)
    session = Session(
        peer,
        connection,
        record,
        client=client,
        rates=service.rates,
        seat=seat,
        settings=service.settings,
        metrics=service.metrics,
    )
    service.records.hold(record, session)
    service.sessions.add(session)
    service.metrics.sessions.set(len(service.sessions))
    session.say(
        ready_message(
            session=session.id,
            model=service.model,
            engine=engine.engine,
            limits=_limits(service, client),
            features=service.features,
            ladder=service.settings.ladder,
        )
    )
    if hello.resume is not None and not resumed:
        refusals.insert(0, Refused("unknown_session", "resume: no such session, or not any more; this is a new one"))
    for refused in refusals:
        session.say(error_message(refused.code, refused.message, fatal=False))
    return session


def _limits(service: Service, client: Client) -> Limits:
    limits = service.settings.limits
    return limits if client.max_fps is None else replace(limits, max_fps=min(limits.max_fps, client.max_fps))


async def _refuse(peer: _Peer, error: ProtocolError) -> None:
    try:
        async with asyncio.timeout(1):
            await peer.send(error_message(error.code, str(error), fatal=True))
        await peer.close(error.close_code, error.code)
    except (ConnectionError, TimeoutError):
        log.debug("a refused connection went away by itself")
