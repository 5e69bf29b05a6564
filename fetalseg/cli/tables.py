"""Tables on a terminal, and in a pipe or a file."""

from __future__ import annotations

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

__all__ = ["plain_table", "table_console"]


def table_console() -> Console:
    """Standard output; what is no terminal gets whole lines, to search in."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=1000)


def plain_table(*headings: str, title: str | None = None) -> Table:
    """Columns under a line, numbers to the right of the first."""
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0))
    for place, heading in enumerate(headings):
        table.add_column(heading, justify="right" if place else "left", no_wrap=True)
    return table
