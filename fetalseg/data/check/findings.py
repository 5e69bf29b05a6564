"""What a check finds."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, NamedTuple

__all__ = ["Finding", "Level"]

# A note is worth a look, and may be as meant.
Level = Literal["problem", "note"]


class Finding(NamedTuple):
    """One thing that is wrong, or worth a look.

    Attributes:
        level: only a problem makes a check fail.
        rule: a word that groups findings of one kind.
        file: the annotation file.
        where: which of its records, as "image 7".
        message: what was found, and what was expected.
    """

    level: Level
    rule: str
    file: Path
    where: str
    message: str
