"""Time of post-processing on one thread: candidates to instances, and their polygons.

    python -m benchmarks.postprocess [--frames N] [--json FILE]

The task is the one of the README's table: 300 candidates that become 12 instances with boxes adding up to 1.5 frames
of 1024x768, prototypes 32x72x104 of a 416x288 input. Beside it, the same masks by the straightforward way: all
prototypes, resized to the whole frame for each instance, then cropped.
"""

# ruff: noqa: E402 - the number of threads has to be set before NumPy is loaded

from __future__ import annotations

import os

# Read by the BLAS when NumPy is loaded; serving does the same, see the README's "Design".
for _name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from benchmarks.machine import this_machine
from benchmarks.record import commit_of, write_record
from fetalseg.anatomy import structure_names
from fetalseg.candidates import Candidates
from fetalseg.instances import Instances
from fetalseg.postprocess import PostprocessOptions, Postprocessor
from fetalseg.preprocess import FrameGeometry, InputRule

FRAME = (768, 1024)
RULE = InputRule(height=288, width=416, channels=1)
PROTOTYPES = (32, 72, 104)
CANDIDATES = 300
OPTIONS = PostprocessOptions()

# Centre and size as shares of the frame, and label: a fetus in profile with its parts, boxes of 1.5 frames together.
SHAPES = (
    (0.50, 0.50, 0.94, 0.83, 8),
    (0.32, 0.48, 0.44, 0.58, 0),
    (0.66, 0.52, 0.40, 0.50, 6),
    (0.25, 0.45, 0.20, 0.24, 1),
    (0.42, 0.52, 0.20, 0.22, 1),
    (0.33, 0.50, 0.34, 0.03, 2),
    (0.66, 0.50, 0.18, 0.22, 7),
    (0.80, 0.60, 0.12, 0.14, 9),
    (0.55, 0.80, 0.22, 0.16, 13),
    (0.72, 0.82, 0.16, 0.14, 14),
    (0.12, 0.70, 0.18, 0.20, 16),
    (0.45, 0.22, 0.16, 0.10, 5),
)


def candidates_of_one_frame(seed: int = 0) -> tuple[Candidates, FrameGeometry]:
    """Candidates of `SHAPES`, 25 of each, slightly moved and with falling scores; each mask fills its box's ellipse."""
    random = np.random.default_rng(seed)
    geometry = FrameGeometry.of(FRAME, RULE)
    k, proto_height, proto_width = PROTOTYPES
    height, width = FRAME
    shapes = np.array([shape[:4] for shape in SHAPES], np.float32) * np.array([width, height, width, height])
    frame_boxes = np.concatenate([shapes[:, :2] - shapes[:, 2:] / 2, shapes[:, :2] + shapes[:, 2:] / 2], axis=1)
    truth = geometry.boxes_to_input(frame_boxes.astype(np.float32))

    y, x = np.mgrid[:proto_height, :proto_width].astype(np.float32)
    x, y = (x + 0.5) * RULE.width / proto_width, (y + 0.5) * RULE.height / proto_height
    prototypes = random.random(PROTOTYPES, dtype=np.float32)
    prototypes[-1] = 1
    for prototype, (x1, y1, x2, y2) in zip(prototypes, truth, strict=False):
        distance = np.hypot((2 * x - x1 - x2) / (x2 - x1), (2 * y - y1 - y2) / (y2 - y1))
        prototype[:] = np.maximum(0, 2 - distance)
    scores = np.zeros((CANDIDATES, len(structure_names())), np.float32)
    coefficients = np.zeros((CANDIDATES, k), np.float32)
    which = np.arange(CANDIDATES) % len(SHAPES)
    scores[np.arange(CANDIDATES), np.array([s[4] for s in SHAPES])[which]] = np.linspace(0.99, 0.31, CANDIDATES)
    coefficients[np.arange(CANDIDATES), which] = 10
    coefficients[:, -1] = -10.5
    size = np.tile(truth[which, 2:] - truth[which, :2], 2)
    boxes = truth[which] + np.float32(0.02) * size * random.normal(size=(CANDIDATES, 4)).astype(np.float32)
    return Candidates(scores[None], boxes[None], coefficients[None], prototypes[None]), geometry


def whole_frame_masks(
    candidates: Candidates, rows: npt.NDArray[np.intp], boxes: npt.NDArray[np.float32], geometry: FrameGeometry
) -> npt.NDArray[np.bool_]:
    """The straightforward way: bool [N, H, W] from whole prototypes, resized as a whole."""
    (height, width), (h, w) = geometry.frame_shape, geometry.input_shape
    (top, left), (content_height, content_width) = geometry.pad, geometry.content
    logits = np.tensordot(candidates.coefficients[0, rows], candidates.prototypes[0], axes=1)
    probabilities = 1 / (1 + np.exp(-logits))
    masks = np.zeros((len(rows), height, width), np.bool_)
    for mask, probability, (x1, y1, x2, y2) in zip(masks, probabilities, np.rint(boxes).astype(int), strict=True):
        whole = cv2.resize(probability, (w, h), interpolation=cv2.INTER_LINEAR)
        content = whole[top : top + content_height, left : left + content_width]
        resized = cv2.resize(content, (width, height), interpolation=cv2.INTER_LINEAR)
        mask[y1:y2, x1:x2] = resized[y1:y2, x1:x2] > 0.5
    return masks


def measure(task: Callable[[], object], frames: int) -> dict[str, float]:
    """Milliseconds of one call over `frames` calls, after a tenth as many for warming up.

    Besides the p50 and p95 of the clock on the wall, the p50 of processor time: where they differ, other programs
    held the processor.
    """
    for _ in range(max(3, frames // 10)):
        task()
    wall, processor = np.empty(frames), np.empty(frames)
    for i in range(frames):
        wall_start, processor_start = time.perf_counter(), time.thread_time()
        task()
        processor[i] = 1000 * (time.thread_time() - processor_start)
        wall[i] = 1000 * (time.perf_counter() - wall_start)
    return {
        "p50_ms": round(float(np.percentile(wall, 50)), 3),
        "p95_ms": round(float(np.percentile(wall, 95)), 3),
        "processor_p50_ms": round(float(np.percentile(processor, 50)), 3),
    }


def run(frames: int) -> dict[str, dict[str, float]]:
    """p50 and p95 of each task, by its name."""
    candidates, geometry = candidates_of_one_frame()
    postprocess = Postprocessor(structure_names())
    found = postprocess(candidates, geometry, OPTIONS)
    if len(found) != len(SHAPES):
        raise RuntimeError(f"the benchmark expects {len(SHAPES)} instances, got {len(found)}")
    rows = np.array([int(np.argmax(candidates.scores[0, :, label] == score)) for label, score in _keys(found)])
    # Besides the check: the memory that this gives back lets the allocator keep as much for reuse, as decoded frames do
    # in serving; otherwise each call would fetch its pages anew.
    agreement = _iou(found.masks, whole_frame_masks(candidates, rows, found.boxes, geometry))
    if agreement < 0.99:
        raise RuntimeError(f"both ways should give the same masks, but their IoU is {agreement:.3f}")
    without_masks = PostprocessOptions(masks=False)
    return {
        "candidates to crops and polygons": measure(
            lambda: postprocess(candidates, geometry, OPTIONS).polygons(), frames
        ),
        "  candidates to crops": measure(lambda: postprocess(candidates, geometry, OPTIONS), frames),
        "  of which NMS and boxes": measure(lambda: postprocess(candidates, geometry, without_masks), frames),
        "  polygons": measure(found.polygons, frames),
        "run lengths": measure(found.rle, frames),
        "label map": measure(found.label_map, frames),
        "masks only, the whole-frame way": measure(
            lambda: whole_frame_masks(candidates, rows, found.boxes, geometry), max(3, frames // 10)
        ),
    }


def _keys(found: Instances) -> list[tuple[int, float]]:
    return list(zip(found.labels.tolist(), found.scores, strict=True))


def _iou(one: npt.NDArray[np.bool_], other: npt.NDArray[np.bool_]) -> float:
    """The lowest over instances of the masks' intersection over union."""
    both, either = (one & other).sum(axis=(1, 2)), (one | other).sum(axis=(1, 2))
    return float((both / either).min())


def main(argv: list[str] | None = None) -> int:
    """Prints the table; with --json writes it as well."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.postprocess", description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=500, help="timed frames (default 500)")
    parser.add_argument("--json", type=Path, help="write the figures to this file as well")
    args = parser.parse_args(argv)
    if args.frames < 1:
        parser.error(f"--frames must be at least 1, got {args.frames}")
    cv2.setNumThreads(1)
    machine, commit, figures = this_machine(), commit_of(), run(args.frames)
    boxes = sum(shape[2] * shape[3] for shape in SHAPES)
    print(f"{machine}; commit {commit}")
    print(
        f"{CANDIDATES} candidates, {len(SHAPES)} instances, boxes of {boxes:.2f} frames of {FRAME[1]}x{FRAME[0]}, "
        f"one thread, {args.frames} frames after warm-up"
    )
    print(f"{'':36}{'p50 ms':>8}{'p95 ms':>8}{'processor p50':>15}")
    for name, row in figures.items():
        print(f"{name:36}{row['p50_ms']:8.2f}{row['p95_ms']:8.2f}{row['processor_p50_ms']:15.2f}")
    if args.json:
        content = {"frames": args.frames, "figures": figures}
        write_record(args.json, tool="postprocess", machine=machine, commit=commit, content=content)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
