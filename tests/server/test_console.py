"""A console in software, away from any server."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest

from fetalseg_server.client import ConnectionFailedError, EncodedFrame, encode_frame
from fetalseg_server.client.console import run_console
from fetalseg_server.options import SessionOptions


def slow_frames() -> Iterator[EncodedFrame]:
    while True:
        time.sleep(0.05)
        yield encode_frame(np.zeros((32, 32), np.uint8), "gray8")


async def test_no_frame_is_read_any_more_when_a_console_has_ended() -> None:
    with pytest.raises(ConnectionFailedError):
        await run_console("ws://127.0.0.1:9/v1/stream", slow_frames(), fps=25, options=SessionOptions())
    assert "console frames" not in {thread.name for thread in threading.enumerate()}
