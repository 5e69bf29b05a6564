"""Frames a second and latency of every stage, from a frame in memory to its instances and their polygons.

    python benchmarks/fps.py --model fetalseg-s --engine auto --batch 1 4 --frames 300 --source phantom

The clock covers preprocess (resize to the network), infer (the whole exported graph, uint8 in, candidates out),
postprocess (NMS and masks) and encode (polygons), one batch after another; warm-up, reading and decoding frames are
outside it. Latencies are those of a batch, FPS counts its frames.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.machine import this_machine
from benchmarks.record import commit_of, write_record
from fetalseg.engines import ENGINES
from fetalseg.errors import FetalsegError
from fetalseg.segmenter import Segmenter
from fetalseg.sources import open_source

STAGES = ("preprocess", "infer", "postprocess", "encode", "total")
PERCENTILES = (50, 95, 99)
WARM_UP = 10  # batches
HELD_FRAMES = 50  # a source is read this far and then repeated, so that decoding stays out of the clock


@dataclass(frozen=True)
class Row:
    """The figures of one configuration.

    Attributes:
        batch: frames a batch.
        fps: frames a second over the whole run.
        latency_ms: of a batch, by stage: p50, p95, p99 and max.
        instances: found in a frame, on average; an empty frame costs less than a full one.
    """

    batch: int
    fps: float
    latency_ms: dict[str, dict[str, float]]
    instances: float


def measure(segmenter: Segmenter, frames: list[npt.NDArray[np.uint8]], *, batch: int, count: int) -> Row:
    """Runs at least `count` frames in batches, after a warm-up."""
    endless = itertools.cycle(frames)
    times: dict[str, list[float]] = {stage: [] for stage in STAGES}
    batches, found = -(-count // batch), 0
    for index in range(-WARM_UP, batches):
        pixels = [next(endless) for _ in range(batch)]
        start = time.perf_counter()
        results = segmenter.segment_batch(pixels)
        encode_start = time.perf_counter()
        for result in results:
            result.polygons()
        end = time.perf_counter()
        if index < 0:
            continue
        found += sum(map(len, results))
        for stage in ("preprocess", "postprocess"):
            times[stage].append(sum(result.timing_ms[stage] for result in results))
        times["infer"].append(results[0].timing_ms["infer"])
        times["encode"].append(1000 * (end - encode_start))
        times["total"].append(1000 * (end - start))
    return Row(
        batch=batch,
        fps=1000 * batches * batch / sum(times["total"]),
        latency_ms={stage: _summary(values) for stage, values in times.items()},
        instances=found / (batches * batch),
    )


def _summary(values: list[float]) -> dict[str, float]:
    percentiles = {f"p{p}": float(np.percentile(values, p)) for p in PERCENTILES}
    return {name: round(value, 3) for name, value in (percentiles | {"max": max(values)}).items()}


def print_row(row: Row, budget_ms: float | None) -> None:
    """One configuration as a small table, with pass or fail against the budget."""
    print(f"\nbatch {row.batch}: {row.fps:.1f} frames/s, {row.instances:.1f} instances a frame")
    print(f"{'ms a batch':14}" + "".join(f"{name:>9}" for name in ("p50", "p95", "p99", "max")))
    for stage, values in row.latency_ms.items():
        print(f"{stage:14}" + "".join(f"{value:9.2f}" for value in values.values()))
    if budget_ms is not None:
        verdict = "pass" if within(row, budget_ms) else "FAIL"
        print(f"p95 of {row.latency_ms['total']['p95']:.1f} ms against a budget of {budget_ms:g} ms: {verdict}")


def within(row: Row, budget_ms: float) -> bool:
    """Whether 95 of 100 batches stay within the budget."""
    return row.latency_ms["total"]["p95"] <= budget_ms


def parse(argv: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="benchmarks/fps.py", description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="fetalseg-s", help="name or path (default: %(default)s)")
    parser.add_argument("--engine", default="auto", choices=["auto", *ENGINES])
    parser.add_argument("--precision", help="what the engine computes in; default: its best on this machine")
    parser.add_argument("--threads", type=int, help="default: all cores this process may use")
    parser.add_argument("--batch", type=int, nargs="+", default=[1], help="batch sizes (default: 1)")
    parser.add_argument("--frames", type=int, default=300, help="timed frames (default: %(default)s)")
    parser.add_argument("--source", default="phantom", help="as of `fetalseg predict` (default: %(default)s)")
    parser.add_argument("--budget-ms", type=float, help="exit code 1 if the p95 of a batch is above this")
    parser.add_argument("--json", type=Path, help="write the figures to this file as well")
    args = parser.parse_args(argv)
    if min(args.batch) < 1 or args.frames < 1:
        parser.error(f"--batch and --frames must be at least 1, got {args.batch} and {args.frames}")
    return args


def main(argv: list[str] | None = None) -> int:
    """Prints a table for each batch size; 0 passed, 1 over the budget or failed."""
    args = parse(argv)
    cv2.setNumThreads(1)  # as the server has it: the cores belong to the engine
    try:
        segmenter = Segmenter.load(args.model, args.engine, precision=args.precision, threads=args.threads)
        with open_source(args.source) as source:
            frames = [frame.pixels for frame in itertools.islice(source, HELD_FRAMES)]
    except (FetalsegError, ValueError) as error:
        print(f"fps: {error}", file=sys.stderr)
        return 1
    machine, commit, engine = this_machine(), commit_of(), segmenter.engine
    print(f"{machine}; commit {commit}")
    height, width = frames[0].shape[:2]
    rule = segmenter.facts.input
    print(
        f"{segmenter.facts.name} {segmenter.facts.version}, {engine.name} {engine.precision} on {engine.device}, "
        f"frames of {width}x{height} from {args.source}, network input {rule.width}x{rule.height}"
    )
    rows = [measure(segmenter, frames, batch=batch, count=args.frames) for batch in args.batch]
    for row in rows:
        print_row(row, args.budget_ms)
    if args.json:
        about = {"model": segmenter.facts.name, "version": segmenter.facts.version, "engine": engine.name}
        about |= {"precision": engine.precision, "device": engine.device, "source": Path(args.source).name}
        content = {**about, "frame": [height, width], "rows": [asdict(row) for row in rows]}
        write_record(args.json, tool="fps", machine=machine, commit=commit, content=content)
    return int(args.budget_ms is not None and not all(within(row, args.budget_ms) for row in rows))


if __name__ == "__main__":
    raise SystemExit(main())
