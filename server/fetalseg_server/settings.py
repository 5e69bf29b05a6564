"""Every number and word that can be set, in one place: from a TOML file, the environment and the command line.

A setting is declared once, with its default, its least value and its meaning. The command line, the checks and the
table in server/README.md follow from that.
"""

from __future__ import annotations

import argparse
import math
import os
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import Field, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, get_args, get_type_hints

from fetalseg_server.ladder import parse_ladder
from fetalseg_server.messages import Limits

__all__ = [
    "Settings",
    "add_flags",
    "flag_of",
    "flags_given",
    "load_settings",
    "settings_table",
]

_PREFIX = "FETALSEG_"
_CONFIG_VARIABLE = "FETALSEG_CONFIG"
# Variables that start alike and mean something else.
_OTHER_VARIABLES = frozenset({_CONFIG_VARIABLE, "FETALSEG_MODELS", "FETALSEG_TOKEN"})
_SECRET = "tokens"
_FILES = ("_file", "_cert", "_key", "_ca")


def _setting(
    default: Any, meaning: str, *, least: float | None = None, shown: str | None = None, flag: str | None = None
) -> Any:
    """One field of `Settings`.

    Args:
        default: what it is where nobody says anything.
        meaning: for `--help` and the table in server/README.md.
        least: smallest value that makes sense, None where there is none.
        shown: the default in words, where its value doesn't say it.
        flag: on the command line, where it isn't the name; one that is given several times is named in the singular.
    """
    metadata = {"meaning": meaning, "least": least, "shown": shown, "flag": flag}
    return field(default=default, metadata=metadata, repr=meaning is not _TOKENS_MEANING)


_TOKENS_MEANING = "tokens separated by commas, `token` or `name:token`; only from `FETALSEG_TOKENS`"


@dataclass(frozen=True)
class Settings:
    """How a server runs; each field's meaning stands beside it.

    Raises:
        ValueError: a value that is too small or doesn't go with another.
    """

    host: str = _setting("127.0.0.1", "address; beyond this machine only with tokens, and TLS or a trusted proxy")
    port: int = _setting(8420, "0 takes a free one", least=0)
    tls_cert: str | None = _setting(None, "PEM file: the server's certificate and those that lead to its root")
    tls_key: str | None = _setting(None, "PEM file: the certificate's private key, for its owner's eyes only")
    tls_client_ca: str | None = _setting(None, "PEM file: only clients with a certificate of these authorities connect")
    trusted_proxies: tuple[str, ...] = _setting(
        (),
        "addresses or networks of TLS proxies in front of the server: their `X-Forwarded-For` is believed, and "
        "without `tls_cert` nobody else beyond this machine is served",
        flag="--trusted-proxy",
    )
    tokens_file: str | None = _setting(None, "who may use the server, described below")
    tokens: str | None = _setting(None, _TOKENS_MEANING)
    allow_origins: tuple[str, ...] = _setting(
        (), "origins of web pages that may use the server, `https://console.example`", flag="--allow-origin"
    )
    model: str = _setting("fetalseg-s", "name or path")
    engine: str = _setting("auto", "`tensorrt`, `openvino`, `onnxruntime`, `torch`")
    device: str | None = _setting(None, "where it runs: `cpu`, `cuda`, `tensorrt`", shown="the best that works")
    engine_cache: str | None = _setting(None, "folder for engines that TensorRT builds, which takes it minutes")
    precision: str | None = _setting(None, "what to compute in", shown="the engine's choice")
    workers: int = _setting(1, "processes with an engine each; a session stays with one of them", least=1)
    threads: int | None = _setting(None, "of one inference", least=1, shown="the cores, divided among the workers")
    batch: int | None = _setting(None, "frames that the network takes at once", least=1, shown="the fastest, measured")
    ladder: tuple[str, ...] = _setting(
        (), "what sessions give up under load, one text for each rung, described below", flag="--rung"
    )
    max_sessions: int = _setting(8, "streams at a time, if the machine can serve as many", least=1)
    session_fps: float = _setting(
        25.0,
        "frames per second that a session of weight 1 may count on; who can't get them is told `overloaded`",
        least=0.1,
    )
    max_frame_bytes: int = _setting(8 * 1024 * 1024, "payload of a frame", least=1024)  # 1920 x 1200 RGB is 6.9 million
    max_pixels: int = _setting(4096 * 2160, "of a decoded frame", least=256)
    max_fps: int = _setting(120, "frames per second of one session, sustained", least=1)
    max_pending: int = _setting(32, "connections of one address that have shown no token yet", least=1)
    max_failed_attempts: int = _setting(10, "wrong tokens a minute of one address; then it has to wait", least=1)
    request_timeout_s: float = _setting(
        10.0, "for a TLS handshake, and for all of an HTTP request or upgrade to arrive", least=0.1
    )
    hello_timeout_s: float = _setting(5.0, "from the upgrade to `hello`", least=0.1)
    idle_timeout_s: float = _setting(60.0, "without any message", least=0.1)
    write_timeout_s: float = _setting(2.0, "for one write", least=0.1)
    engine_timeout_s: float = _setting(5.0, "that the engine may owe an answer before it is killed", least=0.1)
    start_timeout_s: float = _setting(120.0, "for the engine to load and warm up", least=1)
    probe_interval_s: float = _setting(
        15.0, "without frames, after which the engine is asked whether it answers", least=1
    )
    drain_grace_s: float = _setting(0.5, "that sessions stay after SIGTERM at least", least=0)
    drain_timeout_s: float = _setting(5.0, "after which answers are given up", least=0.1)
    shared_memory_bytes: int = _setting(32 * 1024 * 1024, "for frames on their way to the worker")
    http_waiting: int = _setting(8, "single images that may wait or be on their way", least=1)
    examination_bytes: int = _setting(16 * 1024 * 1024, "best frames of one examination, in memory", least=0)
    resume_s: float = _setting(60.0, "that a session whose connection broke can be resumed", least=0)
    summary_s: float = _setting(60.0, "that an examination's summary and frames stay after its session", least=0)
    kept_sessions: int = _setting(32, "sessions without a connection that are kept for these two", least=0)
    receive_buffer_bytes: int = _setting(256 * 1024, "of a connection in the kernel", least=4096)
    send_buffer_bytes: int = _setting(128 * 1024, "likewise", least=4096)
    log_format: Literal["text", "json"] = _setting("text", "`text`, or `json`: one object a line, on standard error")
    log_level: Literal["debug", "info", "warning", "error"] = _setting("info", "`debug`, `info`, `warning`, `error`")
    audit_file: str | None = _setting(None, "append-only record of who connected and what came of it, described below")

    def __post_init__(self) -> None:
        for entry in fields(self):
            _check_value(entry, getattr(self, entry.name))
        if self.port > 65_535:
            raise ValueError(f"port must be at most 65535, got {self.port}")
        if self.shared_memory_bytes < 3 * self.max_frame_bytes:
            raise ValueError(
                f"shared_memory_bytes must hold three frames of max_frame_bytes ({3 * self.max_frame_bytes}), "
                f"got {self.shared_memory_bytes}"
            )
        parse_ladder(self.ladder)
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ValueError("tls_cert and tls_key go together, got one of them")
        if self.tls_client_ca is not None and self.tls_cert is None:
            raise ValueError("tls_client_ca needs tls_cert and tls_key")

    @property
    def limits(self) -> Limits:
        """What clients are told."""
        return Limits(self.max_frame_bytes, self.max_pixels, self.max_fps)


_HINTS = get_type_hints(Settings)


def _check_value(entry: Field[Any], value: Any) -> None:
    least, words = entry.metadata["least"], get_args(_HINTS[entry.name])
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{entry.name} must be finite, got {value}")
    if least is not None and value is not None and value < least:
        raise ValueError(f"{entry.name} must be at least {least}, got {value}")
    if words and all(isinstance(word, str) for word in words) and value not in words:
        raise ValueError(f"{entry.name} must be one of {', '.join(words)}, got {value!r}")


def flag_of(name: str) -> str | None:
    """The command-line flag of a setting; None for the tokens: a command line is visible to every user."""
    if name == _SECRET:
        return None
    entry = next(entry for entry in fields(Settings) if entry.name == name)
    return entry.metadata["flag"] or "--" + name.replace("_", "-")


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Declares a flag for every setting, and `--config`."""
    parser.allow_abbrev = False  # or `--tokens SECRET` would be read as the name of the tokens file
    parser.add_argument("--config", metavar="FILE", help="TOML file with any setting; see server/README.md")
    for entry in fields(Settings):
        if (flag := flag_of(entry.name)) is None:
            continue
        default = entry.metadata["shown"] or _in_words(entry.default)
        text = f"{entry.metadata['meaning'].replace('`', '')} (default {default})".replace("%", "%%")
        kind = _kind(entry.name)
        action = "append" if kind is tuple else "store"
        metavar = "N" if kind in (int, float) else "FILE" if entry.name.endswith(_FILES) else "WORD"
        parser.add_argument(flag, dest=entry.name, action=action, metavar=metavar, default=argparse.SUPPRESS, help=text)


def flags_given(args: argparse.Namespace) -> dict[str, Any]:
    """The settings among the parsed arguments.

    Raises:
        ValueError: a value of the wrong type.
    """
    given = {entry.name: getattr(args, entry.name) for entry in fields(Settings) if hasattr(args, entry.name)}
    return {
        name: _checked(name, _converted(name, value, str(flag_of(name))), str(flag_of(name)))
        for name, value in given.items()
    }


def load_settings(
    file: str | Path | None = None,
    environment: Mapping[str, str] | None = None,
    flags: Mapping[str, Any] | None = None,
) -> Settings:
    """Settings from a TOML file, then the environment (`FETALSEG_PORT`), then the command line; the last one wins.

    Args:
        file: TOML, top-level keys are the fields of `Settings`; None takes the one that FETALSEG_CONFIG names, if any.
        environment: None reads the process's own.
        flags: by field name; None values are flags that were not given.

    Raises:
        ValueError: an unknown key (the known ones are listed), or a value of the wrong type or range.
    """
    environment = os.environ if environment is None else environment
    file = file or environment.get(_CONFIG_VARIABLE) or None
    values: dict[str, Any] = {}
    if file is not None:
        values |= _from_file(Path(file))
    values |= _from_environment(environment)
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


def _kind(name: str) -> type | None:
    """The type of a setting's value, None for an unknown name."""
    hint = _HINTS.get(name)
    if hint in (int, float, str) or hint is None:
        return hint
    first = get_args(hint)[0]  # of `int | None`, of `tuple[str, ...]`, of Literal["text", "json"]
    if hint == tuple[str, ...]:
        return tuple
    return first if isinstance(first, type) else str


def _converted(name: str, value: str | Sequence[str], where: str) -> Any:
    """What a text of the environment or the command line means."""
    kind = _kind(name)
    if kind is tuple:
        parts = value.split(",") if isinstance(value, str) else value
        return [part.strip() for part in parts if part.strip()]
    if kind in (int, float):
        assert isinstance(value, str)
        try:
            return kind(value)
        except ValueError:
            raise ValueError(f"{where} must be a number, got {value!r}") from None
    return value


def _checked(name: str, value: Any, where: str) -> Any:
    kind = _kind(name)
    if kind is None:
        raise ValueError(f"unknown setting {name} in {where}; known settings are {', '.join(_HINTS)}")
    if kind is tuple:
        if isinstance(value, list) and all(isinstance(part, str) for part in value):
            return tuple(value)
        raise ValueError(f"{name} in {where} must be a list of texts, got {value!r}")
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, kind) or isinstance(value, bool):
        raise ValueError(f"{name} in {where} must be {kind.__name__}, got {value!r}")
    return value


def _in_words(default: Any) -> str:
    if default is None or default == ():
        return "none"
    return f"{default:g}" if isinstance(default, float) else str(default)


def settings_table() -> str:
    """The table of server/README.md, as Markdown."""
    rows = ["| setting | flag | default | meaning |", "|---|---|---|---|"]
    for entry in fields(Settings):
        flag = flag_of(entry.name)
        default = entry.metadata["shown"] or _in_words(entry.default)
        rows.append(f"| `{entry.name}` | {f'`{flag}`' if flag else ''} | {default} | {entry.metadata['meaning']} |")
    return "\n".join(rows)
