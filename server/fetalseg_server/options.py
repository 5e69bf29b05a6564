"""What a session may choose, in `hello` and again in `configure`."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal, TypeGuard, get_args

from fetalseg.postprocess.options import NMS_KINDS, NmsKind
from fetalseg_server.error_text import quoted

__all__ = ["CODEC_WORDS", "MASK_WORDS", "CodecWord", "MaskWord", "SessionOptions", "parse_changes"]

CodecWord = Literal["jpeg", "png", "gray8", "rgb24"]
CODEC_WORDS: tuple[CodecWord, ...] = get_args(CodecWord)
MaskWord = Literal["polygon", "rle", "labelmap", "none"]
MASK_WORDS: tuple[MaskWord, ...] = get_args(MaskWord)

MAX_DEADLINE_MS = 60_000
MAX_SPACING_MM = 100.0
MAX_SIDE = 65_535
MAX_FETUSES = 8

_LEFT_TO_THE_SERVER = ("model", "min_score", "nms")


@dataclass(frozen=True)
class SessionOptions:
    """Choices of one session; the defaults are those of a `hello` that says nothing.

    Attributes:
        codec: what the client means to send, for admission only; each frame's header decides.
        width: px, likewise; 0 not known.
        height: px, likewise; 0 not known.
        spacing_mm: size of a pixel (y, x), for frames whose header says none.
        deadline_ms: a frame older than this is skipped; None never.
        masks: how masks are coded.
        model: name of the model; None the server's.
        min_score: 0..1, nothing below is returned; None the model's default.
        nms: kind of non-maximum suppression; None the model's default.
        track: give instances identities over time, where the server's features say so.
        fetuses: how many are in the picture.
        examination: keep a check list of structures and views, where the server's features say so.
    """

    codec: CodecWord | None = None
    width: int = 0
    height: int = 0
    spacing_mm: tuple[float, float] | None = None
    deadline_ms: float | None = None
    masks: MaskWord = "polygon"
    model: str | None = None
    min_score: float | None = None
    nms: NmsKind | None = None
    track: bool = True
    fetuses: int = 1
    examination: bool = False

    def changed(self, changes: Mapping[str, Any]) -> SessionOptions:
        """These options with some replaced; `changes` come from `parse_changes`."""
        return replace(self, **changes)

    def filled(self, defaults: SessionOptions) -> SessionOptions:
        """These options, those of `defaults` where they leave the choice to the server."""
        missing = [name for name in _LEFT_TO_THE_SERVER if getattr(self, name) is None]
        return replace(self, **{name: getattr(defaults, name) for name in missing})

    def to_json(self) -> dict[str, Any]:
        """All options by name, ready for JSON."""
        return asdict(self)


def parse_changes(values: Mapping[str, Any], more_known: tuple[str, ...] = ()) -> dict[str, Any]:
    """Checked and converted values, by option name, from a decoded JSON object.

    Args:
        values: by option name.
        more_known: names that the message allows beside them, for the text of an error.

    Raises:
        ValueError: an unknown name (the known ones are listed), or a value of the wrong type or range.
    """
    known = (*more_known, *_READERS)
    if unknown := [name for name in values if name not in _READERS]:
        names = ", ".join(name[:60] for name in unknown[:5])
        raise ValueError(f"unknown option {names}; known options are {', '.join(known)}")
    return {name: _READERS[name](name, value) for name, value in values.items()}


def _is_number(value: Any) -> TypeGuard[float]:
    if isinstance(value, int):  # one of hundreds of digits is more than `isfinite` takes
        return not isinstance(value, bool)
    return isinstance(value, float) and math.isfinite(value)


def _word(words: tuple[str, ...], *, optional: bool) -> Callable[[str, Any], str | None]:
    def read(name: str, value: Any) -> str | None:
        if (value is None and optional) or (isinstance(value, str) and value in words):
            return value
        raise ValueError(f"{name} must be one of {', '.join(words)}, got {quoted(value)}")

    return read


def _whole(low: int, high: int) -> Callable[[str, Any], int]:
    def read(name: str, value: Any) -> int:
        if isinstance(value, int) and not isinstance(value, bool) and low <= value <= high:
            return value
        raise ValueError(f"{name} must be a whole number within {low}..{high}, got {quoted(value)}")

    return read


def _yes_or_no(name: str, value: Any) -> bool:
    if isinstance(value, bool):
        return value
    raise ValueError(f"{name} must be true or false, got {quoted(value)}")


def _spacing(name: str, value: Any) -> tuple[float, float] | None:
    if value is None:
        return None
    if isinstance(value, list) and len(value) == 2 and all(_is_number(v) and 0 < v <= MAX_SPACING_MM for v in value):
        return float(value[0]), float(value[1])
    raise ValueError(
        f"{name} must be [y, x] in mm, above 0 and at most {MAX_SPACING_MM:g}, or null; got {quoted(value)}"
    )


def _deadline(name: str, value: Any) -> float | None:
    if value is None or (_is_number(value) and 0 < value <= MAX_DEADLINE_MS):
        return value
    raise ValueError(f"{name} must be above 0 and at most {MAX_DEADLINE_MS} ms, or null; got {quoted(value)}")


def _score(name: str, value: Any) -> float | None:
    if value is None or (_is_number(value) and 0 <= value <= 1):
        return value
    raise ValueError(f"{name} must be within 0..1, got {quoted(value)}")


def _name(name: str, value: Any) -> str | None:
    if value is None or (isinstance(value, str) and 0 < len(value) <= 128):
        return value
    raise ValueError(f"{name} must be a name of 1..128 characters, got {quoted(value)}")


_READERS: dict[str, Callable[[str, Any], Any]] = {
    "codec": _word(CODEC_WORDS, optional=True),
    "width": _whole(0, MAX_SIDE),
    "height": _whole(0, MAX_SIDE),
    "spacing_mm": _spacing,
    "deadline_ms": _deadline,
    "masks": _word(MASK_WORDS, optional=False),
    "model": _name,
    "min_score": _score,
    "nms": _word(NMS_KINDS, optional=True),
    "track": _yes_or_no,
    "fetuses": _whole(1, MAX_FETUSES),
    "examination": _yes_or_no,
}
assert set(_READERS) == {field.name for field in fields(SessionOptions)}
