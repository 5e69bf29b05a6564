"""The record of who used the server: appended line by line, never changed, without pixels or tokens."""

from __future__ import annotations

import asyncio
import json
import logging
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from fetalseg_server.access.private_file import check_private

__all__ = ["AuditError", "AuditEvent", "AuditLog"]

log = logging.getLogger(__name__)

AuditEvent = Literal["started", "connected", "refused", "ended", "image", "reloaded", "stopped"]
Value = str | int | float | bool | None | dict[str, int]


class AuditError(Exception):
    """A record could not be written."""


class AuditLog:
    """Appends records to a file, or to none.

    A record is one line of JSON, on the disk before the call returns. Writing happens in a thread, because a disk may
    be slow and frames must not wait.

    Args:
        path: the file, made with mode 0600 where there is none; None keeps no record.

    Attributes:
        failing: the last record could not be written.
        failures: records that are missing.

    Raises:
        ValueError: the file can't be opened, isn't a regular file, or is open to others.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._descriptor = None if path is None else _open(path)
        self._turn = asyncio.Lock()
        self.failing = False
        self.failures = 0

    async def record(self, event: AuditEvent, **values: Value) -> None:
        """Appends one record: its time, the event, and what is told of it.

        Raises:
            AuditError: it could not be written; this was logged as an error, and the next record tries again.
        """
        if self._descriptor is None:
            return
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        line = json.dumps({"time": now, "event": event, **values}, separators=(",", ":")).encode() + b"\n"
        async with self._turn:  # one after the other, so that lines stand in order
            # Shielded: a task that is cancelled at the end of the server still leaves a whole line.
            await asyncio.shield(asyncio.get_running_loop().run_in_executor(None, self._append, line))

    async def reopen(self) -> None:
        """Goes on in a new file of the same name, after the old one was renamed.

        Raises:
            ValueError: as at the start; then the old file is kept.
        """
        if self._path is None:
            return
        descriptor = _open(self._path)
        async with self._turn:
            former, self._descriptor = self._descriptor, descriptor
        assert former is not None
        os.close(former)

    def close(self) -> None:
        """Lets go of the file."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)

    def _append(self, line: bytes) -> None:
        assert self._descriptor is not None
        try:
            written = os.write(self._descriptor, line)
            if written != len(line):
                raise OSError(f"{written} of {len(line)} bytes were written")
            os.fsync(self._descriptor)
        except OSError as error:
            self.failing = True
            self.failures += 1
            log.error("the audit log can't be written: %s", error)
            raise AuditError("the audit log can't be written") from None
        self.failing = False


def _open(path: Path) -> int:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK, 0o600)
    except OSError as error:
        raise ValueError(f"can't open the audit file {path}: {error.strerror}") from None
    try:
        check_private(descriptor, path, "audit file")
    except ValueError:
        os.close(descriptor)
        raise
    return descriptor
