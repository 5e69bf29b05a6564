"""Consoles at 25 FPS against the live service: latency of every stage, and how many consoles it carries.

    python benchmarks/stream.py --consoles 1 --seconds 65 --codec jpeg --deadline-ms 200
    python benchmarks/stream.py --find-capacity --seconds 20 -- --workers 2

What stands after "--" goes to `fetalseg serve`. With --url a server that runs already is measured instead.

The clock starts when a frame is due at its console and stops when the console has read its whole answer; each console
is a process of its own. Before it lie reading and coding of the pictures; after it, taking the answer's JSON apart.
Percentiles are those of results; frames that got none count in the shares. The warm-up is in no figure.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.live.capacity_search import largest_that_holds
from benchmarks.live.console import ConsoleLog, Timetable
from benchmarks.live.figures import Budget, StreamFigures, latencies_ms, stream_figures
from benchmarks.live.fleet import StreamPlan, consoles
from benchmarks.live.frames import CINE, frame_size, load_cine
from benchmarks.live.metrics_page import read_lag
from benchmarks.live.served import serving, stream_url
from benchmarks.live.usage import Usage, UsageWatch
from benchmarks.live.wire import RefusedError
from benchmarks.machine import this_machine
from benchmarks.record import commit_of, without_folders, write_record
from fetalseg.errors import FetalsegError
from fetalseg_server.options import CODEC_WORDS, MASK_WORDS

TOKEN_VARIABLE = "FETALSEG_TOKEN"


@dataclass(frozen=True)
class Run:
    """One run of some consoles.

    Attributes:
        figures: of its frames.
        ready: the server's greeting.
        lag_ms: of the server's event loop, p50 and p99 from its histogram; None where it tells none.
        usage: of its processes; None of a server that isn't ours.
        logs: what became of every frame.
        measured_from: end of the warm-up.
    """

    figures: StreamFigures
    ready: dict[str, Any]
    lag_ms: tuple[float | None, float | None]
    usage: Usage | None
    logs: list[ConsoleLog]
    measured_from: float


def measure(plan: StreamPlan, count: int, *, http: str, pid: int | None, warm_up_s: float, budget: Budget) -> Run:
    """Lets consoles stream and adds up.

    Args:
        plan: what each does.
        count: of them.
        http: address of the server, for its metrics.
        pid: of the server's process, where it is ours.
        warm_up_s: seconds of the timetable that no figure counts.
        budget: what counts as in time.

    Raises:
        RefusedError: the server doesn't take so many.
        FetalsegError: a console failed.
    """
    with consoles(plan, count) as fleet:
        measured_from = fleet.start() + warm_up_s
        time.sleep(max(0.0, measured_from - time.monotonic()))
        before = read_lag(http, plan.token)
        watch = None if pid is None else UsageWatch(pid)
        # The server is asked again while it still streams: afterwards its loop idles.
        time.sleep(max(0.0, measured_from + plan.timetable.seconds - warm_up_s - time.monotonic()))
        lag = read_lag(http, plan.token).since(before)
        usage = None if watch is None else watch.end()
        logs = fleet.logs()
    quantiles = [None if (lag_s := lag.quantile(share)) is None else 1000 * lag_s for share in (0.5, 0.99)]
    figures = stream_figures(logs, measured_from=measured_from, budget=budget)
    return Run(figures, dict(fleet.ready), (quantiles[0], quantiles[1]), usage, logs, measured_from)


def describe(run: Run, budget: Budget) -> str:
    """A run as lines to print."""
    figures = run.figures
    skipped = ", ".join(f"{reason} {n}" for reason, n in figures.skipped.items()) or "none"
    lines = [
        figures.table(),
        "",
        f"{_consoles(figures.consoles)}, {figures.due} frames due: {figures.results} results, "
        f"{figures.in_time} ({100 * figures.in_time / figures.due:.2f} %) within {budget.latency_ms:g} ms, "
        f"worst console {100 * figures.worst_in_time:.2f} %",
        f"skipped: {skipped}; kept at the source: {figures.kept}; unsent: {figures.unsent}; "
        f"unanswered: {figures.unanswered}; by rung: {figures.rungs}",
    ]
    p50, p99 = run.lag_ms
    if p50 is not None and p99 is not None:
        lines.append(f"event loop late by {p50:.2f} ms (p50), {p99:.2f} ms (p99), from the buckets of /metrics")
    if (usage := run.usage) is not None:
        lines.append(
            f"cores busy: server {usage.server_cpu:.2f}, {usage.workers} workers {usage.workers_cpu:.2f}, "
            f"whole machine {usage.machine_cpu:.2f}, taken by the hypervisor {usage.stolen_cpu:.2f}; "
            f"memory: server {usage.server_rss / 1e6:.0f} MB, workers {usage.workers_rss / 1e6:.0f} MB"
        )
    lines += [f"FAULT: {fault}" for fault in figures.faults[:10]]
    verdict = "pass" if figures.holds(budget) else "FAIL"
    lines.append(
        f"{100 * budget.share:g} % within {budget.latency_ms:g} ms, at most {100 * budget.skipped:g} % skipped, "
        f"none unanswered, for every console: {verdict}"
    )
    return "\n".join(lines)


def parse(argv: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="benchmarks/stream.py", description=__doc__.splitlines()[0])
    parser.epilog = f"A server's token is read from the environment variable {TOKEN_VARIABLE}."
    parser.add_argument("--consoles", type=int, default=1, help="streams at a time (%(default)s)")
    parser.add_argument("--seconds", type=float, default=65.0, help="of streaming, warm-up included (%(default)s)")
    parser.add_argument("--warm-up", type=float, default=5.0, metavar="SECONDS", help="not measured (%(default)s)")
    parser.add_argument("--fps", type=float, default=25.0, help="of each console (%(default)s)")
    parser.add_argument("--jitter-ms", type=float, default=5.0, help="a frame is due up to so much later (%(default)s)")
    parser.add_argument("--codec", choices=CODEC_WORDS, default="jpeg")
    parser.add_argument("--size", type=frame_size, default="640x480", metavar="WxH", help="of a frame (%(default)s)")
    parser.add_argument("--source", default=CINE, help="the viewer's cine, or as of `fetalseg predict` (%(default)s)")
    parser.add_argument("--masks", choices=MASK_WORDS, default="polygon")
    parser.add_argument("--deadline-ms", type=float, default=200.0, help="of the sessions (%(default)s)")
    parser.add_argument("--window", type=int, help="frames unanswered at a time; default: the server's; 0: no limit")
    parser.add_argument("--budget-ms", type=float, default=40.0, help="exit code 1 if it isn't held (%(default)s)")
    parser.add_argument("--find-capacity", action="store_true", help="search the most consoles that hold the budget")
    parser.add_argument("--max-consoles", type=int, default=32, help="the search's end (%(default)s)")
    parser.add_argument("--url", metavar="HTTP", help="of a server that runs already, http://127.0.0.1:8420")
    parser.add_argument("--seed", type=int, default=0, help="of the jitter")
    parser.add_argument("--json", type=Path, help="write the figures to this file as well")
    parser.add_argument("--plot", type=Path, help="draw how latencies are distributed; needs the extra `data`")
    parser.add_argument("serve", nargs="*", metavar="-- FLAG", help="of `fetalseg serve`")
    args = parser.parse_args(argv)
    if args.consoles < 1 or args.max_consoles < 1 or not 0 <= args.warm_up < args.seconds:
        parser.error("expected at least one console and a warm-up shorter than --seconds")
    if args.url and args.serve:
        parser.error("flags of `fetalseg serve` are for a server of our own, without --url")
    return args


@contextmanager
def _server(args: argparse.Namespace) -> Iterator[tuple[str, int | None]]:
    """Address and, of a server of our own, process."""
    if args.url:
        yield args.url.rstrip("/"), None
        return
    most = args.max_consoles if args.find_capacity else args.consoles
    # Stated flags come last and win.
    with serving(["--max-sessions", str(most), *args.serve]) as served:
        yield served.http, served.pid


def _plan(args: argparse.Namespace, http: str) -> StreamPlan:
    width, height = args.size
    options = {"codec": args.codec, "masks": args.masks, "deadline_ms": args.deadline_ms}
    return StreamPlan(
        url=stream_url(http),
        cine=load_cine(args.source, args.codec, width=width, height=height),
        timetable=Timetable(args.fps, args.seconds, args.jitter_ms, seed=args.seed),
        options={**options, "width": width, "height": height},
        token=os.environ.get(TOKEN_VARIABLE),
        window=args.window,
    )


def _search(
    plan: StreamPlan, args: argparse.Namespace, http: str, pid: int | None, budget: Budget
) -> tuple[int, dict[int, Run]]:
    """The most consoles that hold the budget, 0 for none, and every run by its number; a refused number has no run."""
    runs: dict[int, Run] = {}

    def holds(count: int) -> bool:
        try:
            run = measure(plan, count, http=http, pid=pid, warm_up_s=args.warm_up, budget=budget)
        except RefusedError as error:
            print(f"{count:3} consoles: {error}", flush=True)
            return False
        runs[count], figures = run, run.figures
        kept = figures.holds(budget)
        print(
            f"{count:3} consoles: worst {100 * figures.worst_in_time:6.2f} % in time, "
            f"{100 * figures.worst_skipped:5.2f} % skipped: {'holds' if kept else 'does not hold'}",
            flush=True,
        )
        return kept

    found = largest_that_holds(holds, args.max_consoles)
    print(f"\nmost consoles that hold the budget: {found}" + (" or more" if found == args.max_consoles else ""))
    return found, runs


def main(argv: list[str] | None = None) -> int:
    """Prints a table; 0 where the budget is held, else 1."""
    args = parse(argv)
    budget, machine, commit = Budget(latency_ms=args.budget_ms), this_machine(), commit_of()
    try:
        if args.plot:
            from benchmarks.live.plot import plot_cdf  # before the run: an absent package shouldn't cost one
        print(f"{machine}; commit {commit}; load before {os.getloadavg()[0]:.2f}", flush=True)
        with _server(args) as (http, pid):
            plan = _plan(args, http)
            if args.find_capacity:
                chosen, runs = _search(plan, args, http, pid, budget)
            else:
                chosen = args.consoles
                runs = {chosen: measure(plan, chosen, http=http, pid=pid, warm_up_s=args.warm_up, budget=budget)}
    except (FetalsegError, ValueError, OSError) as error:
        print(f"stream: {error}", file=sys.stderr)
        return 1
    about = _about(args, plan)
    shown = runs.get(chosen)
    if shown is not None:
        print("\n".join([_title(shown, about), "", describe(shown, budget)]))
        if args.plot:
            latencies = latencies_ms(shown.logs, measured_from=shown.measured_from)
            title = f"{_consoles(chosen)} at {args.fps:g} FPS, {shown.ready['model']['name']}, {machine.processor}"
            plot_cdf(args.plot, latencies, budget_ms=budget.latency_ms, title=title)
    if args.json:
        figures = {str(count): _figures(run, budget) for count, run in sorted(runs.items())}
        found = {"most_consoles": chosen} if args.find_capacity else {}
        content = {**about, "budget": asdict(budget), **found, "runs": figures}
        write_record(args.json, tool="stream", machine=machine, commit=commit, content=content)
    return 0 if shown is not None and shown.figures.holds(budget) else 1


def _consoles(count: int) -> str:
    return "1 console" if count == 1 else f"{count} consoles"


def _about(args: argparse.Namespace, plan: StreamPlan) -> dict[str, Any]:
    names = ("fps", "seconds", "warm_up", "jitter_ms", "codec", "masks", "deadline_ms")
    return {
        **{name: getattr(args, name) for name in names},
        "size": "{}x{}".format(*args.size),
        "source": Path(args.source).name,
        "serve": without_folders(args.serve),
        "mean_frame_bytes": round(plan.cine.mean_bytes),
    }


def _title(run: Run, about: dict[str, Any]) -> str:
    model = run.ready["model"]
    return (
        f"{model['name']} {model['version']} ({model['sha256'][:12]}) on {run.ready['engine']}; "
        f"{about['codec']} {about['size']} from {about['source']}, {about['mean_frame_bytes']} bytes a frame, "
        f"{about['fps']:g} FPS, jitter {about['jitter_ms']:g} ms, deadline {about['deadline_ms']:g} ms, "
        f"masks {about['masks']}; {about['seconds']:g} s of which {about['warm_up']:g} s warm-up"
    )


def _figures(run: Run, budget: Budget) -> dict[str, Any]:
    lag = dict(zip(("p50", "p99"), run.lag_ms, strict=True))
    usage = None if run.usage is None else asdict(run.usage)
    ready = {key: run.ready[key] for key in ("model", "engine", "limits", "features")}
    holds = run.figures.holds(budget)
    return {"holds": holds, **asdict(run.figures), "event_loop_lag_ms": lag, "usage": usage, "server": ready}


if __name__ == "__main__":
    raise SystemExit(main())
