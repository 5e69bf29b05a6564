"""`python -m fetalseg_server.worker`: the worker process, started by the server, not by hand."""

from __future__ import annotations

import argparse
import ctypes
import logging
import resource
import signal
import socket
import sys
from collections.abc import Sequence

import cv2

from fetalseg_server.worker.shared_memory import FrameArena
from fetalseg_server.worker.worker import Worker

_PR_SET_PDEATHSIG = 1
# A thread that computes in Python holds the others up for this long at the most; the default 5 ms is an eighth of a
# frame's time.
_SWITCH_INTERVAL_S = 0.0005


def _live_apart() -> None:
    """Makes the process one that the server alone stops, and that leaves no frame behind."""
    for number in (signal.SIGINT, signal.SIGTERM):  # a service manager sends them to all processes of a service
        signal.signal(number, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core file would hold patients' frames
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a worker on the descriptors that the server hands down."""
    parser = argparse.ArgumentParser(prog="fetalseg_server.worker", description="started by the server, not by hand")
    for name in ("--control-fd", "--arena-fd", "--arena-bytes"):
        parser.add_argument(name, type=int, required=True)
    args = parser.parse_args(argv)
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    _live_apart()
    sys.setswitchinterval(_SWITCH_INTERVAL_S)
    cv2.setNumThreads(1)
    control = socket.socket(fileno=args.control_fd)
    return Worker(control, FrameArena(args.arena_bytes, args.arena_fd)).run()


if __name__ == "__main__":
    raise SystemExit(main())
