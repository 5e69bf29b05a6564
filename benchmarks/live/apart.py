"""Work in a process of its own, so that what it costs isn't counted where it doesn't belong."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

from fetalseg.errors import FetalsegError

__all__ = ["Apart"]


class Apart:
    """A function that runs in a process of its own and talks through a pipe.

    Args:
        task: gets the arguments and its end of the pipe; what it raises is raised by `hear`.
        arguments: can be pickled.
    """

    def __init__(self, task: Callable[..., None], *arguments: Any) -> None:
        context = multiprocessing.get_context("spawn")  # a fork would copy what the parent's threads hold
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_run, args=(task, arguments, theirs), daemon=True)
        self._process.start()
        theirs.close()

    def tell(self, value: Any) -> None:
        """Sends something to the task."""
        self._pipe.send(value)

    def hear(self, timeout_s: float) -> Any:
        """What the task sends next.

        Raises:
            FetalsegError: nothing came in time, or the process ended.
            Exception: what the task raised.
        """
        if not self._pipe.poll(timeout_s):
            raise FetalsegError(f"a console said nothing for {timeout_s:g} s")
        try:
            said = self._pipe.recv()
        except EOFError:
            raise FetalsegError("a console's process ended without a word") from None
        if isinstance(said, Exception):
            raise said
        return said

    def end(self) -> None:
        """Ends the process, whatever it does."""
        self._process.terminate()
        self._process.join()
        self._pipe.close()


def _run(task: Callable[..., None], arguments: tuple[Any, ...], pipe: Connection) -> None:
    try:
        task(*arguments, pipe)
    except FetalsegError as error:
        pipe.send(error)
    except Exception as error:
        # Of another library: it may not survive the pipe.
        pipe.send(FetalsegError(f"{type(error).__name__}: {error}"))
