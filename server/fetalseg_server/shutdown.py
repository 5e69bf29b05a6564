"""Waits that end when the server does."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

__all__ = ["Moment", "MomentReachedError"]

T = TypeVar("T")


class MomentReachedError(Exception):
    """What was waited for had not come when the moment did."""


class Moment:
    """A step of the server's end, which comes once and stays."""

    def __init__(self) -> None:
        self._reached = asyncio.Event()

    def reach(self) -> None:
        """It is now; whoever waits is told."""
        self._reached.set()

    async def unless_reached(self, work: Coroutine[Any, Any, T]) -> T:
        """The result of `work`, which is cancelled at the moment.

        Raises:
            MomentReachedError: the moment came first.
        """
        tasks = asyncio.create_task(work), asyncio.create_task(self._reached.wait())
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if self._reached.is_set():  # even where both have come
                raise MomentReachedError
            return tasks[0].result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
