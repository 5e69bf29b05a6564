"""Does memory stay flat over many frames and connections?

    python -m benchmarks.soak --frames 100000 --connections 1000 --json benchmarks/results/soak.json

Connections come and go, some at a time; each sends its frames without a pause, as fast as they are answered, with
other options than the one before; every fifth keeps its window full, so that most of its frames are superseded, and
every tenth breaks off without a word. Memory of the server process and of its workers is sampled; a line through the
second half of the samples tells the growth, and how sure that is. The same is done with a server that leaks on purpose:
only a measure that calls this one growing says something. What stands after "--" goes to `fetalseg serve`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from benchmarks.live.frames import CINE, Cine, frame_size, load_cine
from benchmarks.live.memory_slope import Slope, second_half_slope
from benchmarks.live.served import ADMIT_ALL, ServedProcess, serving
from benchmarks.live.table import markdown_table
from benchmarks.live.usage import Footprint, footprint
from benchmarks.live.wire import session
from benchmarks.machine import this_machine
from benchmarks.record import commit_of, without_folders, write_record
from fetalseg.errors import FetalsegError
from fetalseg_server.messages import bye_message
from fetalseg_server.options import CODEC_WORDS

SAMPLES = 400  # of a whole run
FLAT_BYTES = 10_000_000  # what 100,000 frames may add
_HUNDRED_THOUSAND = 100_000
_PATIENCE_S = 30.0  # for an answer, and for the end after `bye`; far beyond what an engine's restart takes
_MANY_FPS = "100000"
_OPTIONS: tuple[dict[str, Any], ...] = (
    {"masks": "polygon"},
    {"masks": "rle", "deadline_ms": 5000},
    {"masks": "labelmap", "min_score": 0.2},
    {"masks": "none", "track": False},
)
_BREAKS_OFF = 10  # every tenth connection
_FULL_WINDOW = 5  # every fifth

Growth = Literal["flat", "grows", "too short to tell"]
Verdict = Literal["pass", "FAIL", "undecided"]


@dataclass
class Soak:
    """What a run saw.

    Attributes:
        frames: answered, at each sample.
        footprints: of the server, at each sample.
        outcomes: answers by what they were.
        connections: that ended as they should.
        broken_off: connections that the client broke.
        unanswered: frames without an answer, whether the server kept silent or had ended their connection.
        faults: connections that ended otherwise, in words.
        seconds: of the whole run.
    """

    frames: list[int] = field(default_factory=list)
    footprints: list[Footprint] = field(default_factory=list)
    outcomes: Counter[str] = field(default_factory=Counter)
    connections: int = 0
    broken_off: int = 0
    unanswered: int = 0
    faults: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def slopes(self) -> dict[str, Slope]:
        """Growth of the server process and of its workers."""
        server = [sample.server_rss for sample in self.footprints]
        workers = [sample.workers_rss for sample in self.footprints]
        return {"server": second_half_slope(self.frames, server), "workers": second_half_slope(self.frames, workers)}

    @property
    def peak_bytes(self) -> int:
        """The most that server and workers held together; memory that they share counts twice."""
        return max(sample.server_rss + sample.workers_rss for sample in self.footprints)


async def soak(
    served: ServedProcess,
    cines: Sequence[Cine],
    *,
    frames: int,
    connections: int,
    parallel: int,
    patience_s: float = _PATIENCE_S,
) -> Soak:
    """Streams without a pause.

    Args:
        served: the server.
        cines: connections send them in turn.
        frames: in all, rounded up to equally many a connection.
        connections: among which they are divided.
        parallel: connections at a time.
        patience_s: how long an answer or an end may take.

    Raises:
        FetalsegError, OSError: the server refuses a connection or is gone.
    """
    found, each = Soak(), -(-frames // connections)
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
                left = await _send_all(socket, cine, each, window, answered, patience_s)
                found.unanswered += left
                if not left and number % _BREAKS_OFF == _BREAKS_OFF - 1:
                    await socket.send(cine.message(each))
                    socket.transport.abort()
                    found.broken_off += 1
                elif (code := await _end(socket, patience_s)) == 1000 and not left:
                    found.connections += 1
                else:
                    found.faults.append(f"connection {number} ended with {code}, {left} frames unanswered")

    await asyncio.gather(*(lane() for _ in range(parallel)))
    found.seconds = time.monotonic() - start
    return found


async def _send_all(
    socket: ClientConnection, cine: Cine, count: int, window: int, answered: Callable[[str], None], patience_s: float
) -> int:
    """Keeps the window full until all is answered or nothing comes any more; returns how many frames have none."""
    sent = done = 0
    try:
        while done < count:
            while sent < count and sent - done < window:
                await socket.send(cine.message(sent))
                sent += 1
            async with asyncio.timeout(patience_s):
                message = await socket.recv()
            if isinstance(message, bytes):  # a label map
                continue
            value = json.loads(message)
            if value["type"] in ("result", "skipped"):
                answered(value.get("reason", value["type"]))
                done += 1
    except (TimeoutError, ConnectionClosed):
        pass
    return count - done


async def _end(socket: ClientConnection, patience_s: float) -> int | None:
    """Says goodbye; the code that the server closes with, None where it doesn't."""
    try:
        await socket.send(bye_message())
        async with asyncio.timeout(patience_s):
            await socket.wait_closed()
    except TimeoutError:
        socket.transport.abort()
        return None
    except ConnectionClosed:
        pass
    return socket.close_code


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
    width, height = args.size
    cines = [load_cine(CINE, codec, width=width, height=height) for codec in CODEC_WORDS]
    connections = max(1, args.connections * frames // args.frames)
    with serving(arguments) if command is None else serving(arguments, command=command) as served:
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
                f"{slope.bytes_per_frame:+.1f} ± {slope.margin:.1f}",
                f"{slope.bytes_per_frame * _HUNDRED_THOUSAND / 1e6:+.2f}",
                growth(slope),
                f"{first.files} to {last.files}" if part == "server" else "-",
            ]
        )
    return rows


def growth(slope: Slope) -> Growth:
    """What a slope says about 100,000 more frames.

    An allocator takes memory in steps, and a cache may fill for longer than half a short run lasts. So a run grows only
    if it has grown already by what the second half of 100,000 frames may add; until then it was too short.
    """
    limit = FLAT_BYTES / _HUNDRED_THOUSAND
    if slope.bytes_per_frame + slope.margin <= limit:
        return "flat"
    grown = slope.bytes_per_frame * slope.frames >= FLAT_BYTES / 2
    return "grows" if grown and slope.bytes_per_frame - slope.margin > limit else "too short to tell"


def verdict(plain: Soak, control: Soak | None, most_bytes: float = math.inf) -> Verdict:
    """The whole run.

    Args:
        plain: passes if it is flat and small, every frame was answered, and every connection ended as it should.
        control: of the leaking server, whose growth must have been seen; None: not run.
        most_bytes: that the processes may hold together.
    """
    slopes = {growth(slope) for slope in plain.slopes.values()}
    leak = "grows" if control is None else growth(control.slopes["server"])
    if plain.unanswered or plain.faults or plain.peak_bytes > most_bytes or "grows" in slopes or leak == "flat":
        return "FAIL"
    return "pass" if slopes == {"flat"} and leak == "grows" else "undecided"


def parse(argv: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=100_000, help="(%(default)s)")
    parser.add_argument("--connections", type=int, default=1000, help="among which frames are divided (%(default)s)")
    parser.add_argument("--parallel", type=int, default=3, help="connections at a time (%(default)s)")
    parser.add_argument("--size", type=frame_size, default="640x480", metavar="WxH", help="of a frame (%(default)s)")
    parser.add_argument("--control-frames", type=int, default=20_000, help="of the control run; 0: none (%(default)s)")
    parser.add_argument("--leak-bytes", type=int, default=1024, help="that it keeps of each frame (%(default)s)")
    parser.add_argument("--max-mb", type=float, default=1000, help="that all processes may hold (%(default)s)")
    parser.add_argument("--json", type=Path, help="write the figures and samples to this file as well")
    parser.add_argument("serve", nargs="*", metavar="-- FLAG", help="of `fetalseg serve`")
    args = parser.parse_args(argv)
    if not 1 <= args.connections <= args.frames or args.parallel < 1 or args.frames < 20:
        parser.error("expected at least 20 frames, one connection of at least one frame, and one at a time")
    return args


def main(argv: list[str] | None = None) -> int:
    """Prints the table; 0 where memory is flat and the control run's isn't, else 1."""
    args = parse(argv)
    machine, commit = this_machine(), commit_of()
    arguments = [*ADMIT_ALL, "--max-fps", _MANY_FPS, "--max-sessions", str(2 * args.parallel + 2), *args.serve]
    control, size = None, "{}x{}".format(*args.size)
    try:
        print(f"{machine}; commit {commit}; load before {os.getloadavg()[0]:.2f}", flush=True)
        plain = run("soak", arguments, args, args.frames)
        if args.control_frames:
            control = run("control", arguments, args, args.control_frames, leak=args.leak_bytes)
        came = verdict(plain, control, 1e6 * args.max_mb)
    except (FetalsegError, ValueError, OSError) as error:
        print(f"soak: {error}", file=sys.stderr)
        return 1
    runs = {"as it is": plain} if control is None else {"as it is": plain, f"leaks {args.leak_bytes} B": control}
    print(f"frames of {size} in {', '.join(CODEC_WORDS)} in turn, unpaced, {args.parallel} connections at a time\n")
    print(describe(runs))
    leak = ", and the leak is seen" if control else ""
    print(f"at most {FLAT_BYTES / 1e6:g} MB more in 100,000 frames and {args.max_mb:g} MB in all{leak}: {came}")
    if args.json:
        content = {"size": size, "parallel": args.parallel, "serve": without_folders(args.serve), "verdict": came}
        content["runs"] = {name: _record(found) for name, found in runs.items()}
        write_record(args.json, tool="soak", machine=machine, commit=commit, content=content)
    return 0 if came == "pass" else 1


def describe(runs: Mapping[str, Soak]) -> str:
    """Runs, by name, as lines to print."""
    header = ["run", "frames", "connections", "MB first", "MB last", "bytes a frame, second half", "MB in 100,000"]
    rows = [row for name, found in runs.items() for row in rows_of(name, found)]
    lines = [markdown_table([*header, "memory is", "files"], rows)]
    for name, found in runs.items():
        outcomes = ", ".join(f"{kind} {n}" for kind, n in found.outcomes.most_common())
        lines.append(
            f"{name}: {found.seconds:.0f} s, {found.outcomes.total() / found.seconds:.1f} frames/s: {outcomes}; "
            f"{found.connections} connections ended with 1000, {found.broken_off} broken off, "
            f"unanswered {found.unanswered}; at most {found.peak_bytes / 1e6:.0f} MB in all"
        )
        lines += [f"FAULT: {fault}" for fault in found.faults[:10]]
    return "\n".join(lines)


def _record(found: Soak) -> dict[str, Any]:
    slopes = {part: {**asdict(slope), "memory_is": growth(slope)} for part, slope in found.slopes.items()}
    samples = [{"frames": n, **asdict(sample)} for n, sample in zip(found.frames, found.footprints, strict=True)]
    counts = {"connections": found.connections, "broken_off": found.broken_off, "unanswered": found.unanswered}
    about = {"seconds": found.seconds, "outcomes": found.outcomes, **counts, "faults": found.faults}
    return {**about, "peak_bytes": found.peak_bytes, "slopes": slopes, "samples": samples}


if __name__ == "__main__":
    raise SystemExit(main())
