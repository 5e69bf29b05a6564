"""`fetalseg export --precision`: an ONNX file in fp16 or int8."""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from fetalseg.cli.progress_bar import progress_bar
from fetalseg.errors import MissingExtraError

if TYPE_CHECKING:
    from fetalseg.export.quantise import Activations
    from fetalseg.preprocess import InputRule

__all__ = ["add_arguments", "check_arguments", "write"]

LOWER = ("fp16", "int8")
# Frames that ranges are found with, beside those of the check; with a third of them the detections move as little.
CALIBRATED = 96
SEED = 20260714  # of the synthetic frames; no shipped model was trained or scored on them
SIZE = (432, 640)  # of these, height and width in px


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares what belongs to precisions."""
    parser.add_argument(
        "--precision", choices=("fp32", *LOWER), help="of the weights (default fp32; tensorrt: as in the .onnx file)"
    )
    group = parser.add_argument_group("with --precision fp16 or int8")
    group.add_argument(
        "--calibration",
        type=Path,
        metavar="DATA",
        help="COCO set whose frames give int8 its ranges, and on which the file is checked; none that is scored later "
        "(default: synthetic frames)",
    )
    group.add_argument(
        "--activations",
        choices=("asymmetric", "symmetric"),
        help="of int8: asymmetric is faster on processors, TensorRT needs symmetric (default: as the format needs it)",
    )


def check_arguments(args: argparse.Namespace) -> None:
    """Refuses options that another precision or format doesn't have."""
    if args.calibration is not None and args.precision not in LOWER:
        raise ValueError("--calibration can only be used with --precision fp16 or int8")
    if args.activations is not None and args.precision != "int8":
        raise ValueError("--activations can only be used with --precision int8")
    if args.activations == "asymmetric" and args.format == "tensorrt":
        raise ValueError("TensorRT has no zero points; expected --activations symmetric with --format tensorrt")


def write(args: argparse.Namespace, out: Path) -> None:
    """Writes the file, and prints how far its detections lie from the network's."""
    try:
        from fetalseg.export.detection_shift import SHIFT_TOLERANCES
        from fetalseg.export.reduced import CHECKED, export_reduced
        from fetalseg.export.source import load_source
    except ModuleNotFoundError as error:
        raise MissingExtraError(error.name or "torch", "train") from None
    network, facts = load_source(
        args.checkpoint, candidates=args.candidates, name=args.name, version=args.version, licence=args.licence
    )
    count = CHECKED + (CALIBRATED if args.precision == "int8" else 0)
    frames = _frames(args.calibration, count, facts.input)
    activations: Activations = args.activations or ("symmetric" if args.format == "tensorrt" else "asymmetric")
    shifts = export_reduced(network, out, facts, args.precision, frames, activations=activations)
    print(f"{'output':<12}{'detections':>12}{'mean shift':>14}{'tolerance':>12}{'largest':>12}")
    for shift in shifts:
        tolerance = SHIFT_TOLERANCES[args.precision][shift.output]
        print(f"{shift.output:<12}{shift.detections:>12}{shift.mean:>14.2g}{tolerance:>12g}{shift.largest:>12.2g}")


def _frames(data: Path | None, count: int, rule: InputRule) -> npt.NDArray[np.uint8]:
    """At most `count` frames as the network's input, uint8 [N, h, w, c]."""
    from fetalseg.preprocess import prepare

    inputs = []
    with progress_bar() as progress:
        task = progress.add_task("frames", total=count)
        for pixels in _synthetic(count) if data is None else _of_set(data, count):
            inputs.append(prepare(pixels, rule)[0])
            progress.advance(task)
    return np.stack(inputs)


def _synthetic(count: int) -> Iterator[npt.NDArray[np.uint8]]:
    """Frames of the six views in turn, gray [H, W]."""
    from fetalseg.phantom.cine import VIEW_ORDER
    from fetalseg.phantom.dataset import still

    for index, view in zip(range(count), itertools.cycle(VIEW_ORDER), strict=False):
        yield still(index, SEED, height=SIZE[0], width=SIZE[1], views=[view])[0].pixels


def _of_set(path: Path, count: int) -> Iterator[npt.NDArray[np.uint8]]:
    """Frames from all over a COCO set, in an order that is always the same; gray [H, W] or RGB [H, W, 3]."""
    from fetalseg.data.coco import read_coco

    images = read_coco(path).images
    for index in np.random.default_rng(0).permutation(len(images))[:count]:
        yield images[index].pixels()
