"""`fetalseg export`: a checkpoint becomes one ONNX file, or one TensorRT engine file."""

from __future__ import annotations

import argparse
from pathlib import Path

from fetalseg.cli import export_precision, export_tensorrt
from fetalseg.errors import MissingExtraError
from fetalseg.model_file import find_model

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the command's arguments."""
    parser.add_argument(
        "checkpoint",
        metavar="CHECKPOINT_OR_MODEL",
        help=".safetensors file that training wrote, or a model's name or .onnx file in fp32",
    )
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="file to write")
    parser.add_argument("--format", choices=("onnx", "tensorrt"), default="onnx", help="of the file (default onnx)")
    parser.add_argument("--candidates", type=int, metavar="N", help="rows for a frame (default: the model's, or 300)")
    parser.add_argument("--name", help="how users call the model (default: the model's, or the variant's name)")
    parser.add_argument("--version", help="of the weights (default: the model's, or 0.1.0)")
    parser.add_argument("--licence", metavar="WORDS", help="of the weights (default: what the source says)")
    export_precision.add_arguments(parser)
    export_tensorrt.add_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Exports, and prints how far the file is from the network."""
    export_precision.check_arguments(args)
    export_tensorrt.check_arguments(args)
    args.checkpoint = find_model(args.checkpoint)
    if args.format == "tensorrt":
        return export_tensorrt.run(args, _write_onnx)
    _write_onnx(args, args.out)
    print(f"wrote {args.out} ({args.out.stat().st_size / 1e6:.1f} MB)")
    return 0


def _write_onnx(args: argparse.Namespace, out: Path) -> None:
    if args.precision in export_precision.LOWER:
        export_precision.write(args, out)
        return
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
