"""How steady live pictures are: raw results of a model against tracked ones, on synthetic cines.

    python -m benchmarks.steadiness [--model fetalseg-s] [--frames N] [--seeds S ...] [--json FILE]

A cine of `fetalseg phantom --cine` says for every frame where each structure is. Three things are compared with that:
what the model finds in each frame by itself; the same through the tracker, as the server does it; and, to tell the
tracker from the model, the truth itself through the tracker.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np

from benchmarks.machine import this_machine
from benchmarks.record import commit_of, write_record
from fetalseg.anatomy import structure, structure_names
from fetalseg.errors import FetalsegError
from fetalseg.evaluation.cine_figures import (
    Series,
    TimesToFound,
    Truth,
    false_structures,
    flicker,
    jitter,
    lag,
    match,
    switches,
    times_to_found,
)
from fetalseg.instances import Instances
from fetalseg.phantom.cine import cine
from fetalseg.phantom.frames import PhantomFrame
from fetalseg.segmenter import Segmenter
from fetalseg.tracking import Tracker, TrackerOptions

FPS = 25.0
COLUMNS = ("raw", "tracked", "truth tracked")


@dataclass(frozen=True, eq=False)
class Scan:
    """One cine and what was made of it, by column: the instances of each frame."""

    truths: list[Truth]
    shown: dict[str, list[Instances]]
    tracking_ms: list[float]


class LiveTracker:
    """A tracker as the server uses it: a standing picture gets the answer that it got before."""

    def __init__(self, options: TrackerOptions) -> None:
        self._tracker = Tracker(options)
        self._latest: Instances | None = None

    def update(self, detections: Instances, time_s: float, *, standing: bool) -> Instances:
        """The next frame that is answered."""
        if self._latest is None or not standing:
            self._latest = self._tracker.update(detections, time_s)
        return self._latest


def examine(segmenter: Segmenter, *, frames: int, seed: int, view_seconds: float) -> Scan:
    """Runs one cine."""
    plain = segmenter.default_options
    options = TrackerOptions(min_score=plain.min_score)
    doubtful = replace(plain, min_score=options.low_score, single_structures=False)
    live, ideal = LiveTracker(options), LiveTracker(options)
    scan = Scan([], {name: [] for name in COLUMNS}, [])
    before: PhantomFrame | None = None
    for number, frame in enumerate(cine(frames=frames, seed=seed, fps=FPS, view_seconds=view_seconds)):
        standing = before is not None and np.array_equal(before.pixels, frame.pixels)
        before = frame
        image, geometry = segmenter.prepare(frame.pixels)
        candidates = segmenter.infer(image[None])
        scan.shown["raw"].append(segmenter.finish(candidates, geometry, plain))
        detections = segmenter.finish(candidates, geometry, doubtful)
        start = time.thread_time()
        scan.shown["tracked"].append(live.update(detections, number / FPS, standing=standing))
        if not standing:
            scan.tracking_ms.append(1000 * (time.thread_time() - start))
        truth = frame.instances()
        scan.shown["truth tracked"].append(ideal.update(truth, number / FPS, standing=standing))
        annotated = frozenset(structure(name).label for name in frame.annotated)
        scan.truths.append(Truth(truth, frame.track_ids, frame.ignored, annotated))
    return scan


def figures(scans: Sequence[Scan], column: str) -> dict[str, float | None]:
    """The figures of one column over all cines; None where one can't be computed."""
    series = [match(scan.truths, scan.shown[column]) for scan in scans]
    times = sum((times_to_found(scan.truths, scan.shown[column], FPS) for scan in scans), TimesToFound((), 0))
    raw = [match(scan.truths, scan.shown["raw"]) for scan in scans]
    present = sum(int((~truth.ignored).sum()) for scan in scans for truth in scan.truths)
    dice = [found.dice for one in series for frames in one.values() for found in frames.values()]
    trembling = np.concatenate([jitter(one, other) for one, other in zip(series, raw, strict=True)])
    values = {
        "identity switches a minute": _minutely(scans, series, column),
        "flicker, changes a second": _mean(scans, lambda scan: flicker(scan.truths, scan.shown[column], FPS)),
        "visible to found, s, median": _or_nan(times.within(0.5)),
        "visible to found, s, 80 %": _or_nan(times.within(0.8)),
        "appearances never found, share": times.missed / times.appearances if times.appearances else math.nan,
        "lag, frames": _lag(series),
        "box jitter, px, median": float(np.median(trembling)) if trembling.size else math.nan,
        "box jitter, px, 95 %": float(np.percentile(trembling, 95)) if trembling.size else math.nan,
        "found, share": len(dice) / present if present else math.nan,
        "Dice of those found": float(np.mean(dice)) if dice else math.nan,
        "Dice, 0 where not found": sum(dice) / present if present else math.nan,
        "false structures a frame": _mean(scans, lambda scan: false_structures(scan.truths, scan.shown[column])),
    }
    return {name: None if math.isnan(value) else round(value, 4) for name, value in values.items()}


def _or_nan(value: float | None) -> float:
    return math.nan if value is None else value


def _mean(scans: Sequence[Scan], value: Callable[[Scan], float]) -> float:
    return float(np.average([value(scan) for scan in scans], weights=[len(scan.truths) for scan in scans]))


def _minutely(scans: Sequence[Scan], series: Sequence[Series], column: str) -> float:
    if column == "raw":
        return math.nan
    minutes = sum(len(scan.truths) for scan in scans) / FPS / 60
    return sum(switches(one, FPS) for one in series) / minutes


def _lag(series: Sequence[Series]) -> float:
    """Over all cines at once: structures of different cines are different ones."""
    together = {(number, key): found for number, one in enumerate(series) for key, found in one.items()}
    return lag(dict(enumerate(together.values())))


def print_table(table: dict[str, dict[str, float | None]]) -> None:
    """One line for each figure, as Markdown."""
    print(f"| figure | {' | '.join(COLUMNS)} |\n|---|{'---|' * len(COLUMNS)}")
    for name in table[COLUMNS[0]]:
        cells = ["" if (value := table[column][name]) is None else f"{value:.2f}" for column in COLUMNS]
        print(f"| {name} | {' | '.join(cells)} |")


def main(argv: list[str] | None = None) -> int:
    """Prints the table; 1 where the model can't be run."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.steadiness", description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="fetalseg-s", help="name or path (default fetalseg-s)")
    parser.add_argument("--frames", type=int, default=300, help="of each cine (default 300)")
    parser.add_argument(
        "--seeds", type=int, nargs="+", default=[5, 6], help="one cine each (default 5 6); 1 to 4 were tuned on"
    )
    parser.add_argument("--view-seconds", type=float, default=2.0, help="that each view is held (default 2)")
    parser.add_argument("--threads", type=int, help="of the engine (default one for each core)")
    parser.add_argument("--json", type=Path, help="write the figures to this file as well")
    args = parser.parse_args(argv)
    if args.frames < 1:
        parser.error(f"--frames must be at least 1, got {args.frames}")
    cv2.setNumThreads(1)
    machine, commit = this_machine(), commit_of()
    try:
        with Segmenter.load(args.model, threads=args.threads) as segmenter:
            facts = segmenter.facts
            if segmenter.structures != structure_names():
                parser.error(f"{args.model} finds other structures than the synthetic scanner draws")
            scans = [
                examine(segmenter, frames=args.frames, seed=seed, view_seconds=args.view_seconds) for seed in args.seeds
            ]
    except FetalsegError as error:
        print(f"steadiness: {error}", file=sys.stderr)
        return 1
    table = {column: figures(scans, column) for column in COLUMNS}
    cost_ms = float(np.percentile([ms for scan in scans for ms in scan.tracking_ms], 50))
    print(machine)
    print(
        f"{facts.name} {facts.version}, commit {commit}; cines of {args.frames} frames, seeds "
        f"{' '.join(map(str, args.seeds))}, views of {args.view_seconds:g} s; tracking takes {cost_ms:.2f} ms of "
        "processor time a frame (p50)\n"
    )
    print_table(table)
    if args.json:
        content = {
            "model": {"name": facts.name, "version": facts.version},
            "frames": args.frames,
            "seeds": args.seeds,
            "view_seconds": args.view_seconds,
            "tracking_p50_ms": round(cost_ms, 3),
            "figures": table,
        }
        write_record(args.json, tool="steadiness", machine=machine, commit=commit, content=content)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
