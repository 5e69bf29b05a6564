"""The progress bar of long commands."""

from __future__ import annotations

from rich.console import Console
from rich.progress import Progress, ProgressColumn

__all__ = ["progress_bar"]


def progress_bar(*columns: ProgressColumn | str) -> Progress:
    """A bar on standard error that is gone at the end; only on a terminal, as a log would collect blank lines."""
    console = Console(stderr=True)
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
