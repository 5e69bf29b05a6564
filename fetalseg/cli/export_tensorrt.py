"""`fetalseg export --format tensorrt`: a model becomes one TensorRT engine file."""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

__all__ = ["add_arguments", "check_arguments", "run"]

_CHANGES = ("precision", "candidates", "name", "version", "licence")  # what makes of an ONNX file another one
_OPTIONS = ("library", "max_batch", "compute_capability", "timing_cache")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares what belongs to this format."""
    group = parser.add_argument_group("with --format tensorrt")
    group.add_argument(
        "--library", choices=("tensorrt", "tensorrt_rtx"), help="default: tensorrt if installed, else tensorrt_rtx"
    )
    group.add_argument("--max-batch", type=int, metavar="N", help="the most frames at once (default 8)")
    group.add_argument(
        "--compute-capability",
        metavar="X.Y",
        help="GPU to build for, such as 8.9 (default: this machine's; with tensorrt_rtx any, and no GPU is needed)",
    )
    group.add_argument(
        "--timing-cache", type=Path, metavar="FILE", help="keeps what tensorrt measures, for a faster next build"
    )


def check_arguments(args: argparse.Namespace) -> None:
    """Refuses options of this format where another one is asked for."""
    given = [name for name in _OPTIONS if getattr(args, name) is not None]
    if given and args.format != "tensorrt":
        flags = ", ".join(f"--{name.replace('_', '-')}" for name in given)
        raise ValueError(f"{flags} can only be used with --format tensorrt")


def run(args: argparse.Namespace, write_onnx: Callable[[argparse.Namespace, Path], None]) -> int:
    """Builds the engine, and prints for what and how long.

    Args:
        args: of the command.
        write_onnx: how what was named becomes an ONNX file at a path, where it isn't the file to build from already.
    """
    from fetalseg.engines.tensorrt_builder import BuildSettings, build_engine, find_target
    from fetalseg.engines.tensorrt_file import SUFFIX, write_engine

    if args.out.suffix != SUFFIX:
        raise ValueError(f"the name of an engine file ends with {SUFFIX}; got {args.out.name}")
    settings = BuildSettings(
        library=args.library,
        max_batch=8 if args.max_batch is None else args.max_batch,
        compute_capability=args.compute_capability,
        timing_cache=args.timing_cache,
    )
    find_target(settings)  # an export takes minutes: what can't be built is told before
    with tempfile.TemporaryDirectory() as folder:
        model = args.checkpoint
        if model.suffix != ".onnx" or any(getattr(args, name) is not None for name in _CHANGES):
            model = Path(folder) / f"{args.out.stem}.onnx"
            write_onnx(args, model)
        start = time.monotonic()
        engine = build_engine(model, settings)
    write_engine(args.out, engine)
    header = engine.header
    print(
        f"built with {header.library} {header.library_version} in {time.monotonic() - start:.0f} s: "
        f"{header.facts.precision}, batches of 1 to {header.max_batch}, compute capability {header.compute_capability}"
    )
    print(f"wrote {args.out} ({args.out.stat().st_size / 1e6:.1f} MB)")
    return 0
