"""A short cine as two files: the JPEG frames end to end, and an index in JSON that says where each begins.

Browsers play it without any video codec, and the frames go to the server as they are. The built-in cine, which the
viewer and `fetalseg demo` stream, was made by `python -m fetalseg_server.client.cine_file` from a checkout.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from fetalseg.anatomy import VIEWS
from fetalseg.phantom import cine
from fetalseg_server.client.encoded_frame import EncodedFrame, encode_frame
from fetalseg_server.protocol import Codec

__all__ = ["BUILT_IN", "main", "read_cine", "write_phantom_cine"]

BUILT_IN = Path(__file__).parent.parent / "static" / "cine"
INDEX_NAME = "cine.json"
FRAMES_NAME = "cine.mjpeg"
FPS = 25


def write_phantom_cine(folder: Path, *, seed: int, frames_per_view: int, width: int, height: int, quality: int) -> None:
    """Writes a synthetic examination that goes through the six views.

    Args:
        folder: exists, or is made.
        seed: the same gives the same files.
        frames_per_view: at 25 frames a second.
        width: px.
        height: px.
        quality: of JPEG, 1..100.
    """
    folder.mkdir(parents=True, exist_ok=True)
    frames = cine(
        frames=frames_per_view * len(VIEWS),
        seed=seed,
        fps=FPS,
        height=height,
        width=width,
        view_seconds=frames_per_view / FPS,
    )
    encoded = [
        replace(encode_frame(frame.pixels, "jpeg", quality=quality), discontinuity=number % frames_per_view == 0)
        for number, frame in enumerate(frames)
    ]
    (folder / FRAMES_NAME).write_bytes(b"".join(frame.payload for frame in encoded))
    index = {
        "schema": 1,
        "file": FRAMES_NAME,
        "fps": FPS,
        "width": width,
        "height": height,
        "cuts": [number for number, frame in enumerate(encoded) if frame.discontinuity],
        "frame_bytes": [len(frame.payload) for frame in encoded],
    }
    (folder / INDEX_NAME).write_text(json.dumps(index) + "\n")


def read_cine(folder: Path, *, source: str = "") -> list[EncodedFrame]:
    """The frames of a cine that `write_phantom_cine` wrote.

    Args:
        folder: holds index and frames.
        source: becomes `EncodedFrame.source`.
    """
    index = json.loads((folder / INDEX_NAME).read_text())
    content = (folder / index["file"]).read_bytes()
    frames: list[EncodedFrame] = []
    start = 0
    for number, size in enumerate(index["frame_bytes"]):
        cut = number in index["cuts"]
        frames.append(EncodedFrame(Codec.JPEG, content[start : start + size], discontinuity=cut, source=source))
        start += size
    return frames


def main(argv: Sequence[str] | None = None) -> int:
    """Writes a cine of the phantom."""
    parser = argparse.ArgumentParser(
        prog="python -m fetalseg_server.client.cine_file", description="Writes a synthetic cine."
    )
    parser.add_argument("folder", type=Path, nargs="?", default=BUILT_IN, help="where to (the built-in cine)")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--frames-per-view", type=int, default=18)
    parser.add_argument("--width", type=int, default=480)
    parser.add_argument("--height", type=int, default=336)
    parser.add_argument("--quality", type=int, default=72)
    args = parser.parse_args(argv)
    write_phantom_cine(
        args.folder,
        seed=args.seed,
        frames_per_view=args.frames_per_view,
        width=args.width,
        height=args.height,
        quality=args.quality,
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
