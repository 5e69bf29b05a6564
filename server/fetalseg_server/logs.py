"""What the server says of itself on standard error, as text for a person or as JSON for a collector.

Records carry the session that they are about. No record carries a token, a pixel or a payload: the libraries that
would write received messages at the level `debug` are kept at `error`.
"""

from __future__ import annotations

import json
import logging
import sys
from contextvars import ContextVar
from datetime import UTC, datetime

__all__ = ["configure_logs", "current_session", "formatter"]

# The session that the running task serves, "" for none.
current_session: ContextVar[str] = ContextVar("current_session", default="")

# Their debug records hold whole messages, their info and warning records can be called up by any stranger.
_TALKATIVE = ("uvicorn", "websockets", "asyncio", "multipart")
# What callers may add with `extra`, in the order of the output.
_EXTRA = ("session", "client", "address", "code", "reason", "frames", "seconds")


def configure_logs(log_format: str, log_level: str) -> None:
    """Sets up logging of this process, instead of what was set up before.

    Args:
        log_format: "text" or "json".
        log_level: "debug", "info", "warning" or "error".
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter(log_format))
    logging.basicConfig(level=log_level.upper(), handlers=[handler], force=True)
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(logging.ERROR)


def formatter(log_format: str) -> logging.Formatter:
    """Writes a record as a line; "text" or "json"."""
    return _Json() if log_format == "json" else _Text()


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")


def _extra(record: logging.LogRecord) -> dict[str, object]:
    values = {name: getattr(record, name) for name in _EXTRA if hasattr(record, name)}
    if "session" not in values and (session := current_session.get()):
        values["session"] = session
    return values


class _Text(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        """`2026-01-31T12:00:00.000+00:00 INFO fetalseg_server.stream: the session ended session=1f code=1000`."""
        extra = "".join(f" {name}={_plain(value)}" for name, value in _extra(record).items())
        text = f"{_time(record)} {record.levelname} {record.name}: {_one_line(record.getMessage())}{extra}"
        return text if record.exc_info is None else f"{text}\n{self.formatException(record.exc_info)}"


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        """One object, on one line."""
        values: dict[str, object] = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **_extra(record),
        }
        if record.exc_info is not None:
            values["exception"] = self.formatException(record.exc_info)
        return json.dumps(values, default=str, separators=(",", ":"))


def _plain(value: object) -> str:
    if isinstance(value, dict):
        return ",".join(f"{key}:{number}" for key, number in value.items()) or "none"
    text = str(value)
    return json.dumps(text) if " " in text or not text.isprintable() or not text else text


def _one_line(text: str) -> str:
    """A stranger's words must not start a line of their own."""
    return text if text.isprintable() else text.encode("unicode_escape").decode()
