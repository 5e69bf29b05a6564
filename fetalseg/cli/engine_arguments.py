"""The options that say what runs a model, the same for every command that does."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from fetalseg.cli.whole_number import whole_number
from fetalseg.engines import DEVICES, ENGINES

__all__ = ["add_engine_arguments", "engine_choices"]


def add_engine_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares --engine, --precision, --device, --engine-cache and --threads."""
    devices = dict.fromkeys(device for words in DEVICES.values() for device in words)
    parser.add_argument("--engine", default="auto", choices=("auto", *ENGINES), help="inference runtime (auto)")
    parser.add_argument("--precision", metavar="WORD", help="fp32, bf16 or fp16, where the engine has a choice")
    parser.add_argument("--device", choices=tuple(devices), help="where it runs (default: the best that works)")
    parser.add_argument(
        "--engine-cache", type=Path, metavar="DIR", help="keep engines that TensorRT builds, which takes it minutes"
    )
    parser.add_argument("--threads", type=whole_number, metavar="N", help="of the engine (default: one for each core)")


def engine_choices(args: argparse.Namespace) -> dict[str, Any]:
    """The keyword arguments of `Segmenter.load` that these options stand for."""
    return {name: getattr(args, name) for name in ("engine", "precision", "device", "engine_cache", "threads")}
