"""A console in software: its pace, and what it leaves behind."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest

from fetalseg_server.client import ConnectionFailedError, EncodedFrame, encode_frame
from fetalseg_server.client.console import run_console
from server.live import RunningServer

FRAME = encode_frame(np.zeros((32, 32), np.uint8), "gray8")


def slow_frames() -> Iterator[EncodedFrame]:
    while True:
        time.sleep(0.05)
        yield FRAME


async def test_moments_that_a_slow_source_missed_are_late_up_to_the_end_and_no_further(server: RunningServer) -> None:
    second_over = threading.Event()

    def one_frame_too_late() -> Iterator[EncodedFrame]:
        yield FRAME
        second_over.wait()
        yield FRAME

    frames, tell = one_frame_too_late(), lambda figures: second_over.set()
    figures = await run_console(server.url, frames, fps=25, seconds=0.2, on_second=tell)
    assert (figures.sent, figures.dropped, figures.late) == (2, 0, 3)  # five moments in 0.2 s


async def test_no_frame_is_read_any_more_when_a_console_has_ended() -> None:
    with pytest.raises(ConnectionFailedError):
        await run_console("ws://127.0.0.1:9/v1/stream", slow_frames(), fps=25)
    assert "console frames" not in {thread.name for thread in threading.enumerate()}
