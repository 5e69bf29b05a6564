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

- `session`: the session and its window; `sync`: the same without an event loop
- `answers`, `events`, `errors`: what a session tells
- `link`: one connection; `endpoint`: how it is opened; `reconnect`: when it is tried again
- `clock`: the server's clock; `grabber`, `yuv`: pixels from a grabber's memory; `encoded_frame`: how they travel
- `console`: streams at an exact pace and measures; `cine_file`: the cine that is streamed where there is no other
"""

from __future__ import annotations

from fetalseg_server.client.answers import Answer, FoundStructure, Lost, Ready, Result, Skipped
from fetalseg_server.client.clock import ClockEstimate
from fetalseg_server.client.encoded_frame import EncodedFrame, encode_frame
from fetalseg_server.client.endpoint import Tls
from fetalseg_server.client.errors import ConnectionFailedError, StreamError
from fetalseg_server.client.events import SessionEvent
from fetalseg_server.client.grabber import GrabberLayout, Region
from fetalseg_server.client.reconnect import Reconnect
from fetalseg_server.client.session import StreamClient, connect
from fetalseg_server.client.sync import SyncStreamClient, connect_sync, segment_frames
from fetalseg_server.options import SessionOptions
from fetalseg_server.protocol import FrameFlag

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
