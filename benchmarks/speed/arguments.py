"""Values of a command line, checked before anything is measured; what is wrong with one is an `ArgumentTypeError`."""

from __future__ import annotations

import math
import tempfile
from argparse import ArgumentTypeError
from pathlib import Path

__all__ = ["at_least_one", "existing_file", "file_to_write", "milliseconds", "picture_to_write", "size_of"]

_LARGEST_SIDE = 4096  # px; an input of 4096x4096 takes tens of GB already
_PICTURES = (".png", ".svg", ".pdf")


def at_least_one(text: str) -> int:
    """A count."""
    if not text.isdecimal() or int(text) < 1:
        raise ArgumentTypeError(f"expected a whole number from 1 on, got {text!r}")
    return int(text)


def milliseconds(text: str) -> float:
    """A time that something may take."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise ArgumentTypeError(f"expected milliseconds above 0, got {text!r}")
    return value


def size_of(text: str) -> tuple[int, int]:
    """(h, w) in px from "416x288", width first, or "550"."""
    parts = text.split("x")
    if len(parts) > 2 or not all(part.isdecimal() and 0 < int(part) <= _LARGEST_SIDE for part in parts):
        wanted = f"a size as 550 or 416x288 (width x height), sides up to {_LARGEST_SIDE}"
        raise ArgumentTypeError(f"expected {wanted}, got {text!r}")
    return int(parts[-1]), int(parts[0])


def existing_file(text: str) -> Path:
    """A file to read."""
    path = Path(text)
    if not path.is_file():
        raise ArgumentTypeError(f"no file {text}")
    return path


def file_to_write(text: str) -> Path:
    """A file that can be written; its folder is made."""
    path = Path(text)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists():
            path.open("r+b").close()
        else:
            tempfile.TemporaryFile(dir=path.parent).close()
    except OSError as error:
        raise ArgumentTypeError(f"can't write {text}: {error.strerror}") from None
    return path


def picture_to_write(text: str) -> Path:
    """A file that can be written and whose name says which kind of picture."""
    if Path(text).suffix.lower() not in _PICTURES:
        raise ArgumentTypeError(f"expected a name that ends in {', '.join(_PICTURES)}, got {text!r}")
    return file_to_write(text)
