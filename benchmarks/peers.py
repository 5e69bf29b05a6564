"""Our networks and those that they are compared with, side by side in one run, on the same frames and clock.

    python benchmarks/peers.py --frames 20
    python benchmarks/peers.py --runtime openvino onnxruntime --yolo-onnx yolo11n-seg.onnx

- "model" is the network alone: from uint8 at its input's size, in the memory of its device, to what it returns (ours:
  candidates; R-CNN: boxes, scores and masks of 28x28). It ends when the device has ended.
- "frame to masks" goes from a frame in memory to bool masks in its pixels; polygons are not in it.
- All networks take turns, frame by frame in blocks; ratios are those of blocks measured one after the other.
- Percentiles that take more frames than were run are left out: 20 for p95.
- Weights that don't ship are random and seeded: speed only. What is found is fixed, since R-CNN's cost depends on it:
  at most 1,000 proposals, and the best 12 detections without a threshold. What random weights find is replaced by
  made-up boxes, 12 of 1.5 frames together, before masks are made; shipped ones keep their best 12 from a score of 0.05
  on. BatchNorm is folded into all of them.
- torch's threads spin while they wait for each other: on a busy machine two take four times as long as one. See "load
  before".
- In torch all are eager and have the same precision, fp32 without TF32; ours run as they are served as well, in the
  other runtimes.
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

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
if __name__ == "__main__":  # what imports this keeps its own environment
    os.environ["OPENBLAS_NUM_THREADS"] = "1"  # NumPy's, read when it is loaded; as the server has it

import cv2

from benchmarks.machine import load_average, this_machine
from benchmarks.peer_models.figures import bar_line, peer_row, peer_table
from benchmarks.peer_models.plan import NETWORK_RUNTIMES, PEERS, RUNTIMES, Plan
from benchmarks.record import commit_of, write_record
from benchmarks.speed.arguments import at_least_one, existing_file, file_to_write, size_of
from benchmarks.speed.command import exit_code_of
from benchmarks.speed.runtimes import runtime_version
from benchmarks.speed.stages import size_of_all
from benchmarks.speed.turns import Untimed, take_turns
from fetalseg.engines.base import usable_cores
from fetalseg.sources import open_source

HELD_FRAMES = 20
WARM_UP = Untimed(batches=2, seconds=0.5)  # frames of each network, before anything is timed
SETTLE = Untimed(batches=1, seconds=0.1)  # before each block
BLOCKS = 10


def parse(argv: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="benchmarks/peers.py", description=__doc__.splitlines()[0])
    known = f"{', '.join(PEERS)} (default: all of these), another *-seg of ultralytics, or a model of ours"
    parser.add_argument("--peers", nargs="+", default=list(PEERS), help=known)
    parser.add_argument("--runtime", nargs="+", default=list(RUNTIMES), choices=RUNTIMES, help="default: all")
    parser.add_argument("--input", type=size_of, default=(550, 550), help="550 or 416x288, where weights are random")
    parser.add_argument("--precision", default="fp32", choices=["fp32", "bf16", "fp16"], help="default: fp32")
    parser.add_argument("--device", choices=["cpu", "cuda"], help="default: the GPU if PyTorch sees one")
    parser.add_argument("--threads", type=at_least_one, help="default: all cores this process may use")
    parser.add_argument("--frames", type=at_least_one, default=20, help="timed frames of each (default: %(default)s)")
    parser.add_argument("--source", default="phantom", help="as of `fetalseg predict` (default: %(default)s)")
    exported = f"a YOLO that you have exported, for {' or '.join(NETWORK_RUNTIMES)}: the bar for fetalseg-s"
    parser.add_argument("--yolo-onnx", type=existing_file, help=exported)
    parser.add_argument("--json", type=file_to_write, help="write the figures to this file as well")
    args = parser.parse_args(argv)
    if args.yolo_onnx and not set(args.runtime) & set(NETWORK_RUNTIMES):
        parser.error(f"--yolo-onnx needs --runtime {' or '.join(NETWORK_RUNTIMES)}, got {' '.join(args.runtime)}")
    return args


def main(argv: list[str] | None = None) -> int:
    """Prints the table; 1 where something can't be run, 2 wrong usage, 130 interrupted."""
    args = parse(argv)
    logging.basicConfig(format="%(message)s")
    cv2.setNumThreads(1)  # as the server has it: the cores belong to the network
    return exit_code_of("peers", lambda: run(args))


def run(args: argparse.Namespace) -> int:
    """Measures, prints, writes."""
    from benchmarks.peer_models.field import gather
    from benchmarks.peer_models.place import Place

    machine, commit, load = this_machine(), commit_of(), load_average()
    with open_source(args.source) as source:
        frames = [frame.pixels for frame in itertools.islice(source, HELD_FRAMES)]
    place = Place(args.precision, args.device)
    device = place.device.type
    plan = Plan(args.peers, args.runtime, args.input, args.precision, args.threads, device, args.yolo_onnx)
    with tempfile.TemporaryDirectory() as folder:
        field = gather(plan, frames, Path(folder))
        for line in field.left_out:
            print(f"left out: {line}")
        if not field.contestants:
            raise ValueError("none of these networks can be run here")
        counts = [args.frames] * len(field.contestants)
        samples = take_turns(field.contestants, counts, blocks=BLOCKS, warm_up=WARM_UP, settle=SETTLE)
    runtimes = ", ".join(map(runtime_version, dict.fromkeys(one.facts.runtime for one in field.contestants)))
    print(f"{machine}; {runtimes}; commit {commit}; load before {load}")
    print(
        f"{args.frames} frames of {size_of_all(frames)} from {args.source} through each network on "
        f"{place.gpu or 'the processor'}, in {min(BLOCKS, args.frames)} blocks"
    )
    everyone = list(zip(field.contestants, samples, strict=True))
    rows = [peer_row(one.facts, own, samples[0]) for one, own in everyone]
    print(peer_table(rows))
    lines = []
    for ours, yolo in field.bars:
        lines.append(bar_line(rows[ours].facts, samples[ours], rows[yolo].facts, samples[yolo]))
        print(lines[-1])
    if args.json:
        content = {"source": Path(args.source).name, "frame": list(frames[0].shape[:2]), "frames": args.frames}
        content |= {"device": device, "gpu": place.gpu, "threads": args.threads or usable_cores()}
        content |= {"rows": [asdict(row) for row in rows], "bars": lines, "left_out": field.left_out}
        write_record(args.json, tool="peers", machine=machine, commit=commit, content=content)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
