"""Files that hold or record secrets: nobody else on the machine may read or change them."""

from __future__ import annotations

import os
import stat
from pathlib import Path

__all__ = ["check_private", "read_private"]


def check_private(descriptor: int, path: Path, what: str) -> None:
    """Checks an open file, so that what is checked is what is read.

    The group may read: secrets that a container platform mounts often belong to root and the service's group.

    Args:
        descriptor: of the open file.
        path: for the message.
        what: "tokens file" and the like.

    Raises:
        ValueError: not a regular file, or open to others.
    """
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode):
        raise ValueError(f"the {what} {path} is not a regular file")
    if mode & (stat.S_IWGRP | stat.S_IRWXO):
        raise ValueError(
            f"the {what} {path} is open to others: expected mode 0600 or 0640, got {stat.S_IMODE(mode):04o}; "
            f"run: chmod 600 {path}"
        )


def read_private(path: Path, what: str) -> str:
    """The text of a private file.

    Raises:
        ValueError: it can't be read, isn't UTF-8, or is open to others.
    """
    try:
        with path.open(encoding="utf-8") as file:
            check_private(file.fileno(), path, what)
            return file.read()
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"can't read the {what}: {error}") from None
