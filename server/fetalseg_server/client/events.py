"""What happens to a client's session beside its answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["SessionEvent", "SessionState"]

SessionState = Literal["connected", "reconnecting", "ended"]


@dataclass(frozen=True)
class SessionEvent:
    """What happens to a session beside its answers, for the person at the console.

    Attributes:
        kind: the new state, or "notice" for what the server says.
        message: in plain words.
        code: of a notice: "draining", "model_changed", "not_yet" and what may be added; else "".
    """

    kind: Literal["connected", "reconnecting", "ended", "notice"]
    message: str
    code: str = ""
