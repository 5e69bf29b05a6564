"""The text messages of the stream protocol, built for both directions."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from fetalseg_server.options import SessionOptions
from fetalseg_server.protocol import PROTOCOL_VERSION, WINDOW, FrameHeader, SkipReason

__all__ = [
    "TIMING_KEYS",
    "Limits",
    "ModelDescription",
    "bye_message",
    "configure_message",
    "configured_message",
    "error_message",
    "hello_message",
    "notice_message",
    "ping_message",
    "pong_message",
    "ready_message",
    "result_message",
    "skipped_message",
]

TIMING_KEYS = ("queue", "decode", "preprocess", "infer", "postprocess", "encode", "total")


@dataclass(frozen=True)
class Limits:
    """What a server allows, as told in `ready`.

    Attributes:
        max_frame_bytes: payload of a frame.
        max_pixels: of a decoded frame.
        max_fps: frames per second of one session, sustained.
        window: frames that a client keeps unanswered.
    """

    max_frame_bytes: int
    max_pixels: int
    max_fps: int
    window: int = WINDOW


@dataclass(frozen=True)
class ModelDescription:
    """The model of a session, as told in `ready`.

    Attributes:
        name: "fetalseg-s".
        version: of its weights.
        sha256: of the model file, hexadecimal.
        input: (h, w) of the network.
        structures: names in id order.
    """

    name: str
    version: str
    sha256: str
    input: tuple[int, int]
    structures: tuple[str, ...]


def _text(kind: str, values: Mapping[str, Any]) -> str:
    return json.dumps({"type": kind, **values}, separators=(",", ":"), allow_nan=False)


def hello_message(
    options: Mapping[str, Any] | None = None, *, token: str | None = None, resume: str | None = None
) -> str:
    """The first message of a client; `options` are those of `SessionOptions`, absent ones keep their defaults."""
    secrets = {"token": token, "resume": resume}
    return _text("hello", {**{k: v for k, v in secrets.items() if v is not None}, **(options or {})})


def configure_message(changes: Mapping[str, Any]) -> str:
    """Options to change from the next frame on."""
    return _text("configure", changes)


def ping_message(ping_id: str | float) -> str:
    """A probe of clock and connection."""
    return _text("ping", {"id": ping_id})


def bye_message() -> str:
    """The client sends nothing more."""
    return _text("bye", {})


def ready_message(
    *,
    session: str,
    model: ModelDescription,
    engine: str,
    limits: Limits,
    features: Sequence[str],
    ladder: Sequence[str] = (),
) -> str:
    """The answer to a `hello` that is welcome; `ladder` says what each rung above 0 means."""
    values = {
        "session": session,
        "protocol": PROTOCOL_VERSION,
        "model": asdict(model),
        "engine": engine,
        "limits": asdict(limits),
        "features": list(features),
        **({"ladder": list(ladder)} if ladder else {}),
        "research_use_only": True,
    }
    return _text("ready", values)


def error_message(code: str, message: str, *, fatal: bool) -> str:
    """A refusal; after a fatal one the connection closes."""
    return _text("error", {"code": code, "message": message, "fatal": fatal})


def configured_message(options: SessionOptions) -> str:
    """The answer to `configure`: every option as it is now."""
    return _text("configured", {"options": options.to_json()})


def pong_message(ping_id: str | float | None, *, received_us: int, sent_us: int) -> str:
    """The answer to `ping`, on the server's monotonic clock."""
    return _text("pong", {"id": ping_id, "received_us": received_us, "sent_us": sent_us})


def notice_message(code: str, message: str, model: ModelDescription | None = None) -> str:
    """Something that concerns the results after it: `draining`, `model_changed` with the new model."""
    described = {} if model is None else {"model": asdict(model)}
    return _text("notice", {"code": code, "message": message, **described})


def skipped_message(header: FrameHeader, reason: SkipReason, detail: str, *, received_us: int, sent_us: int) -> str:
    """The answer to a frame without a result."""
    values = {
        "sequence": header.sequence,
        "received_us": received_us,
        "sent_us": sent_us,
        "reason": reason,
        "detail": detail,
    }
    return _text("skipped", values)


def result_message(
    header: FrameHeader,
    body: str,
    *,
    received_us: int,
    sent_us: int,
    timing_ms: Mapping[str, float],
    dropped_before: int,
    rung: int = 0,
    examination: str | None = None,
) -> str:
    """The answer to a frame with its structures.

    Args:
        header: of the frame.
        body: `"view":...,"instances":[...]` as the worker encoded it; it is spliced in as it is, so that the
            server process never parses or builds what grows with the picture.
        received_us: the server's monotonic clock at the frame's last byte.
        sent_us: the same clock now.
        timing_ms: by stage; every key of `TIMING_KEYS` appears, absent ones as 0.
        dropped_before: frames skipped since the result before.
        rung: of the quality ladder, 0 the best.
        examination: what changed in the check list, as JSON; None where nothing did.
    """
    timing = ",".join(f'"{key}":{timing_ms.get(key, 0.0):.3f}' for key in TIMING_KEYS)
    news = "" if examination is None else f',"examination":{examination}'
    return (
        f'{{"type":"result","sequence":{header.sequence},"capture_time_us":{header.capture_time_us},'
        f'"received_us":{received_us},"sent_us":{sent_us},{body},'
        f'"timing_ms":{{{timing}}},"rung":{rung},"dropped_before":{dropped_before}{news}}}'
    )
