"""Does a console that misbehaves disturb the one beside it?

    python -m benchmarks.misbehaving --seconds 60 --rounds 2 --json benchmarks/results/misbehaving.json

A well-behaved console streams at 25 FPS, alone, beside another well-behaved one, and beside each kind of misbehaving
console; what it sees is compared. A misbehaving console that makes the engine work is compared with a well-behaved
one that does, the others with none. Consoles are processes of their own; all share this machine's cores with the
server. What stands after "--" goes to `fetalseg serve`.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from benchmarks.live.apart import Apart
from benchmarks.live.console import UNANSWERED, ConsoleLog, FrameLog, Timetable
from benchmarks.live.figures import Budget, StreamFigures, stream_figures
from benchmarks.live.fleet import StreamPlan, consoles
from benchmarks.live.frames import CINE, load_cine
from benchmarks.live.misbehaviour import MISBEHAVIOURS, Bounds, Misbehaviour, Tally, Target
from benchmarks.live.served import ADMIT_ALL, serving
from benchmarks.live.table import markdown_table
from benchmarks.machine import this_machine
from benchmarks.record import commit_of, without_folders, write_record
from fetalseg.errors import FetalsegError

ALONE, BESIDE_A_GOOD_ONE = "nobody", "a well-behaved one"
MAY_MOVE = 0.20  # what the p99 beside a slow or dead reader may move by
MAY_MISS = 0.01  # of its frames, those that may go without a result beside one of them
READERS = ("slow reader", "dead reader")
_WARM_UP_S = 2.0
_SPARE_S = 60.0
_DUE = "due to answered"


@dataclass
class Case:
    """A well-behaved console beside something.

    Attributes:
        beside: what.
        logs: of the well-behaved console, one a round.
        tally: of the misbehaving one.
    """

    beside: str
    logs: list[ConsoleLog]
    tally: Tally

    def figures(self, budget: Budget) -> StreamFigures:
        """Of all rounds together."""
        frames = [entry for log in self.logs for entry in _after_warm_up(log)]
        faults = [fault for log in self.logs for fault in log.faults]
        return stream_figures([ConsoleLog(frames, faults)], measured_from=0.0, budget=budget)

    @property
    def unanswered(self) -> int:
        """Frames sent and never answered, the warm-up included."""
        return sum(entry.outcome == UNANSWERED for log in self.logs for entry in log.frames)


def _after_warm_up(log: ConsoleLog) -> list[FrameLog]:
    return [entry for entry in log.frames if entry.due >= log.frames[0].due + _WARM_UP_S]


def run_case(plan: StreamPlan, target: Target, beside: Misbehaviour | None, bounds: Bounds, *, good: int) -> Case:
    """Streams once.

    Args:
        plan: of the well-behaved console, which is measured.
        target: of the misbehaving one.
        beside: None: nobody misbehaves.
        bounds: of misbehaving.
        good: well-behaved consoles.
    """
    with consoles(plan, good) as fleet:
        apart = None if beside is None else Apart(_misbehave, beside.name, target, bounds)
        try:
            if apart is not None:
                apart.hear(_SPARE_S)
            fleet.start()
            if apart is not None:
                apart.tell(None)
            first, *_ = fleet.logs()
            tally = Tally() if apart is None else apart.hear(bounds.seconds + _SPARE_S)
        finally:
            if apart is not None:
                apart.end()
    name = beside.name if beside else ALONE if good == 1 else BESIDE_A_GOOD_ONE
    return Case(name, [first], tally)


def _misbehave(name: str, target: Target, bounds: Bounds, pipe: Connection) -> None:
    """The misbehaving console's process."""
    task = next(kind.run for kind in MISBEHAVIOURS if kind.name == name)
    pipe.send("here")
    pipe.recv()
    tally = Tally()

    async def run() -> None:
        await task(target, bounds, tally)

    asyncio.run(run())
    pipe.send(tally)


def run_all(
    plan: StreamPlan, target: Target, kinds: Sequence[Misbehaviour], *, rounds: int, pause_s: float
) -> list[Case]:
    """Every case, `rounds` times in turn: what else the machine does falls on all alike."""
    settings: list[tuple[Misbehaviour | None, int]] = [(None, 1), (None, 2), *((kind, 1) for kind in kinds)]
    cases: dict[str, Case] = {}
    for number in range(rounds):
        for kind, good in settings:
            bounds = Bounds(seconds=plan.timetable.seconds, attempts=100_000, pause_s=pause_s, seed=number)
            timetable = replace(plan.timetable, seed=1000 * number)
            case = run_case(replace(plan, timetable=timetable), target, kind, bounds, good=good)
            known = cases.setdefault(case.beside, Case(case.beside, [], Tally()))
            known.logs += case.logs
            _add(known.tally, case.tally)
            print(f"round {number + 1} of {rounds}: beside {case.beside}", file=sys.stderr, flush=True)
            time.sleep(0.5)  # what was broken is cleared away
    return list(cases.values())


def _add(total: Tally, part: Tally) -> None:
    total.did.update(part.did)
    total.outcomes.update(part.outcomes)
    total.closes.update(part.closes)
    total.sent += part.sent
    total.faults += part.faults


def rows_of(cases: Sequence[Case], budget: Budget) -> list[dict[str, Any]]:
    """The figures of each case, the change of the p99 against its reference among them."""
    figures = {case.beside: case.figures(budget) for case in cases}
    load = {kind.name: kind.load for kind in MISBEHAVIOURS}
    rows = []
    for case in cases:
        found = figures[case.beside]
        reference, share = BESIDE_A_GOOD_ONE if load.get(case.beside) else ALONE, found.results / found.due
        duration, other = found.durations.get(_DUE), figures[reference].durations.get(_DUE)
        change = duration.p99 / other.p99 - 1 if duration and other and case.beside not in (ALONE, reference) else None
        rows.append(
            {
                "beside": case.beside,
                "did": dict(case.tally.did),
                "closes": dict(case.tally.closes),
                "its_frames": {"sent": case.tally.sent, "outcomes": dict(case.tally.outcomes)},
                "reference": reference if change is not None else None,
                "p99_change": change,
                "results_change": share - figures[reference].results / figures[reference].due,
                "unanswered": case.unanswered + case.tally.unanswered,
                "faults": found.faults + case.tally.faults,
                "figures": asdict(found),
            }
        )
    return rows


def table(rows: Sequence[dict[str, Any]]) -> str:
    """The rows for people."""
    lines = []
    for row in rows:
        figures = row["figures"]
        duration = figures["durations"].get(_DUE)
        change = row["p99_change"]
        lines.append(
            [
                row["beside"],
                *(("-", "-") if duration is None else (f"{duration['p50']:.1f}", f"{duration['p99']:.1f}")),
                "-" if change is None else f"{100 * change:+.0f} %",
                f"{figures['results']} of {figures['due']}",
                str(row["unanswered"]),
                str(len(row["faults"])),
                _words(row["did"]),
                _words(row["closes"]),
            ]
        )
    header = ["beside", "p50 ms", "p99 ms", "p99 moves", "results", "unanswered", "faults", "it did", "it was closed"]
    return markdown_table(header, lines)


def _words(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {n}" for name, n in Counter(counts).most_common()) or "-"


def passes(rows: Sequence[dict[str, Any]]) -> bool:
    """Nothing unanswered, no fault, and readers that don't read move nobody's p99 by more than a fifth.

    The p99 is that of results, so it says something only where about as many frames got one.
    """
    moved = [row for row in rows if row["beside"] in READERS]
    calm = all(row["p99_change"] is not None and row["p99_change"] <= MAY_MOVE for row in moved)
    served = all(row["results_change"] >= -MAY_MISS for row in moved)
    return calm and served and not any(row["unanswered"] or row["faults"] for row in rows)


def parse(argv: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.misbehaving", description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=30.0, help="of each case in each round (%(default)s)")
    parser.add_argument("--rounds", type=int, default=2, help="cases take turns so often (%(default)s)")
    names = [kind.name for kind in MISBEHAVIOURS]
    parser.add_argument("--only", choices=names, action="append", help="may be given several times; default: all")
    parser.add_argument("--pause-ms", type=float, default=20.0, help="between two attempts (%(default)s)")
    parser.add_argument("--jitter-ms", type=float, default=5.0, help="of the well-behaved console (%(default)s)")
    parser.add_argument("--budget-ms", type=float, default=40.0, help="for the share in time in --json (%(default)s)")
    parser.add_argument("--json", type=Path, help="write the figures to this file as well")
    parser.add_argument("serve", nargs="*", metavar="-- FLAG", help="of `fetalseg serve`")
    args = parser.parse_args(argv)
    if args.rounds < 1 or args.seconds <= _WARM_UP_S:
        parser.error(f"expected at least one round of more than {_WARM_UP_S:g} s")
    return args


def main(argv: list[str] | None = None) -> int:
    """Prints the table; 0 where nobody was disturbed, else 1."""
    args = parse(argv)
    machine, commit = this_machine(), commit_of()
    kinds = [kind for kind in MISBEHAVIOURS if not args.only or kind.name in args.only]
    try:
        print(f"{machine}; commit {commit}; load before {os.getloadavg()[0]:.2f}", flush=True)
        cine = load_cine(CINE, "jpeg", width=640, height=480)
        with serving([*ADMIT_ALL, *args.serve]) as served:
            plan = StreamPlan(served.url, cine, Timetable(25.0, args.seconds, args.jitter_ms))
            cases = run_all(plan, Target(served.url, cine), kinds, rounds=args.rounds, pause_s=args.pause_ms / 1000)
    except (FetalsegError, ValueError, OSError) as error:
        print(f"misbehaving: {error}", file=sys.stderr)
        return 1
    rows = rows_of(cases, Budget(latency_ms=args.budget_ms))
    passed = passes(rows)
    print(f"a console at 25 FPS, gray JPEG 640x480; {args.rounds} rounds of {args.seconds:g} s a case, ", end="")
    print(f"{_WARM_UP_S:g} s of each warm-up; latency from the moment a frame is due to its answer\n")
    print(table(rows))
    for row in rows:
        print("".join(f"FAULT beside {row['beside']}: {fault}\n" for fault in row["faults"][:5]), end="")
    print(f"nothing unanswered, no fault, p99 beside {' and '.join(READERS)} within {100 * MAY_MOVE:g} %, ", end="")
    print(f"at most {100 * MAY_MISS:g} % of its frames fewer with a result: ", end="")
    print("pass" if passed else "FAIL")
    if args.json:
        content = {"seconds": args.seconds, "rounds": args.rounds, "serve": without_folders(args.serve)}
        content |= {"passed": passed, "cases": rows}
        write_record(args.json, tool="misbehaving", machine=machine, commit=commit, content=content)
    return 0 if passed else 1


if __name__ == "__main__":
    raise SystemExit(main())
