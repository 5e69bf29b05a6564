"""Files that say what they are and whether they are whole: 8 bytes of magic, SHA-256 of the rest, the rest."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from fetalseg.errors import ModelFileError

__all__ = ["read_sealed", "write_sealed", "write_whole"]

_MAGIC_BYTES = 8
_DIGEST_BYTES = 32


def write_sealed(path: Path, magic: bytes, body: bytes) -> None:
    """Writes a file whole or not at all.

    Raises:
        ModelFileError: it can't be written.
    """
    assert len(magic) == _MAGIC_BYTES
    write_whole(path, magic + hashlib.sha256(body).digest() + body)


def read_sealed(path: Path, magic: bytes, what: str) -> bytes:
    """The body of a file.

    Args:
        path: of the file.
        magic: that it must begin with.
        what: it is expected to be, "an engine file".

    Raises:
        ModelFileError: it can't be read, is something else, or is damaged.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ModelFileError(f"can't read {path}: {error.strerror}") from None
    if not data.startswith(magic):
        raise ModelFileError(f"{path.name} is not {what} of fetalseg")
    start = _MAGIC_BYTES + _DIGEST_BYTES
    body = data[start:]
    if hashlib.sha256(body).digest() != data[_MAGIC_BYTES:start]:
        raise ModelFileError(f"{path.name} is damaged or cut short: its SHA-256 is another one")
    return body


def write_whole(path: Path, data: bytes) -> None:
    """Writes a file beside its place and moves it there, so that nobody ever reads half of it.

    Raises:
        ModelFileError: it can't be written.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            partial.write_bytes(data)
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
    except OSError as error:
        raise ModelFileError(f"can't write {path}: {error.strerror}") from None
