"""Do sessions outlive an engine that fails?

    python -m benchmarks.faults --rounds 5 --sessions 4 --json benchmarks/results/faults.json

Sessions stream at 25 FPS to a server whose model fails on demand: it raises, returns NaN, hangs until it is killed,
and its worker is killed from outside. The table counts what became of all frames that were due from a fault to the
next, and how long sessions were without a result. What stands after "--" goes to `fetalseg serve`.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import math
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.live.console import RESULT, UNANSWERED, UNSENT, ConsoleLog, FrameLog, Timetable, precise_loop, stream
from benchmarks.live.faulty_model import FAULT_LEVELS, FINE_LEVEL, write_faulty_model
from benchmarks.live.frames import Cine
from benchmarks.live.served import ADMIT_ALL, ServedProcess, serving
from benchmarks.live.table import markdown_table
from benchmarks.live.usage import workers_of
from benchmarks.live.wire import frame, read_text, session
from benchmarks.machine import this_machine
from benchmarks.record import commit_of, without_folders, write_record
from fetalseg.errors import FetalsegError
from fetalseg_server.protocol import Codec

KILLED, NO_FAULT = "worker killed", "none"
FAULTS = (NO_FAULT, *FAULT_LEVELS, KILLED)
_SIZE = (64, 48)
_ENGINE_TIMEOUT_S = 1.0
_LEAD_S = 1.0  # between the first frame and the first fault
_RESTART_S = 60.0  # for an engine's worker to be there again


@dataclass(frozen=True)
class Incident:
    """One fault.

    Attributes:
        fault: a word of `FAULTS`.
        begin: seconds on the monotonic clock.
        answer: to the frame that brought it on: "result" or the reason of its skip; None where no frame did.
    """

    fault: str
    begin: float
    answer: str | None


def level_cine(level: int) -> Cine:
    """A frame of one gray level."""
    width, height = _SIZE
    return Cine(Codec.GRAY8, width, height, (bytes([level]) * (width * height),))


async def run(
    served: ServedProcess, *, sessions: int, rounds: int, pause_s: float
) -> tuple[list[ConsoleLog], list[Incident]]:
    """Streams, and brings on every fault once a round."""
    seconds = _LEAD_S + pause_s * rounds * len(FAULTS)
    start = time.monotonic() + 0.5
    streams = [asyncio.create_task(_stream(served.url, seconds, start, number)) for number in range(sessions)]
    incidents: list[Incident] = []
    try:
        for number in range(rounds * len(FAULTS)):
            await asyncio.sleep(start + _LEAD_S + pause_s * number - time.monotonic())
            fault, begin = FAULTS[number % len(FAULTS)], time.monotonic()
            incidents.append(Incident(fault, begin, await _bring_on(fault, served, number)))
        return await asyncio.gather(*streams), incidents
    finally:
        for task in streams:
            task.cancel()
        await asyncio.gather(*streams, return_exceptions=True)


async def _stream(url: str, seconds: float, start: float, number: int) -> ConsoleLog:
    moments = Timetable(25.0, seconds, jitter_ms=5, phase_ms=40 * number / 7 % 40, seed=number).due_s()
    async with session(url) as (socket, ready):
        return await stream(socket, level_cine(FINE_LEVEL), moments, start=start, window=ready["limits"]["window"])


async def _bring_on(fault: str, served: ServedProcess, number: int) -> str | None:
    if fault == NO_FAULT:
        return None
    if fault == KILLED:
        async with asyncio.timeout(_RESTART_S):
            while not (workers := workers_of(served.pid)):  # the fault before has just ended the only one
                await asyncio.sleep(0.05)
        workers[number % len(workers)].kill()
        return None
    async with session(served.url) as (socket, _):
        payload = level_cine(FAULT_LEVELS[fault]).payloads[0]
        await socket.send(frame(1, payload, codec=Codec.GRAY8, size=_SIZE))
        async with asyncio.timeout(30):
            while (answer := await read_text(socket))["type"] not in (RESULT, "skipped"):
                pass
    return str(answer.get("reason", answer["type"]))


def rows_of(logs: Sequence[ConsoleLog], incidents: Sequence[Incident]) -> list[dict[str, Any]]:
    """What became of the frames from each fault to the next, faults of a kind together."""
    ends = [*(incident.begin for incident in incidents[1:]), math.inf]
    rows: dict[str, dict[str, Any]] = {}
    for incident, end in zip(incidents, ends, strict=True):
        row = rows.setdefault(
            incident.fault,
            {"fault": incident.fault, "times": 0, "due": 0, "outcomes": Counter(), "gaps_s": [], "answers": Counter()},
        )
        row["times"] += 1
        row["answers"].update([incident.answer] if incident.answer else [])
        for log in logs:
            frames = [entry for entry in log.frames if incident.begin <= entry.due < end]
            row["due"] += len(frames)
            row["outcomes"].update(entry.outcome for entry in frames)
            row["gaps_s"].append(round(longest_gap_s(log.frames, incident.begin, end), 3))
    return list(rows.values())


def longest_gap_s(frames: Sequence[FrameLog], begin: float, end: float) -> float:
    """The longest time from one result to the next, in seconds, of those that came from `begin` to `end`.

    Args:
        frames: of one session.
        begin: counts as a result, since one came shortly before.
        end: likewise; infinite where the run ends.
    """
    moments = sorted(entry.answered for entry in frames if entry.outcome == RESULT and begin <= entry.answered < end)
    last = [end] if math.isfinite(end) else []
    everything = [begin, *moments, *last]
    return max((later - earlier for earlier, later in itertools.pairwise(everything)), default=0.0)


def table(rows: Sequence[dict[str, Any]]) -> str:
    """The rows for people."""
    lines = []
    for row in rows:
        outcomes = row["outcomes"]
        others = ", ".join(f"{name} {n}" for name, n in sorted(outcomes.items()) if name not in (RESULT, UNANSWERED))
        answers = ", ".join(f"{name} {n}" for name, n in row["answers"].items())
        numbers = [str(n) for n in (row["times"], row["due"], outcomes[RESULT])]
        lines.append(
            [
                row["fault"],
                *numbers,
                others or "-",
                answers or "-",
                str(outcomes[UNANSWERED]),
                f"{max(row['gaps_s']):.2f}",
            ]
        )
    header = ["engine fault", "times", "frames due", "results", "other outcomes", "its own frame", "unanswered"]
    return markdown_table([*header, "longest without a result, s"], lines)


def passes(logs: Sequence[ConsoleLog], rows: Sequence[dict[str, Any]]) -> bool:
    """Every session stayed to its `bye`, every frame that was sent got its answer, and every fault was one."""
    stayed = all(log.close_code == 1000 and not log.faults for log in logs)
    outcomes = Counter[str]()
    for row in rows:
        outcomes.update(row["outcomes"])
    faulty = all(set(row["answers"]) <= {"engine_error"} for row in rows)
    return stayed and faulty and not outcomes[UNANSWERED] and not outcomes[UNSENT]


def parse(argv: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.faults", description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5, help="each fault happens so often (%(default)s)")
    parser.add_argument("--sessions", type=int, default=4, help="that stream meanwhile (%(default)s)")
    parser.add_argument("--pause", type=float, default=10.0, metavar="SECONDS", help="between faults (%(default)s)")
    parser.add_argument("--json", type=Path, help="write the figures to this file as well")
    parser.add_argument("serve", nargs="*", metavar="-- FLAG", help="of `fetalseg serve`")
    args = parser.parse_args(argv)
    if args.rounds < 1 or args.sessions < 1 or args.pause <= _ENGINE_TIMEOUT_S:
        parser.error(f"expected at least one round, one session, and a pause of more than {_ENGINE_TIMEOUT_S:g} s")
    return args


def main(argv: list[str] | None = None) -> int:
    """Prints the table; 0 where every session stayed and nothing was left unanswered, else 1."""
    args = parse(argv)
    machine, commit = this_machine(), commit_of()
    try:
        print(f"{machine}; commit {commit}; load before {os.getloadavg()[0]:.2f}", flush=True)
        with tempfile.TemporaryDirectory() as folder:
            model = write_faulty_model(Path(folder, "faulty.onnx"))
            flags = ["--model", str(model), "--engine", "onnxruntime", "--threads", "1"]
            flags += ["--engine-timeout-s", str(_ENGINE_TIMEOUT_S), "--max-sessions", str(args.sessions + 1)]
            with (
                serving([*ADMIT_ALL, *flags, *args.serve]) as served,
                asyncio.Runner(loop_factory=precise_loop) as runner,
            ):
                task = run(served, sessions=args.sessions, rounds=args.rounds, pause_s=args.pause)
                logs, incidents = runner.run(task)
    except (FetalsegError, ValueError, OSError) as error:
        print(f"faults: {error}", file=sys.stderr)
        return 1
    rows = rows_of(logs, incidents)
    passed, stayed = passes(logs, rows), sum(log.close_code == 1000 for log in logs)
    print(f"{args.sessions} sessions at 25 FPS in one process; an engine is given {_ENGINE_TIMEOUT_S:g} s\n")
    print(table(rows))
    for number, log in enumerate(logs, 1):
        print("".join(f"FAULT in session {number}: {fault}\n" for fault in log.faults[:5]), end="")
    print(f"{stayed} of {len(logs)} sessions stayed to the end; nothing unanswered: {'pass' if passed else 'FAIL'}")
    if args.json:
        content = {"sessions": args.sessions, "sessions_stayed": stayed, "serve": without_folders(args.serve)}
        content |= {"passed": passed, "rows": rows}
        write_record(args.json, tool="faults", machine=machine, commit=commit, content=content)
    return 0 if passed else 1


if __name__ == "__main__":
    raise SystemExit(main())
