"""`fetalseg` with a leak: the server process keeps some bytes for every frame that it receives.

The control run of the soak: a measure of memory is believed once it has seen this.

    python -m benchmarks.live.leaking_server 1024 serve --port 0
"""

from __future__ import annotations

import sys

from fetalseg.cli import main as fetalseg
from fetalseg_server.protocol import FRAME_MAGIC, FrameHeader

__all__ = ["main"]


def main(argv: list[str] | None = None) -> int:
    """Runs the command line of `fetalseg` after the number of bytes to keep."""
    size, *arguments = sys.argv[1:] if argv is None else argv
    kept: list[bytes] = []
    parse = FrameHeader.parse

    def leak(message: bytes | memoryview, magic: bytes = FRAME_MAGIC) -> FrameHeader:
        kept.append(b"\x01" * int(size))  # not zeros: pages that are never written take no memory
        return parse(message, magic)

    FrameHeader.parse = staticmethod(leak)  # type: ignore[method-assign]
    return fetalseg(arguments)


if __name__ == "__main__":
    raise SystemExit(main())
