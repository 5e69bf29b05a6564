"""Sizes as they are written on a command line."""

from __future__ import annotations

import argparse

__all__ = ["size_of"]


def size_of(text: str) -> tuple[int, int]:
    """(h, w) from "416x288", width first, or "550".

    Raises:
        argparse.ArgumentTypeError: something else.
    """
    parts = text.split("x")
    if len(parts) > 2 or not all(part.isdecimal() and int(part) > 0 for part in parts):
        raise argparse.ArgumentTypeError(f"expected a size as 550 or 416x288 (width x height), got {text!r}")
    return int(parts[-1]), int(parts[0])
