"""`fetalseg stream SOURCE ws://host:port/v1/stream`: a console in software that measures the service."""

from __future__ import annotations

import argparse
import asyncio
import importlib
import itertools
import json
import signal
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from rich.console import Console
from rich.table import Table
from rich.text import Text

from fetalseg.errors import MissingExtraError
from fetalseg.frame import Frame
from fetalseg.sources import open_source
from fetalseg.taxonomy import describe

__all__ = ["add_arguments", "client_module", "encoded_frames", "positive", "run", "stream_and_report", "summary"]

# The library never imports the service; its command line reaches it by name.
CONSOLE_MODULE = "fetalseg_server.client.console"
CLIENT_MODULE = "fetalseg_server.client"
TOKEN_VARIABLE = "FETALSEG_TOKEN"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of `fetalseg stream`."""
    parser.add_argument(
        "source", metavar="SOURCE", help="video, DICOM, image, folder, phantom, camera:0 or pydicom:NAME"
    )
    parser.add_argument("url", metavar="URL", help="ws://HOST:PORT/v1/stream")
    parser.add_argument("--fps", type=positive, default=25.0, help="frames a second, paced exactly (25)")
    parser.add_argument("--seconds", type=positive, help="stop after so long; by default when the source ends")
    parser.add_argument("--loop", action="store_true", help="start over when the source ends")
    parser.add_argument(
        "--codec", choices=("jpeg", "png", "gray8", "rgb24"), default="jpeg", help="how frames travel (jpeg)"
    )
    parser.add_argument("--quality", type=_jpeg_quality, default=90, help="of JPEG, 1..100 (90)")
    parser.add_argument("--resize", type=_size, metavar="WxH", help="send frames of this size")
    parser.add_argument("--masks", choices=("polygon", "rle", "labelmap", "none"), default="polygon", help="(polygon)")
    parser.add_argument("--deadline-ms", type=positive, help="the server skips frames that are older")
    parser.add_argument("--min-score", type=float, help="0..1; by default the model's own")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures of the run here")
    parser.add_argument("--reconnect", action="store_true", help="make a broken connection anew instead of ending")
    parser.add_argument("--token-file", type=Path, metavar="FILE", help="holds the server's token")
    parser.add_argument("--ca-file", type=Path, metavar="FILE", help="wss: the authorities to trust, PEM")
    parser.add_argument("--certificate", type=Path, metavar="FILE", help="wss: this console's certificate, PEM")
    parser.add_argument("--key", type=Path, metavar="FILE", help="wss: its key, where it lies in another file")
    parser.epilog = f"Without --token-file the token is read from the environment variable {TOKEN_VARIABLE}."


def run(args: argparse.Namespace) -> int:
    """Streams, prints a line a second and a summary; 1 where no frame was answered."""
    console = Console(highlight=False, soft_wrap=True)
    with open_source(args.source) as source:

        def read() -> Iterator[Any]:
            return encoded_frames(source, codec=args.codec, quality=args.quality, size=args.resize)

        figures = stream_and_report(
            console,
            args.url,
            client_module(CONSOLE_MODULE).looped(read) if args.loop else read(),
            fps=args.fps,
            seconds=args.seconds,
            connection=_connection(args),
            codec=args.codec,
            masks=args.masks,
            deadline_ms=args.deadline_ms,
            min_score=args.min_score,
        )
    console.print(summary(figures, title=f"{args.source} at {args.fps:g} FPS for {figures.elapsed_s:.1f} s"))
    if args.json:
        content = {"schema": 1, "fps": args.fps, **figures.to_json(), "source": args.source}
        args.json.write_text(json.dumps(content, indent=2) + "\n")
    if figures.answered == 0:
        print("fetalseg stream: no frame was answered with a result", file=sys.stderr)
        return 1
    return 0


def _connection(args: argparse.Namespace) -> dict[str, Any]:
    """What `connect` is told beside the address."""
    client = client_module(CLIENT_MODULE)
    files = (args.ca_file, args.certificate, args.key)
    return {
        "token": args.token_file,
        "tls": client.Tls(*files) if any(files) else None,
        "reconnect": client.Reconnect() if args.reconnect else None,
    }


def stream_and_report(
    console: Console,
    url: str,
    frames: Iterable[Any],
    *,
    fps: float,
    seconds: float | None,
    connection: Mapping[str, Any] | None = None,
    **options: Any,
) -> Any:
    """Streams frames and prints a line a second; Ctrl+C or SIGTERM ends the stream, not the program.

    Args:
        console: to print to.
        url: of the stream.
        frames: `fetalseg_server.client.EncodedFrame`.
        fps: pace.
        seconds: at most so long, or None.
        connection: token, tls and reconnect, as `fetalseg_server.client.connect` takes them.
        options: of the session, by the names of `fetalseg_server.client.SessionOptions`.

    Returns:
        `fetalseg_server.client.console.Figures` of the whole run.
    """
    run_console = client_module(CONSOLE_MODULE).run_console
    session_options = client_module(CLIENT_MODULE).SessionOptions(**options)
    second = itertools.count(1)
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    async def stream() -> Any:
        stop = asyncio.Event()
        for number in handlers:
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        return await run_console(
            url,
            frames,
            fps=fps,
            seconds=seconds,
            options=session_options,
            **(connection or {}),
            on_second=lambda figures: console.print(second_line(next(second), figures)),
            stop=stop,
        )

    try:
        return asyncio.run(stream())
    finally:
        for number, handler in handlers.items():  # asyncio leaves the system's own
            signal.signal(number, handler)


def client_module(name: str) -> Any:
    """A module of the service by name.

    Raises:
        MissingExtraError: the extra `server` is not installed.
    """
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise MissingExtraError(str(error.name), "server") from None


def encoded_frames(
    source: Iterable[Frame], *, codec: str, quality: int, size: tuple[int, int] | None = None, title: str = ""
) -> Iterator[Any]:
    """The frames of a source as they travel.

    Args:
        source: of frames.
        codec: "jpeg", "png", "gray8" or "rgb24".
        quality: of JPEG.
        size: (width, height) to resize to, or None.
        title: for the person at the console.

    Yields:
        `fetalseg_server.client.EncodedFrame`; the first of a source is marked as a discontinuity.
    """
    client = client_module(CLIENT_MODULE)
    for index, frame in enumerate(source):
        pixels = frame.pixels
        if size and (pixels.shape[1], pixels.shape[0]) != size:
            shrinks = size[0] * size[1] < pixels.shape[0] * pixels.shape[1]
            interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
            pixels = np.asarray(cv2.resize(pixels, size, interpolation=interpolation), np.uint8)
        encoded = client.encode_frame(pixels, codec, quality=quality)
        yield replace(encoded, discontinuity=index == 0, source=title)


def second_line(second: int, figures: Any) -> Text:
    """One line on one second."""
    latency = figures.latency
    line = Text(f"{second:4d} s  ")
    if figures.source:
        line.append(f"{figures.source:<10} ", style="cyan")
    line.append(f"sent {figures.sent:2d}  answered {figures.answered:2d}  ")
    if latency:
        line.append(
            f"p50 {latency.p50:5.1f}  p95 {latency.p95:5.1f}  p99 {latency.p99:5.1f}  max {latency.max:5.1f} ms  "
        )
    else:
        line.append("no result  ", style="yellow")
    here = (("lost", figures.lost), ("dropped here", figures.dropped), ("late", figures.late))
    for word, count in (*sorted(figures.skipped.items()), *here):
        if count:
            line.append(f"{word} {count}  ", style="yellow")
    seen = [name for name in figures.model_structures if figures.structures[name]]
    line.append(", ".join(seen) or "nothing found", style="dim")
    return line


def summary(figures: Any, *, title: str) -> Table:
    """The figures of a whole run as a table of two columns."""
    table = Table(title=title, title_justify="left", show_header=False)
    table.add_column(style="dim")
    table.add_column(overflow="fold")
    table.add_row("frames sent", f"{figures.sent} ({figures.sent / max(figures.elapsed_s, 1e-9):.1f} a second)")
    share = 100 * figures.answered / figures.sent if figures.sent else 0.0
    table.add_row("answered with a result", f"{figures.answered} ({share:.1f} %)")
    latency = figures.latency
    if latency:
        words = f"p50 {latency.p50:.1f}, p95 {latency.p95:.1f}, p99 {latency.p99:.1f}, max {latency.max:.1f} ms"
        table.add_row("latency", words)
    skips = ", ".join(f"{reason} {count}" for reason, count in sorted(figures.skipped.items()))
    table.add_row("skipped by the server", skips or "0")
    table.add_row("dropped at the source", f"{figures.dropped} (window full)" if figures.dropped else "0")
    if figures.lost or figures.reconnects:
        table.add_row("lost with a connection", f"{figures.lost} (connections made anew: {figures.reconnects})")
    if figures.late:
        table.add_row("source too late", str(figures.late))
    if figures.views:
        table.add_row("views", ", ".join(f"{name} {count}" for name, count in figures.views.most_common()))
    known = describe(figures.model_structures)
    seen = [f"{s.title} {figures.structures[s.name]}" for s in known if figures.structures[s.name]]
    table.add_row(f"structures seen ({len(seen)} of {len(known)})", ", ".join(seen) or "none")
    return table


def positive(text: str) -> float:
    """An argument above 0."""
    value = float(text)
    if not 0 < value < 1e6:
        raise argparse.ArgumentTypeError(f"expected a number above 0, got {text}")
    return value


def _jpeg_quality(text: str) -> int:
    value = int(text)
    if not 1 <= value <= 100:
        raise argparse.ArgumentTypeError(f"expected a whole number within 1..100, got {text}")
    return value


def _size(text: str) -> tuple[int, int]:
    width, _, height = text.lower().partition("x")
    if not (width.isdecimal() and height.isdecimal()):
        raise argparse.ArgumentTypeError(f"expected WIDTHxHEIGHT such as 640x480, got {text}")
    return int(width), int(height)
