"""What errors may tell a client: of its own words, and of the library and its runtimes."""

from __future__ import annotations

import json
import re
from typing import Any

__all__ = ["quoted", "without_folders"]

_LONGEST_QUOTE = 60

# Everything of an absolute path but its last part.
_FOLDERS = re.compile(r"(?<![\w.:/])(?:/[^/\s:'\"]+)+/(?=[^/\s])")


def quoted(value: Any) -> str:
    """A client's value as JSON, cut to a readable length."""
    text = json.dumps(value)
    return text if len(text) <= _LONGEST_QUOTE else text[:_LONGEST_QUOTE] + "..."


def without_folders(text: str) -> str:
    """The text with file names instead of paths, which would tell how the server's machine is laid out."""
    return _FOLDERS.sub("", text)
