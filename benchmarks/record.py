"""What a file of results says about where its figures come from."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.machine import Machine

__all__ = ["commit_of", "without_folders", "write_record"]

ROOT = Path(__file__).resolve().parent.parent


def commit_of(folder: Path = ROOT) -> str:
    """The commit of a checkout, with "+" where files differ from it; "unknown" outside of one."""
    commit = _git(folder, "rev-parse", "--short=12", "HEAD")
    if not commit:
        return "unknown"
    return commit + ("+" if _git(folder, "status", "--porcelain", "--untracked-files=no") else "")


def without_folders(words: Sequence[str]) -> list[str]:
    """Words of a command line, paths among them cut to their last part: where this machine keeps files is its own."""
    return [re.sub(r"[^=]*/", "", word.rstrip("/")) for word in words]


def write_record(path: Path, *, tool: str, machine: Machine, commit: str, content: dict[str, Any]) -> None:
    """Writes the figures of one run as JSON, with date, machine and commit; makes the folder.

    Args:
        path: of the file.
        tool: the benchmark's name.
        machine: that it ran on.
        commit: see `commit_of`.
        content: the figures; a "schema" among them takes the place of 1.

    Raises:
        OSError: the file can't be written.
        ValueError: a figure isn't finite.
    """
    head = {
        "schema": 1,
        "tool": tool,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit,
        "machine": machine.as_dict(),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({**head, **content}, indent=2, allow_nan=False) + "\n", encoding="utf-8")


def _git(folder: Path, *arguments: str) -> str:
    try:
        done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
