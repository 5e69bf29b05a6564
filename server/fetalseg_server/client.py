"""The Python client of the stream: what a console's software does, to read and to reuse.

    async with connect("ws://127.0.0.1:8420/v1/stream", options=SessionOptions(deadline_ms=80)) as client:
        sequence = await client.send(pixels)          # None: no room, the frame was dropped here
        async for answer in client: ...               # a Result, Skipped or Lost for each frame sent, in order

Sending and receiving are meant for two tasks, or for one that sends and then looks what has come (`poll`). Without an
event loop:

    with connect_sync("wss://server:8420/v1/stream", token=Path("token.txt"), tls=Tls("hospital-ca.pem")) as client:
        client.send(layout.pixels(buffer))            # layout: a GrabberLayout, NV12 or BGRA with a row pitch, say
        for answer in client.poll(): ...

`segment_frames` streams a recording. A connection that breaks is made anew (`Reconnect`). The parts:

- `client_session`: the session, its window and its answers; `client_sync`: the same without an event loop
- `client_link`: one connection; `client_endpoint`: how it is opened; `client_reconnect`: when it is tried again
- `client_clock`: the server's clock; `grabber`, `yuv`: pixels from a grabber's memory; `encoded_frame`: how they travel
"""

from __future__ import annotations

from fetalseg_server.answers import Answer, FoundStructure, Lost, Ready, Result, Skipped
from fetalseg_server.client_clock import ClockEstimate
from fetalseg_server.client_endpoint import Tls
from fetalseg_server.client_events import SessionEvent
from fetalseg_server.client_reconnect import Reconnect
from fetalseg_server.client_session import StreamClient, connect
from fetalseg_server.client_sync import SyncStreamClient, connect_sync, segment_frames
from fetalseg_server.encoded_frame import EncodedFrame, encode_frame
from fetalseg_server.grabber import GrabberLayout, Region
from fetalseg_server.options import SessionOptions
from fetalseg_server.protocol import FrameFlag
from fetalseg_server.stream_errors import ConnectionFailedError, StreamError

__all__ = [
    "Answer",
    "ClockEstimate",
    "ConnectionFailedError",
    "EncodedFrame",
    "FoundStructure",
    "FrameFlag",
    "GrabberLayout",
    "Lost",
    "Ready",
    "Reconnect",
    "Region",
    "Result",
    "SessionEvent",
    "SessionOptions",
    "Skipped",
    "StreamClient",
    "StreamError",
    "SyncStreamClient",
    "Tls",
    "connect",
    "connect_sync",
    "encode_frame",
    "segment_frames",
]
