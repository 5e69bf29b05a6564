"""How good what is on the screen is: average precision in real time, against that of frame by frame.

    fetalseg phantom --cine --frames 600 --seed 5 --out cine5
    python -m benchmarks.on_screen --cine cine5 --model fetalseg-s fetalseg-m --latency-ms 0 40 80 160
    python -m benchmarks.on_screen --cine cine5 --server http://127.0.0.1:8420

A cine whose truth is known in every frame is played at 25 frames a second. At each tick what is on the screen then, the
newest answer that has arrived, is scored against the truth of that tick (Li et al., "Towards Streaming Perception",
ECCV 2020). Models run once on every frame and are then played at each latency, and at those that were measured here;
while a frame is worked at one other waits, the newest. At latency 0 all is as frame by frame.

Average precision ranks untracked detections from score 0.05 on, as `fetalseg eval` does; a server leaves out second
instances of structures that a fetus has once. Flicker and times are those of tracked results, as an operator sees them.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from benchmarks.live.served import stream_url
from benchmarks.machine import Machine, this_machine
from benchmarks.record import commit_of, write_record
from benchmarks.screen.played import Cine, figures, read_cines
from benchmarks.screen.served import play_to_server
from benchmarks.screen.simulated import play, record
from benchmarks.screen.systems import Row, System, describe
from fetalseg.cli.progress_bar import progress_bar
from fetalseg.errors import FetalsegError
from fetalseg.evaluation.on_screen import Latency
from fetalseg.segmenter import Segmenter
from fetalseg_server.options import CODEC_WORDS

LATENCIES_MS = (0.0, 20.0, 40.0, 60.0, 80.0, 120.0, 160.0, 200.0, 280.0)


def simulate_model(model: str, cines: Sequence[Cine], args: argparse.Namespace) -> System:
    """A model at all latencies."""
    with Segmenter.load(model, args.engine, threads=args.threads) as segmenter, progress_bar() as progress:
        if segmenter.structures != cines[0].truth.structures:
            raise FetalsegError(f"{model} finds other structures than the cine has")
        facts = segmenter.facts
        segmenter.segment(cines[0].truth.images[0].pixels())  # warm-up
        recordings = []
        for cine in cines:
            images = progress.track(cine.truth.images, description=f"{facts.name}, {cine.truth.name}")
            recordings.append(record(segmenter, cine, (image.pixels() for image in images)))
    took_ms = tuple(round(ms, 3) for recording in recordings for ms in recording.took_ms)
    p50_ms, p95_ms = (float(np.percentile(took_ms, share)) for share in (50, 95))
    ways = [(f"{ms:g}", ms, False, Latency((ms,), args.way_ms)) for ms in sorted(set(args.latency_ms))]
    ways.append((f"here: {p50_ms:.0f} (p50), {p95_ms:.0f} (p95)", p50_ms, True, Latency(took_ms, args.way_ms)))
    rows = []
    for words, latency_ms, measured, latency in ways:
        played = [
            play(cine, recording, latency, seed=args.seed) for cine, recording in zip(cines, recordings, strict=True)
        ]
        found = figures(cines, [scored for scored, _ in played], [displayed for _, displayed in played])
        rows.append(Row(words, latency_ms, measured, found))
    return System(f"{facts.name} {facts.version}", {"name": facts.name, "version": facts.version}, rows)


def measure_server(cines: Sequence[Cine], args: argparse.Namespace) -> System:
    """A server in real time, and before that frame by frame."""
    played = [play_to_server(stream_url(args.server), cine, codec=args.codec) for cine in cines]
    ready = played[0].ready
    facts = {
        "name": ready.model["name"],
        "version": ready.model["version"],
        "sha256": ready.model["sha256"],
        "engine": ready.engine,
        "codec": args.codec,
        "frames": dict(sum((one.outcomes for one in played), Counter())),
        "rungs": {str(rung): n for rung, n in sorted(sum((one.rungs for one in played), Counter()).items())},
    }
    rows = [
        Row("frame by frame", None, False, figures(cines, [one.offline for one in played], None)),
        Row(
            "in real time",
            None,
            True,
            figures(cines, [one.scored for one in played], [one.displayed for one in played]),
        ),
    ]
    return System(f"{facts['name']} {facts['version']}, served", facts, rows)


def parse(argv: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.on_screen", description=__doc__.splitlines()[0])
    parser.add_argument("--cine", type=Path, nargs="+", required=True, help="written by `fetalseg phantom --cine`")
    parser.add_argument("--frames", type=int, help="of each cine, the first so many (default all)")
    parser.add_argument("--fps", type=float, default=25.0, help="at which they are played (%(default)s)")
    parser.add_argument("--model", nargs="+", default=["fetalseg-s"], help="names or paths (fetalseg-s)")
    parser.add_argument("--latency-ms", type=float, nargs="+", default=LATENCIES_MS, help="simulated (0 to 280)")
    parser.add_argument("--way-ms", type=float, default=0.0, help="more until it is on the screen (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the draws of measured latencies")
    parser.add_argument("--engine", default="auto", help="runtime (%(default)s)")
    parser.add_argument("--threads", type=int, help="of the engine (default one for each core)")
    parser.add_argument("--server", metavar="HTTP", help="play to this server instead, http://127.0.0.1:8420")
    parser.add_argument("--codec", choices=CODEC_WORDS, default="gray8", help="to the server (%(default)s)")
    parser.add_argument("--json", type=Path, help="write the figures to this file as well")
    parser.add_argument("--plot", type=Path, help="draw AP50 over latency; needs the extra `data`")
    args = parser.parse_args(argv)
    if args.frames is not None and args.frames < 1:
        parser.error(f"--frames must be at least 1, got {args.frames}")
    if args.server and args.plot:
        parser.error("--plot draws simulated latencies, a server has its own")
    return args


def main(argv: list[str] | None = None) -> int:
    """Prints the table; 1 where cine, model or server can't be used."""
    args = parse(argv)
    cv2.setNumThreads(1)
    machine, commit = this_machine(), commit_of()
    try:
        if args.plot:
            importlib.import_module("benchmarks.screen.plot")  # before the run: an absent package shouldn't cost one
        cines = read_cines(args.cine, fps=args.fps, frames=args.frames)
        systems = [measure_server(cines, args)] if args.server else [simulate_model(m, cines, args) for m in args.model]
    except (FetalsegError, ValueError, OSError) as error:
        print(f"on_screen: {error}", file=sys.stderr)
        return 1
    frames = sum(len(cine.truth.images) for cine in cines)
    played = f"{frames} frames of {len(cines)} synthetic cine{'s' * (len(cines) > 1)} at {args.fps:g} a second"
    print(f"{machine}\ncommit {commit}; {played}\n")
    print(describe(systems))
    if args.json:
        _write(args, cines, systems, machine, commit)
    if args.plot:
        _draw(args, systems, played)
    return 0


def _write(
    args: argparse.Namespace, cines: Sequence[Cine], systems: Sequence[System], machine: Machine, commit: str
) -> None:
    content = {
        "cines": [{"sha256": cine.truth.sha256, "frames": len(cine.truth.images)} for cine in cines],
        **{name: getattr(args, name) for name in ("fps", "way_ms", "seed")},
        "systems": [
            {
                "model": system.facts,
                "rows": [
                    {"latency": row.latency, "latency_ms": row.latency_ms, **row.figures.as_json()}
                    for row in system.rows
                ],
            }
            for system in systems
        ],
    }
    write_record(args.json, tool="on_screen", machine=machine, commit=commit, content=content)


def _draw(args: argparse.Namespace, systems: Sequence[System], title: str) -> None:
    from benchmarks.screen.plot import Curve, plot_curves

    curves = []
    for system in systems:
        points = system.curve()
        curves.append(Curve(system.name, [ms for ms, _ in points], [ap for _, ap in points], system.as_it_runs()))
    plot_curves(args.plot, curves, period_ms=1000 / args.fps, title=title)


if __name__ == "__main__":
    raise SystemExit(main())
