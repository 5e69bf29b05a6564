"""Ctrl+C and SIGTERM as a wish to end soon, with everything saved."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = ["INTERRUPTED", "ends_softly"]

INTERRUPTED = 130  # exit code

_NOTICE = b"\nstopping after this step; Ctrl+C again ends at once, without saving\n"
_SHORT_NOTICE = b"\nstopping after this step\n"


@contextmanager
def ends_softly(stop: Callable[[], None], *, alone: bool = True) -> Iterator[None]:
    """Within it the first Ctrl+C, and every SIGTERM (a scheduler's way to end a job), call `stop`.

    Args:
        stop: called from a signal handler.
        alone: a second Ctrl+C raises KeyboardInterrupt. Not so where a launcher passes on to its processes what the
            terminal has sent them already.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # signals are the main thread's
        return
    seen = False

    def handle(number: int, frame: FrameType | None) -> None:
        nonlocal seen
        if number == signal.SIGINT:
            if seen and alone:
                raise KeyboardInterrupt
            if not seen:
                os.write(2, _NOTICE if alone else _SHORT_NOTICE)  # print isn't safe in a handler
            seen = True
        stop()

    previous = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
