"""Every number and word that can be set, in one place: from a TOML file, the environment and the command line."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any

from fetalseg_server.messages import Limits

__all__ = ["Settings", "load_settings"]

_PREFIX = "FETALSEG_"
# Variables that start alike and mean something else.
_OTHER_VARIABLES = frozenset({"FETALSEG_MODELS", "FETALSEG_TOKEN"})
_SECRET = "tokens"


@dataclass(frozen=True)
class Settings:
    """How a server runs.

    Attributes:
        host: address to listen at; beyond this machine only with tokens.
        port: 0 takes a free one.
        model: name or path.
        engine: "auto" or a word of `fetalseg.engines.ENGINES`.
        precision: what to compute in; None the engine's choice.
        threads: of one inference; None one for each core.
        max_sessions: streams at a time; the next is told `overloaded`.
        max_frame_bytes: payload of a frame.
        max_pixels: of a decoded frame.
        max_fps: frames per second of one session, sustained; beyond it frames are `rate_limited`.
        tokens_file: one token a line, or None.
        tokens: the same as text, from the environment only: a command line is visible to every user.
        allow_origins: origins of web pages that may use the server.
        hello_timeout_s: from the upgrade to `hello`.
        idle_timeout_s: without any message.
        write_timeout_s: that one write may wait for a reader.
        engine_timeout_s: that an engine may owe an answer before it is killed.
        start_timeout_s: for an engine to load and warm up.
        drain_grace_s: how long sessions stay after SIGTERM at least, so that they and load balancers notice.
        drain_timeout_s: after which the server ends with answers owed.
        shared_memory_bytes: for frames on their way to the engine.
        http_waiting: single images (`/v1/segment`) that may wait at a time.
        receive_buffer_bytes: of a connection in the kernel.
        send_buffer_bytes: likewise.
    """

    host: str = "127.0.0.1"
    port: int = 8420
    model: str = "fetalseg-s"
    engine: str = "auto"
    precision: str | None = None
    threads: int | None = None
    max_sessions: int = 8
    max_frame_bytes: int = 8 * 1024 * 1024  # 1920 x 1200 RGB is 6.9 million
    max_pixels: int = 4096 * 2160
    max_fps: int = 120
    tokens_file: str | None = None
    tokens: str | None = field(default=None, repr=False)
    allow_origins: tuple[str, ...] = ()
    hello_timeout_s: float = 5.0
    idle_timeout_s: float = 60.0
    write_timeout_s: float = 2.0
    engine_timeout_s: float = 5.0
    start_timeout_s: float = 120.0
    drain_grace_s: float = 0.5
    drain_timeout_s: float = 5.0
    shared_memory_bytes: int = 32 * 1024 * 1024
    http_waiting: int = 8
    receive_buffer_bytes: int = 256 * 1024
    send_buffer_bytes: int = 128 * 1024

    def __post_init__(self) -> None:
        for name, least in _LEAST.items():
            value = getattr(self, name)
            if value is not None and value < least:
                raise ValueError(f"{name} must be at least {least}, got {value}")
        if self.port > 65_535:
            raise ValueError(f"port must be at most 65535, got {self.port}")
        if self.shared_memory_bytes < 3 * self.max_frame_bytes:
            raise ValueError(
                f"shared_memory_bytes must hold three frames of max_frame_bytes ({3 * self.max_frame_bytes}), "
                f"got {self.shared_memory_bytes}"
            )

    @property
    def limits(self) -> Limits:
        """What clients are told."""
        return Limits(self.max_frame_bytes, self.max_pixels, self.max_fps)


_LEAST: dict[str, float] = {
    "port": 0,
    "threads": 1,
    "max_sessions": 1,
    "max_frame_bytes": 1024,
    "max_pixels": 256,
    "max_fps": 1,
    "hello_timeout_s": 0.1,
    "idle_timeout_s": 0.1,
    "write_timeout_s": 0.1,
    "engine_timeout_s": 0.1,
    "start_timeout_s": 1,
    "drain_grace_s": 0,
    "drain_timeout_s": 0.1,
    "http_waiting": 1,
    "receive_buffer_bytes": 4096,
    "send_buffer_bytes": 4096,
}


def load_settings(
    file: str | Path | None = None,
    environment: Mapping[str, str] | None = None,
    flags: Mapping[str, Any] | None = None,
) -> Settings:
    """Settings from a TOML file, then the environment (`FETALSEG_PORT`), then the command line; the last one wins.

    Args:
        file: TOML, top-level keys are the fields of `Settings`.
        environment: None reads the process's own.
        flags: by field name; None values are flags that were not given.

    Raises:
        ValueError: an unknown key (the known ones are listed), or a value of the wrong type or range.
    """
    values: dict[str, Any] = {}
    if file is not None:
        values |= _from_file(Path(file))
    values |= _from_environment(os.environ if environment is None else environment)
    values |= {name: value for name, value in (flags or {}).items() if value is not None}
    return Settings(**values)


def _from_file(path: Path) -> dict[str, Any]:
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"can't read the settings file {path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"the settings file {path} is not TOML: {error}") from None
    if _SECRET in values:
        raise ValueError(f"the settings file {path} must not hold tokens; name a tokens_file")
    return {name: _checked(name, value, str(path)) for name, value in values.items()}


def _from_environment(environment: Mapping[str, str]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for variable, text in environment.items():
        if not variable.startswith(_PREFIX) or variable in _OTHER_VARIABLES:
            continue
        name = variable.removeprefix(_PREFIX).lower()
        values[name] = _checked(name, _converted(name, text, variable), variable)
    return values


def _kinds() -> dict[str, type]:
    """Type of each setting, read off its default."""
    optional = {"precision": str, "threads": int, "tokens_file": str, "tokens": str}
    kinds: dict[str, type] = {}
    for entry in fields(Settings):
        assert entry.default is not MISSING
        kinds[entry.name] = optional.get(entry.name) or type(entry.default)
    return kinds


def _converted(name: str, text: str, where: str) -> Any:
    kind = _kinds().get(name)
    if kind is tuple:
        return [part.strip() for part in text.split(",") if part.strip()]
    if kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            raise ValueError(f"{where} must be a number, got {text!r}") from None
    return text


def _checked(name: str, value: Any, where: str) -> Any:
    kinds = _kinds()
    if name not in kinds:
        raise ValueError(f"unknown setting {name} in {where}; known settings are {', '.join(kinds)}")
    kind = kinds[name]
    if kind is tuple:
        if isinstance(value, list) and all(isinstance(part, str) for part in value):
            return tuple(value)
        raise ValueError(f"{name} in {where} must be a list of texts, got {value!r}")
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, kind) or isinstance(value, bool):
        raise ValueError(f"{name} in {where} must be {kind.__name__}, got {value!r}")
    return value
