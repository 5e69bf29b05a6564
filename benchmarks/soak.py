"""Does memory stay flat over many frames and connections?

    python -m benchmarks.soak --frames 100000 --connections 1000 --json benchmarks/results/soak.json

Connections come and go, some at a time; each sends its frames without a pause, as fast as they are answered, with
other options than the one before; every fifth keeps its window full, so that most of its frames are superseded, and
every tenth breaks off without a word. Memory of the server process and of its workers is sampled; a line through the
second half of the samples tells the growth. The same is done with a server that leaks on purpose: only a measure that
sees this leak says something. What stands after "--" goes to `fetalseg serve`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from websockets.asyncio.client import ClientConnection

from benchmarks.live.frames import CINE, Cine, load_cine
from benchmarks.live.memory_slope import Slope, second_half_slope
from benchmarks.live.served import ADMIT_ALL, ServedProcess, serving
from benchmarks.live.table import markdown_table
from benchmarks.live.usage import Footprint, footprint
from benchmarks.live.wire import frame, session
from benchmarks.machine import this_machine
from benchmarks.record import commit_of, write_record
from fetalseg.errors import FetalsegError
from fetalseg_server.messages import bye_message
from fetalseg_server.options import CODEC_WORDS

SAMPLES = 400  # of a whole run
FLAT_BYTES = 10_000_000  # what 100,000 frames may add
_HUNDRED_THOUSAND = 100_000
_MANY_FPS = "100000"
_OPTIONS: tuple[dict[str, Any], ...] = (
    {"masks": "polygon"},
    {"masks": "rle", "deadline_ms": 5000},
    {"masks": "labelmap", "min_score": 0.2},
    {"masks": "none", "track": False},
)
_BREAKS_OFF = 10  # every tenth connection
_FULL_WINDOW = 5  # every fifth


@dataclass
class Soak:
    """What a run saw.

    Attributes:
        frames: answered, at each sample.
        footprints: of the server, at each sample.
        outcomes: answers by what they were.
        connections: that ended as they should.
        broken_off: connections that the client broke.
        unanswered: frames of connections that ended as they should.
        seconds: of the whole run.
    """

    frames: list[int] = field(default_factory=list)
    footprints: list[Footprint] = field(default_factory=list)
    outcomes: Counter[str] = field(default_factory=Counter)
    connections: int = 0
    broken_off: int = 0
    unanswered: int = 0
    seconds: float = 0.0

    @property
    def slopes(self) -> dict[str, Slope]:
        """Growth of the server process and of its workers."""
        server = [sample.server_rss for sample in self.footprints]
        workers = [sample.workers_rss for sample in self.footprints]
        return {"server": second_half_slope(self.frames, server), "workers": second_half_slope(self.frames, workers)}


async def soak(served: ServedProcess, cines: Sequence[Cine], *, frames: int, connections: int, parallel: int) -> Soak:
    """Streams without a pause.

    Args:
        served: the server.
        cines: connections send them in turn.
        frames: in all.
        connections: among which they are divided.
        parallel: connections at a time.
    """
    found, each = Soak(), max(1, frames // connections)
    start, step = time.monotonic(), max(1, frames // SAMPLES)
    numbers = iter(range(connections))

    def answered(kind: str) -> None:
        found.outcomes[kind] += 1
        if found.outcomes.total() % step == 0:
            found.frames.append(found.outcomes.total())
            found.footprints.append(footprint(served.pid))

    async def lane() -> None:
        for number in numbers:
            options, cine = _OPTIONS[number % len(_OPTIONS)], cines[number % len(cines)]
            async with session(served.url, options) as (socket, ready):
                # With one frame at a time each is worked on; with the whole window most are superseded.
                window = 1 if number % _FULL_WINDOW else ready["limits"]["window"]
                left = await _send_all(socket, cine, each, window, answered)
                if number % _BREAKS_OFF == _BREAKS_OFF - 1:
                    await socket.send(_frame(cine, each))
                    socket.transport.abort()
                    found.broken_off += 1
                    continue
                await socket.send(bye_message())
                await socket.wait_closed()
                found.unanswered += left
                found.connections += socket.close_code == 1000

    await asyncio.gather(*(lane() for _ in range(parallel)))
    found.seconds = time.monotonic() - start
    return found


async def _send_all(socket: ClientConnection, cine: Cine, count: int, window: int, answered: Any) -> int:
    """Keeps the window full until all is answered; returns how many frames were not."""
    sent = done = 0
    while done < count:
        while sent < count and sent - done < window:
            await socket.send(_frame(cine, sent))
            sent += 1
        message = await socket.recv()
        if isinstance(message, bytes):  # a label map
            continue
        value = json.loads(message)
        if value["type"] in ("result", "skipped"):
            answered(value.get("reason", value["type"]))
            done += 1
    return sent - done


def _frame(cine: Cine, sequence: int) -> bytes:
    payload = cine.payloads[sequence % len(cine.payloads)]
    return frame(sequence, payload, codec=cine.codec, size=(cine.width, cine.height))


def run(name: str, arguments: Sequence[str], args: argparse.Namespace, frames: int, *, leak: int = 0) -> Soak:
    """One run against a server of its own.

    Args:
        name: for the progress.
        arguments: of `fetalseg serve`.
        args: the command line.
        frames: to send.
        leak: bytes that the server process keeps for every frame.
    """
    command = (sys.executable, "-m", "benchmarks.live.leaking_server", str(leak)) if leak else None
    cines = [load_cine(CINE, codec, width=args.width, height=args.height) for codec in CODEC_WORDS]
    connections = max(1, args.connections * frames // args.frames)
    with serving(arguments, **({} if command is None else {"command": command})) as served:
        print(f"{name}: {frames} frames on {connections} connections", file=sys.stderr, flush=True)
        return asyncio.run(soak(served, cines, frames=frames, connections=connections, parallel=args.parallel))


def rows_of(name: str, found: Soak) -> list[list[str]]:
    """A run as rows of the table: the server process and its workers."""
    first, last = found.footprints[0], found.footprints[-1]
    memory = {"server": (first.server_rss, last.server_rss), "workers": (first.workers_rss, last.workers_rss)}
    rows = []
    for part, slope in found.slopes.items():
        rows.append(
            [
                f"{name}, {part}",
                str(found.outcomes.total()),
                str(found.connections + found.broken_off),
                *(f"{value / 1e6:.1f}" for value in memory[part]),
                f"{slope.bytes_per_frame:+.1f} ± {2 * slope.error:.1f}",
                f"{slope.bytes_per_frame * _HUNDRED_THOUSAND / 1e6:+.2f}",
                f"{first.files} to {last.files}" if part == "server" else "-",
            ]
        )
    return rows


def is_flat(slope: Slope) -> bool:
    """Whether 100,000 more frames would add little."""
    return slope.bytes_per_frame * _HUNDRED_THOUSAND <= FLAT_BYTES


def passes(plain: Soak, control: Soak | None, leak: int) -> bool:
    """The server is flat, the leaking one isn't, and nothing is left unanswered."""
    return all(map(is_flat, plain.slopes.values())) and not plain.unanswered and sees_leak(plain, control, leak)


def sees_leak(plain: Soak, control: Soak | None, leak: int) -> bool:
    """Whether the leaking server grows faster than the other, by half of what it keeps at least."""
    if control is None:
        return True
    grown = control.slopes["server"].bytes_per_frame - plain.slopes["server"].bytes_per_frame
    return grown >= leak / 2


def parse(argv: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=100_000, help="(%(default)s)")
    parser.add_argument("--connections", type=int, default=1000, help="among which frames are divided (%(default)s)")
    parser.add_argument("--parallel", type=int, default=3, help="connections at a time (%(default)s)")
    parser.add_argument("--size", default="640x480", metavar="WxH", help="of a frame (%(default)s)")
    parser.add_argument("--control-frames", type=int, default=20_000, help="of the control run; 0: none (%(default)s)")
    parser.add_argument("--leak-bytes", type=int, default=1024, help="that it keeps of each frame (%(default)s)")
    parser.add_argument("--json", type=Path, help="write the figures and samples to this file as well")
    parser.add_argument("serve", nargs="*", metavar="-- FLAG", help="of `fetalseg serve`")
    args = parser.parse_args(argv)
    width, _, height = args.size.partition("x")
    if not (width.isdigit() and height.isdigit()):
        parser.error(f"--size must be WxH, got {args.size}")
    args.width, args.height = int(width), int(height)
    if not 1 <= args.connections <= args.frames or args.parallel < 1 or args.frames < 20:
        parser.error("expected at least 20 frames, one connection of at least one frame, and one at a time")
    return args


def main(argv: list[str] | None = None) -> int:
    """Prints the table; 0 where memory is flat and the control run isn't, else 1."""
    args = parse(argv)
    machine, commit = this_machine(), commit_of()
    arguments = [*ADMIT_ALL, "--max-fps", _MANY_FPS, "--max-sessions", str(2 * args.parallel + 2), *args.serve]
    control = None
    try:
        print(f"{machine}; commit {commit}; load before {os.getloadavg()[0]:.2f}", flush=True)
        plain = run("soak", arguments, args, args.frames)
        if args.control_frames:
            control = run("control", arguments, args, args.control_frames, leak=args.leak_bytes)
    except (FetalsegError, ValueError, OSError) as error:
        print(f"soak: {error}", file=sys.stderr)
        return 1
    runs = {"as it is": plain} if control is None else {"as it is": plain, f"leaks {args.leak_bytes} B": control}
    passed = passes(plain, control, args.leak_bytes)
    header = [
        "run",
        "frames",
        "connections",
        "MB first",
        "MB last",
        "bytes a frame, second half",
        "MB in 100,000",
        "files",
    ]
    print(
        f"frames of {args.size} in {', '.join(CODEC_WORDS)} in turn, unpaced, {args.parallel} connections at a time\n"
    )
    print(markdown_table(header, [row for name, found in runs.items() for row in rows_of(name, found)]))
    for name, found in runs.items():
        outcomes = ", ".join(f"{kind} {n}" for kind, n in found.outcomes.most_common())
        print(
            f"{name}: {found.seconds:.0f} s, {found.outcomes.total() / found.seconds:.1f} frames/s: {outcomes}; "
            f"{found.connections} connections ended with 1000, {found.broken_off} broken off, "
            f"unanswered {found.unanswered}"
        )
    promise = f"at most {FLAT_BYTES / 1e6:g} MB in 100,000 frames" + (", and the leak is seen" if control else "")
    print(f"{promise}: {'pass' if passed else 'FAIL'}")
    if args.json:
        content = {"size": args.size, "parallel": args.parallel, "serve": args.serve, "passed": passed}
        content["runs"] = {name: _record(found) for name, found in runs.items()}
        write_record(args.json, tool="soak", machine=machine, commit=commit, content=content)
    return 0 if passed else 1


def _record(found: Soak) -> dict[str, Any]:
    slopes = {part: asdict(slope) for part, slope in found.slopes.items()}
    samples = [{"frames": n, **asdict(sample)} for n, sample in zip(found.frames, found.footprints, strict=True)]
    counts = {"connections": found.connections, "broken_off": found.broken_off, "unanswered": found.unanswered}
    return {"seconds": found.seconds, "outcomes": found.outcomes, **counts, "slopes": slopes, "samples": samples}


if __name__ == "__main__":
    raise SystemExit(main())
