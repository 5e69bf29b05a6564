"""Frames a second and latency of every stage, from a frame in memory to its instances and their polygons.

    python benchmarks/fps.py --model fetalseg-s --engine auto --batch 1 4 --frames 300 --source phantom
    python benchmarks/fps.py --engine openvino onnxruntime --precision fp32 bf16 --budget-ms 40 --json after.json
    python benchmarks/fps.py --model yolact-r50 --input 550 --batch 1 8

The clock covers preprocess (resize to the network), upload and copy back where the engine's device has memory of its
own, infer (the whole exported graph, uint8 in, candidates out), NMS, masks and encode (polygons), one batch after
another; warm-up, reading and decoding frames are outside it. Engines wait for their device at the end of each stage,
with --pipelined only at the end of the last. Latencies are those of a batch, FPS counts its frames. Several
configurations take turns, so that what else the machine does falls on all alike.
"""

from __future__ import annotations

import argparse
import itertools
import logging
import os
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
if __name__ == "__main__":  # what imports this keeps its own environment
    os.environ["OPENBLAS_NUM_THREADS"] = "1"  # NumPy's, read when it is loaded; as the server has it

import cv2

from benchmarks.machine import load_average, this_machine
from benchmarks.record import commit_of, write_record
from benchmarks.speed.arguments import (
    at_least_one,
    existing_file,
    file_to_write,
    milliseconds,
    picture_to_write,
    size_of,
)
from benchmarks.speed.command import exit_code_of
from benchmarks.speed.comparison import SCHEMA, comparison_table, differences, read_figures
from benchmarks.speed.measuring import BLOCKS, WARM_UP, Asked, Measured, measure
from benchmarks.speed.networks import RANDOM, find_network
from benchmarks.speed.rows import print_row, print_summary, within
from benchmarks.speed.stages import Frames, size_of_all
from benchmarks.speed.stand_in import INSTANCES
from fetalseg.cli.demo import REAL_CINE
from fetalseg.engines import ENGINES
from fetalseg.errors import DataError
from fetalseg.sources import open_source

HELD_FRAMES = 50  # a source is read this far and then repeated, so that decoding stays out of the clock


def parse(argv: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="benchmarks/fps.py", description=__doc__.splitlines()[0])
    several = "name or path, or a variant without weights, as yolact-r50: seeded random weights (default: fetalseg-s)"
    parser.add_argument("--model", nargs="+", default=["fetalseg-s"], help=several)
    parser.add_argument("--engine", nargs="+", default=["auto"], choices=["auto", *ENGINES])
    parser.add_argument("--precision", nargs="+", help="what to compute in; default: the engine's best on this machine")
    parser.add_argument("--device", help="where to run: cpu, cuda, tensorrt; default: the best that works")
    parser.add_argument("--threads", type=at_least_one, help="default: all cores this process may use")
    parser.add_argument("--batch", type=at_least_one, nargs="+", default=[1], help="batch sizes (default: 1)")
    parser.add_argument(
        "--input", type=size_of, help="550 or 416x288: of the network's input; a model is exported anew"
    )
    parser.add_argument("--frames", type=at_least_one, default=300, help="timed frames of each (default: %(default)s)")
    source = "phantom, a folder, a cine (file), or as of `fetalseg predict`; 'cine': the one inside pydicom"
    parser.add_argument("--source", default="phantom", help=f"{source} (default: %(default)s)")
    parser.add_argument("--pipelined", action="store_true", help="also with the stages overlapping, in threads")
    limit = "exit code 1 if the p95 of a batch is above this, or the largest of fewer than 20 batches"
    parser.add_argument("--budget-ms", type=milliseconds, help=limit)
    parser.add_argument("--json", type=file_to_write, help="write the figures to this file as well")
    parser.add_argument("--plot", type=picture_to_write, help="draw latencies and stages (.png, .svg, .pdf)")
    since = "say what changed since that run, stage by stage"
    parser.add_argument("--compare", type=existing_file, metavar="JSON", help=since)
    parser.add_argument("--compare-anyway", action="store_true", help="also with another machine or other frames")
    args = parser.parse_args(argv)
    if args.compare_anyway and not args.compare:
        parser.error("--compare-anyway needs --compare JSON")
    return args


def main(argv: list[str] | None = None) -> int:
    """Prints a table for each configuration; 0 passed, 1 over the budget or failed, 2 wrong usage, 130 interrupted."""
    args = parse(argv)
    logging.basicConfig(format="%(message)s")
    cv2.setNumThreads(1)  # as the server has it: the cores belong to the engine
    return exit_code_of("fps", lambda: run(args))


def run(args: argparse.Namespace) -> int:
    """Measures, prints, writes."""
    if args.plot:  # what isn't installed is said before minutes of measuring
        from benchmarks.speed.plot import plot_latencies
    before = read_figures(args.compare) if args.compare else None
    machine, commit = this_machine(), commit_of()
    with open_source(REAL_CINE if args.source == "cine" else args.source) as source:
        frames = [frame.pixels for frame in itertools.islice(source, HELD_FRAMES)]
    if before:  # what is known already, before minutes of measuring
        known = {"source": Path(args.source).name, "frame": list(frames[0].shape[:2]), "gpu": before["gpu"], "rows": []}
        check_comparable(before, {"machine": machine.as_dict(), **known}, anyway=args.compare_anyway)
    print(f"{machine}; commit {commit}; load before {load_average()}")
    with tempfile.TemporaryDirectory() as folder:
        asked = Asked(
            networks=[find_network(model, args.input, Path(folder)) for model in args.model],
            engines=args.engine,
            precisions=args.precision or [None],
            threads=args.threads,
            device=args.device,
        )
        measured = measure(asked, frames, batches=args.batch, count=args.frames, pipelined=args.pipelined)
    print_measured(args, measured, frames)
    content = content_of(args, measured, frames)
    if args.json:
        write_record(args.json, tool="fps", machine=machine, commit=commit, content=content)
    if args.plot:
        title = f"{machine}\n{args.frames} frames from {Path(args.source).name}, commit {commit}"
        plot_latencies(args.plot, measured.rows, measured.samples, budget_ms=args.budget_ms, title=title)
    if before:
        compare(before, {"machine": machine.as_dict(), **content}, measured, anyway=args.compare_anyway)
    return int(args.budget_ms is not None and not all(within(row, args.budget_ms) for row in measured.rows))


def print_measured(args: argparse.Namespace, measured: Measured, frames: Frames) -> None:
    """What was measured on what, and every configuration."""
    if measured.gpu:
        print(measured.gpu)
    print(
        f"clock: a frame of {size_of_all(frames)} in memory ({len(frames)} from {args.source}, repeated) to its "
        f"polygons, one batch after another, in {BLOCKS} blocks in turns; reading and decoding are outside, and "
        f"warm-up of {WARM_UP.batches} batches and {WARM_UP.seconds:g} s at least"
    )
    if any(row.setup.weights == RANDOM for row in measured.rows):
        print(
            f"random weights find nothing: NMS, masks and encode work on made-up candidates, {INSTANCES} instances "
            "with boxes of 1.5 frames together"
        )
    for row in measured.rows:
        print_row(row, args.budget_ms)
    if len(measured.rows) > 1:
        print_summary(measured.rows)


def content_of(args: argparse.Namespace, measured: Measured, frames: Frames) -> dict[str, Any]:
    """For the file: the machine's part is `write_record`'s."""
    return {
        "schema": SCHEMA,
        "source": Path(args.source).name,
        "frame": list(frames[0].shape[:2]),
        "frames": args.frames,
        "warm_up_batches": WARM_UP.batches,
        "warm_up_s": WARM_UP.seconds,
        "gpu": measured.gpu,
        "rows": [asdict(row) for row in measured.rows],
    }


def check_comparable(before: dict[str, Any], after: dict[str, Any], *, anyway: bool) -> list[str]:
    """What isn't the same in both runs.

    Raises:
        DataError: something isn't, and the user doesn't want a comparison anyway.
    """
    told = differences(before, after)
    if told and not anyway:
        raise DataError(
            f"the runs can't be compared: {'; '.join(told)}; remedy: measure both alike, or --compare-anyway"
        )
    return told


def compare(before: dict[str, Any], after: dict[str, Any], measured: Measured, *, anyway: bool) -> None:
    """Prints what changed.

    Raises:
        DataError: the runs aren't comparable, or have no configuration in common.
    """
    told = check_comparable(before, after, anyway=anyway)
    print(f"\nagainst commit {before['commit']} of {before['date']}")
    for line in told:
        print(f"NOT THE SAME: {line}")
    print(comparison_table(before, measured.rows))
    print(
        "The intervals know the noise within each run. A busier hour shifts a whole run: what matters and is small is "
        "better measured in one run, as several --model or --engine, which take turns."
    )


if __name__ == "__main__":
    raise SystemExit(main())
