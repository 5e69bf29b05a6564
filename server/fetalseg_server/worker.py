"""The process that decodes frames and runs the engine: `python -m fetalseg_server.worker`, started by the server.

Three threads: one reads jobs, one decodes and prepares the next frame, the main one runs the network on the frame
before it and finishes it. OpenCV and the inference runtimes let go of the interpreter while they compute. Whatever
happens to this process (a crash in native code, a hang, a kill), the server answers for its frames and starts another.
"""

from __future__ import annotations

import argparse
import ctypes
import logging
import os
import queue
import resource
import signal
import socket
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from fetalseg.errors import FetalsegError, FrameError, FrameTooLargeError
from fetalseg.postprocess.options import PostprocessOptions
from fetalseg.preprocess import FrameGeometry
from fetalseg.render import draw
from fetalseg.segmenter import Segmenter
from fetalseg_server.decoding import decode_payload
from fetalseg_server.encoding import encode_png, result_body
from fetalseg_server.jobs import (
    Answer,
    EngineFailed,
    EngineReady,
    EngineSettings,
    Forget,
    Job,
    MessageReader,
    Packet,
    pack,
    read_order,
)
from fetalseg_server.live_state import LiveStates
from fetalseg_server.protocol import Codec, SkipReason
from fetalseg_server.shared_memory import Block, FrameArena

__all__ = ["main"]

log = logging.getLogger(__name__)

_WARM_UP_SHAPE = (480, 640)
_PR_SET_PDEATHSIG = 1
# A thread that computes in Python holds the others up for this long at the most; the default 5 ms is an eighth of a
# frame's time.
_SWITCH_INTERVAL_S = 0.0005


@dataclass(frozen=True, eq=False)
class _Prepared:
    """A frame between the two computing threads."""

    job: Job
    pixels: npt.NDArray[np.uint8]
    image: npt.NDArray[np.uint8]
    geometry: FrameGeometry
    timing_ms: dict[str, float]
    done_ns: int


class Worker:
    """One loaded model and the two stages around it.

    Args:
        control: stream socket to the server.
        arena: where frames lie.
    """

    def __init__(self, control: socket.socket, arena: FrameArena) -> None:
        self._control = control
        self._arena = arena
        self._send_lock = threading.Lock()
        self._states = LiveStates()
        self._jobs: queue.SimpleQueue[Job | Forget] = queue.SimpleQueue()
        # One place: while a frame is in the network, one more is ready and a third is not decoded too early.
        self._prepared: queue.Queue[_Prepared | Forget] = queue.Queue(maxsize=1)

    def run(self) -> int:
        """Loads what the first message asks for, then works until the server goes away."""
        reader = MessageReader()
        packets: list[Packet] = []
        while not packets:
            packets = list(reader.feed(self._receive()))
        self._settings = EngineSettings(**packets[0].header)
        try:
            self._segmenter = _load(self._settings)
        except (FetalsegError, ValueError) as error:
            self._send(Packet({"event": "failed", **asdict(EngineFailed(str(error)))}))
            return 1
        self._send(Packet({"event": "ready", **asdict(_describe(self._segmenter))}))
        for target in (lambda: self._read(reader), self._prepare_all):
            threading.Thread(target=target, daemon=True).start()
        while True:
            work = self._prepared.get()
            if isinstance(work, Forget):
                self._states.forget(work.session)
            else:
                self._answer(self._finish, work)

    def _receive(self) -> bytes:
        piece = self._control.recv(65536)
        if not piece:
            # Not sys.exit: the other threads may sit in native code, and nothing here is worth saving.
            os._exit(0)
        return piece

    def _read(self, reader: MessageReader) -> None:
        while True:
            for packet in reader.feed(self._receive()):
                self._jobs.put(read_order(packet))

    def _prepare_all(self) -> None:
        while True:
            order = self._jobs.get()
            if isinstance(order, Forget):
                self._prepared.put(order)  # behind the session's last frame
            else:
                self._answer(self._prepare, order)

    def _answer(self, stage: Any, work: Job | _Prepared) -> None:
        """Runs one stage on one frame; whatever goes wrong is that frame's answer, and the next frame comes."""
        job = work if isinstance(work, Job) else work.job
        try:
            answer = stage(work)
        except FrameTooLargeError as error:
            answer = _skip(job, "too_large", str(error))
        except FrameError as error:
            answer = _skip(job, "decode_error", str(error))
        except FetalsegError as error:
            answer = _skip(job, "engine_error", str(error))
        except Exception:
            log.exception("a frame could not be processed")
            answer = _skip(job, "engine_error", "internal error; the server's log has more")
        if answer is not None:
            self._send(answer.packet())

    def _prepare(self, job: Job) -> Answer | None:
        start = time.monotonic_ns()
        if (late := _late(job, start, "decoding")) is not None:
            return late
        pixels = decode_payload(
            self._arena.read(Block(job.offset, job.length)),
            Codec(job.codec),
            width=job.width,
            height=job.height,
            max_pixels=self._settings.max_pixels,
        )
        decoded = time.monotonic_ns()
        image, geometry = self._segmenter.prepare(pixels)
        done = time.monotonic_ns()
        timing = {
            "queue": _ms(start - job.received_ns),
            "decode": _ms(decoded - start),
            "preprocess": _ms(done - decoded),
        }
        self._prepared.put(_Prepared(job, pixels, image, geometry, timing, done))
        return None

    def _finish(self, work: _Prepared) -> Answer:
        job, timing = work.job, dict(work.timing_ms)
        start = time.monotonic_ns()
        if (late := _late(job, start, "inference")) is not None:
            return late
        candidates = self._segmenter.infer(work.image[None])
        inferred = time.monotonic_ns()
        instances = self._segmenter.finish(candidates, work.geometry, self._options(job))
        live = self._states.of(job).update(job, instances, work.pixels)
        finished = time.monotonic_ns()
        text, data = "", b""
        if job.output == "overlay":
            data = encode_png(draw(work.pixels, live.instances))
        else:
            text = result_body(live.instances, job.masks, live.view)
            if job.masks == "labelmap":
                data = encode_png(live.instances.label_map())
        timing["queue"] += _ms(start - work.done_ns)
        timing["infer"] = _ms(inferred - start)
        timing["postprocess"] = _ms(finished - inferred)
        timing["encode"] = _ms(time.monotonic_ns() - finished)
        height, width = instances.frame_shape
        return Answer(
            id=job.id,
            outcome="result",
            width=width,
            height=height,
            timing_ms=timing,
            text=text.encode(),
            data=data,
            view=live.view,
            findings=live.findings,
            last_track_id=live.last_track_id,
        )

    def _options(self, job: Job) -> PostprocessOptions:
        default = self._segmenter.default_options
        return replace(
            default,
            nms=job.nms or default.nms,
            min_score=default.min_score if job.min_score is None else job.min_score,
            masks=job.masks != "none",
        )

    def _send(self, packet: Packet) -> None:
        data = pack(packet)
        with self._send_lock:
            self._control.sendall(data)


def _skip(job: Job, reason: SkipReason, detail: str) -> Answer:
    return Answer(job.id, reason, detail)


def _late(job: Job, now_ns: int, stage: str) -> Answer | None:
    if job.deadline_ns is None or now_ns <= job.deadline_ns:
        return None
    allowed = _ms(job.deadline_ns - job.received_ns)
    return _skip(job, "deadline", f"{_ms(now_ns - job.received_ns):.1f} ms old before {stage}, {allowed:g} ms allowed")


def _ms(duration_ns: int) -> float:
    return duration_ns / 1e6


def _load(settings: EngineSettings) -> Segmenter:
    """The model, run through every stage twice, so that the first real frame meets warm code."""
    segmenter = Segmenter.load(settings.model, settings.engine, precision=settings.precision, threads=settings.threads)
    options = replace(segmenter.default_options, min_score=0.0, max_detections=len(segmenter.structures))
    for _ in range(2):
        instances = segmenter.segment(np.zeros(_WARM_UP_SHAPE, np.uint8), options)
        result_body(instances, "polygon", None)
        encode_png(instances.label_map())
    return segmenter


def _describe(segmenter: Segmenter) -> EngineReady:
    engine, default = segmenter.engine, segmenter.default_options
    return EngineReady(
        engine=f"{engine.name} {engine.precision} ({engine.device})",
        kind=engine.name,
        precision=engine.precision,
        min_score=default.min_score,
        nms=default.nms,
    )


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
