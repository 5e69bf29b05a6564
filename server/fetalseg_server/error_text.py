"""Errors of the library and its runtimes, as a client may read them."""

from __future__ import annotations

import re

__all__ = ["without_folders"]

# Everything of an absolute path but its last part.
_FOLDERS = re.compile(r"(?<![\w.:/])(?:/[^/\s:'\"]+)+/(?=[^/\s])")


def without_folders(text: str) -> str:
    """The text with file names instead of paths, which would tell how the server's machine is laid out."""
    return _FOLDERS.sub("", text)
