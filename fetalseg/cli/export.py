"""`fetalseg export`: a checkpoint becomes one ONNX file, or one TensorRT engine file."""

from __future__ import annotations

import argparse
from pathlib import Path

from fetalseg.cli import export_tensorrt
from fetalseg.errors import MissingExtraError

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the command's arguments."""
    parser.add_argument(
        "checkpoint",
        type=Path,
        metavar="CHECKPOINT",
        help=".safetensors file that training wrote; for tensorrt also an exported .onnx file",
    )
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="file to write")
    parser.add_argument("--format", choices=("onnx", "tensorrt"), default="onnx", help="of the file (default onnx)")
    parser.add_argument("--candidates", type=int, default=300, metavar="N", help="rows for a frame (default 300)")
    parser.add_argument("--name", help="how users call the model (default: the variant's name)")
    parser.add_argument("--version", default="0.1.0", help="of the weights (default 0.1.0)")
    parser.add_argument("--licence", metavar="WORDS", help="of the weights (default: what the checkpoint says)")
    export_tensorrt.add_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Exports, and prints how far the file is from the network."""
    export_tensorrt.check_arguments(args)
    if args.format == "tensorrt":
        return export_tensorrt.run(args, _write_onnx)
    _write_onnx(args, args.out)
    print(f"wrote {args.out} ({args.out.stat().st_size / 1e6:.1f} MB)")
    return 0


def _write_onnx(args: argparse.Namespace, out: Path) -> None:
    try:
        from fetalseg.export import export_onnx
        from fetalseg.export.verify import TOLERANCES
    except ModuleNotFoundError as error:
        raise MissingExtraError(error.name or "torch", "train") from None
    differences = export_onnx(
        args.checkpoint,
        out,
        candidates=args.candidates,
        name=args.name,
        version=args.version,
        licence=args.licence,
    )
    print(f"{'frames':<12}{'output':<14}{'largest difference':>20}{'tolerance':>12}")
    for difference in differences:
        tolerance = TOLERANCES[difference.output]
        print(f"{difference.frames:<12}{difference.output:<14}{difference.largest:>20.2g}{tolerance:>12g}")
