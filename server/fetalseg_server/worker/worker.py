"""What a worker process does: frames in by shared memory, answers out.

Three threads: one reads jobs, one decodes and prepares the next frame, the main one runs the network on the frame
before it and finishes it. OpenCV and the inference runtimes let go of the interpreter while they compute. Whatever
happens to this process (a crash in native code, a hang, a kill), the server answers for its frames and starts another.
"""

from __future__ import annotations

import logging
import os
import queue
import socket
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial

import numpy as np
import numpy.typing as npt

from fetalseg.candidates import Candidates
from fetalseg.errors import FetalsegError, FrameError, FrameTooLargeError
from fetalseg.preprocess import FrameGeometry
from fetalseg.render import draw
from fetalseg_server.protocol import Codec, SkipReason
from fetalseg_server.worker.batching import take_batch
from fetalseg_server.worker.decoding import decode_payload
from fetalseg_server.worker.encoding import encode_jpeg, encode_png, result_body
from fetalseg_server.worker.jobs import (
    Answer,
    EngineFailed,
    EngineSettings,
    Forget,
    Job,
    MessageReader,
    Packet,
    pack,
    read_order,
)
from fetalseg_server.worker.live_state import LiveStates
from fetalseg_server.worker.networks import Networks
from fetalseg_server.worker.shared_memory import Block, FrameArena

__all__ = ["Worker"]

log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class _Prepared:
    """A frame between the two computing threads."""

    job: Job
    pixels: npt.NDArray[np.uint8]
    image: npt.NDArray[np.uint8]
    geometry: FrameGeometry
    timing_ms: dict[str, float]
    done_ns: int


@dataclass(frozen=True, eq=False)
class _Inference:
    """What the network made of one frame of a batch, and when."""

    candidates: Candidates | Exception
    start_ns: int
    end_ns: int
    batch: int


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

    def run(self) -> int:
        """Loads what the first message asks for, then works until the server goes away."""
        reader = MessageReader()
        packets: list[Packet] = []
        while not packets:
            packets = list(reader.feed(self._receive()))
        self._settings = EngineSettings(**packets[0].header)
        try:
            self._networks = Networks(self._settings)
        except (FetalsegError, ValueError) as error:
            self._send(Packet({"event": "failed", **asdict(EngineFailed(str(error)))}))
            return 1
        # While a batch is in the network, one more is ready and no further frame is decoded too early.
        self._prepared: queue.Queue[_Prepared | Forget] = queue.Queue(maxsize=self._networks.batch)
        self._send(self._networks.description.packet())
        for target in (lambda: self._read(reader), self._prepare_all):
            threading.Thread(target=target, daemon=True).start()
        while True:
            batch, following = take_batch(self._prepared, self._networks.batch, self._together)
            self._work_on(batch)
            if following is not None:
                self._work_on([following])

    def _together(self, first: _Prepared | Forget, second: _Prepared | Forget) -> bool:
        if isinstance(first, Forget) or isinstance(second, Forget):
            return False
        return self._networks.together(first.job, second.job)

    def _work_on(self, batch: list[_Prepared | Forget]) -> None:
        """Brings one batch through the network; an order to forget is always alone."""
        start = time.monotonic_ns()
        due: list[_Prepared] = []
        for work in batch:
            if isinstance(work, Forget):
                self._states.forget(work.session)
            elif (late := _late(work.job, start, "inference")) is not None:
                self._send(late.packet())
            else:
                due.append(work)
        if due:
            found = self._infer(due)
            inferred = time.monotonic_ns()
            for work, candidates in zip(due, found, strict=True):
                span = _Inference(candidates, start, inferred, len(due))
                self._answer(work.job, partial(self._finish, work, span))

    def _infer(self, due: list[_Prepared]) -> Sequence[Candidates | Exception]:
        """The candidates of each frame, or what went wrong with it."""
        try:
            return self._networks.infer([work.image for work in due], due[0].job)
        except Exception as error:
            return [error] * len(due)

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
                self._answer(order, partial(self._prepare, order))

    def _answer(self, job: Job, stage: Callable[[], Answer | None]) -> None:
        """Runs one stage on one frame; whatever goes wrong is that frame's answer, and the next frame comes."""
        try:
            answer = stage()
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
        image, geometry = self._networks.prepare(pixels, job)
        done = time.monotonic_ns()
        timing = {
            "queue": _ms(start - job.received_ns),
            "decode": _ms(decoded - start),
            "preprocess": _ms(done - decoded),
        }
        self._prepared.put(_Prepared(job, pixels, image, geometry, timing, done))
        return None

    def _finish(self, work: _Prepared, inference: _Inference) -> Answer:
        job, timing = work.job, dict(work.timing_ms)
        if isinstance(inference.candidates, Exception):
            raise inference.candidates
        start = time.monotonic_ns()
        instances = self._networks.finish(inference.candidates, work.geometry, job)
        live = self._states.of(job).update(job, instances, work.pixels, min_score=self._networks.min_score(job))
        finished = time.monotonic_ns()
        text, data = "", b""
        if job.output == "overlay":
            data = encode_png(draw(work.pixels, live.instances))
        elif job.output == "overlay_jpeg":
            data = encode_jpeg(draw(work.pixels, live.instances))
        else:
            text = result_body(live.instances, job.masks, live.view)
            if job.masks == "labelmap":
                data = encode_png(live.instances.label_map())
        # A frame of a batch waits for those that are finished before it.
        timing["queue"] += _ms(inference.start_ns - work.done_ns) + _ms(start - inference.end_ns)
        timing["infer"] = _ms(inference.end_ns - inference.start_ns)
        timing["postprocess"] = _ms(finished - start)
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
            batch=inference.batch,
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
