"""The application: routes over HTTP and the stream, as something uvicorn can run."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request, Response, WebSocket
from fastapi.responses import HTMLResponse, JSONResponse
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp

from fetalseg.errors import FetalsegError
from fetalseg.examination_report import CONTENT_SECURITY_POLICY
from fetalseg_server.access.audit import AuditError
from fetalseg_server.access.security import Client, Gate, address_of
from fetalseg_server.error_text import without_folders
from fetalseg_server.live.summary import summary_values
from fetalseg_server.messages import result_message
from fetalseg_server.model_files import known_models
from fetalseg_server.options import SessionOptions, parse_changes
from fetalseg_server.pool.pool import ReloadingError
from fetalseg_server.protocol import Codec, FrameHeader, SkipReason
from fetalseg_server.service import Service
from fetalseg_server.single_image import SingleImage
from fetalseg_server.stream import serve_stream

__all__ = ["STATIC", "create_app"]

STATIC = Path(__file__).parent / "static"

_IMAGE_TYPES = {"image/jpeg": Codec.JPEG, "image/png": Codec.PNG}
# Options of a stream that mean something for one image, as query parameters.
_IMAGE_OPTIONS = ("deadline_ms", "masks", "min_score", "nms")
_STATUS: dict[SkipReason, int] = {
    "decode_error": 400,
    "unsupported_codec": 415,
    "too_large": 413,
    "deadline": 503,
    "overloaded": 503,
    "engine_error": 503,
    "draining": 503,
}


class _RefusalError(Exception):
    """An HTTP answer that is an error."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


def create_app(service: Service) -> ASGIApp:
    """Builds the application; the engine's process starts with it and ends with it."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        await service.start()
        yield
        await service.stop()

    # No generated pages: they load scripts from elsewhere.
    app = FastAPI(title="fetalseg", docs_url=None, redoc_url=None, openapi_url=None, lifespan=lifespan)
    app.add_exception_handler(_RefusalError, _error_response)
    app.add_exception_handler(HTTPException, _no_route_response)
    app.add_exception_handler(ClientDisconnect, _gone_response)
    app.add_exception_handler(Exception, _broken_response)
    _add_routes(app, service)
    app.mount("/", StaticFiles(directory=STATIC, html=True, check_dir=False), name="viewer")
    # Around everything, the answers to errors of our own included.
    return Gate(app, service.access, service.journal)


def _add_routes(app: FastAPI, service: Service) -> None:
    @app.websocket("/v1/stream")
    async def stream(websocket: WebSocket) -> None:
        await serve_stream(websocket, service)

    @app.post("/v1/segment")
    async def segment(request: Request) -> Response:
        return await _segment(request, service)

    @app.get("/v1/models")
    async def models() -> dict[str, Any]:
        return {"models": await asyncio.to_thread(known_models, service.model_path)}

    @app.post("/v1/models/reload")
    async def reload(request: Request) -> JSONResponse:
        return await _reload(request, service)

    @app.get("/v1/sessions/{session}/summary")
    async def summary(session: str, request: Request) -> Response:
        return await _summary(session, request, service)

    @app.get("/healthz")
    async def healthz() -> dict[str, str]:
        return {"status": "alive"}

    @app.get("/readyz")
    async def readyz() -> JSONResponse:
        status = "draining" if service.draining else "ready" if service.ready else "the engine is not ready"
        return JSONResponse({"status": status}, 200 if service.ready else 503)

    @app.get("/metrics")
    async def metrics() -> Response:
        return Response(service.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")


async def _segment(request: Request, service: Service) -> Response:
    """One image in the body, its structures as JSON or drawn on it as PNG."""
    client: Client = request.state.client
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    codec = _IMAGE_TYPES.get(content_type)
    if codec is None:
        raise _RefusalError(
            415, "unsupported_codec", f"expected {' or '.join(_IMAGE_TYPES)}, got {content_type or 'no type'}"
        )
    options = _image_options(request)
    overlay = "image/png" in request.headers.get("accept", "")
    header = FrameHeader(codec, sequence=0)
    with service.place_for_image() as free:
        if not free:
            service.metrics.frames.labels("overloaded").inc()
            text = f"{service.settings.http_waiting} images are waiting or on their way already"
            raise _RefusalError(503, "overloaded", text)
        body = await _limited_body(request, service.settings.max_frame_bytes)
        if not service.ready:
            raise _RefusalError(503, "draining" if service.draining else "engine_error", "the server isn't ready")
        if not service.rates.take_frame(client):
            raise _RefusalError(429, "rate_limited", f"more than {client.max_fps} frames a second with this token")
        image = SingleImage(body, header, options, output="overlay" if overlay else "message")
        answer = await service.segment(image)
    service.metrics.frames.labels(answer.outcome).inc()
    try:
        await service.journal.image(client, address_of(request.scope), service.model, answer.outcome)
    except AuditError as error:
        raise _RefusalError(503, "audit_failed", str(error)) from None
    if answer.outcome != "result":
        raise _RefusalError(_STATUS.get(answer.outcome, 503), answer.outcome, answer.detail)
    if overlay:
        return Response(answer.data, media_type="image/png")
    text = result_message(
        header,
        answer.text.decode(),
        received_us=image.received_ns // 1000,
        sent_us=image.age_ns() // 1000 + image.received_ns // 1000,
        timing_ms={**answer.timing_ms, "total": image.age_ns() / 1e6},
        dropped_before=0,
    )
    return Response(text, media_type="application/json")


async def _reload(request: Request, service: Service) -> JSONResponse:
    """Loads the model again from its file, for administrators."""
    if not request.state.client.admin:
        raise _RefusalError(403, "not_authorised", "expected the token of an administrator")
    if service.draining or not service.ready:
        raise _RefusalError(503, "draining" if service.draining else "engine_error", "the server isn't ready")
    try:
        model = await service.reload()
    except ReloadingError as error:
        raise _RefusalError(409, "reloading", str(error)) from None
    except FetalsegError as error:
        text = f"the new model can't be used, the one before goes on: {without_folders(str(error))}"
        raise _RefusalError(422, "model_error", text) from None
    return JSONResponse({"model": asdict(model)})


async def _summary(session: str, request: Request, service: Service) -> Response:
    """What a session's examination has seen, as JSON or as a page."""
    record = service.records.find(session, request.state.client)
    if record is None:
        raise _RefusalError(404, "unknown_session", "no such session, or not any more")
    if record.examination is None:
        raise _RefusalError(404, "no_examination", "this session keeps no check list")
    # Frames of a patient: no browser may leave them on a disk.
    headers = {"Cache-Control": "no-store"}
    if "text/html" not in request.headers.get("accept", ""):
        return JSONResponse(summary_values(record, record.examination, service.engine), headers=headers)
    page = await service.reports.page(record, record.examination, service.engine)
    if page is None:
        raise _RefusalError(503, "overloaded", "too many reports are being made at a time")
    headers["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
    headers["Content-Disposition"] = f'inline; filename="examination-{record.id[:8]}.html"'
    return HTMLResponse(page, headers=headers)


def _image_options(request: Request) -> SessionOptions:
    values: dict[str, Any] = dict(request.query_params)
    try:
        if unknown := [name for name in values if name not in _IMAGE_OPTIONS]:
            raise ValueError(f"unknown option {unknown[0][:60]}; known options are {', '.join(_IMAGE_OPTIONS)}")
        for name in ("deadline_ms", "min_score"):
            if name in values:
                values[name] = _number(name, values[name])
        options = SessionOptions(**parse_changes(values))
    except ValueError as error:
        raise _RefusalError(400, "bad_option", str(error)) from None
    if options.masks == "labelmap":
        raise _RefusalError(400, "bad_option", "masks must be polygon, rle or none over HTTP, got labelmap")
    return options


def _number(name: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"{name} must be a number, got {text[:60]!r}") from None


async def _limited_body(request: Request, limit: int) -> bytes:
    """The body, refused as soon as it is too long, whatever its length header says."""
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > limit:
            raise _RefusalError(413, "too_large", f"expected at most {limit} bytes")
    return bytes(body)


async def _error_response(request: Request, error: Exception) -> Response:
    assert isinstance(error, _RefusalError)
    return JSONResponse({"error": {"code": error.code, "message": str(error)}}, error.status)


async def _no_route_response(request: Request, error: Exception) -> Response:
    """No such route, or not with this method."""
    assert isinstance(error, HTTPException)
    code = {404: "not_found", 405: "method_not_allowed"}.get(error.status_code, "bad_request")
    return JSONResponse({"error": {"code": code, "message": error.detail}}, error.status_code, error.headers)


async def _gone_response(request: Request, error: Exception) -> Response:
    """The other side went away before its request was complete: nobody reads this."""
    return Response(status_code=400)


async def _broken_response(request: Request, error: Exception) -> Response:
    """A fault of ours. What it was is in the log; a stranger learns nothing of it."""
    return JSONResponse({"error": {"code": "internal_error", "message": "the server failed at this"}}, 500)
