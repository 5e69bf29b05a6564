"""A worker as the server process sees it: started, fed, watched, and started again when it dies or hangs."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import cast

from fetalseg.errors import EngineError
from fetalseg_server.pool.probe import Probe
from fetalseg_server.worker.jobs import (
    Answer,
    EngineFailed,
    EngineReady,
    EngineSettings,
    Forget,
    Job,
    MessageReader,
    Packet,
    pack,
)
from fetalseg_server.worker.shared_memory import Block, FrameArena

__all__ = ["WorkerProcess", "restart_pause_s"]

log = logging.getLogger(__name__)

# One BLAS thread: small products beside a busy core are 20 times slower with two than with one.
_ENVIRONMENT = {"OPENBLAS_NUM_THREADS": "1"}
# A process that decodes what strangers send has no use for secrets.
_SECRETS = ("FETALSEG_TOKENS", "FETALSEG_TOKEN")
_FIRST_RESTART_S = 0.05
_LAST_RESTART_S = 5.0
_MOST_DOUBLINGS = 10  # enough to get from the first to the last; after a thousand failures no float could hold them
_IDLE_POLL_S = 0.01
_LAST_BREATH_S = 1.0  # in which a killed process should be gone
_FAULT = "the server failed over the engine's answer"  # the server itself, not the engine


@dataclass(frozen=True)
class _Pending:
    block: Block
    on_answer: Callable[[Answer], None]
    is_probe: bool


class _Link(asyncio.Protocol):
    """The server's end of the socket to one worker."""

    def __init__(self, on_packet: Callable[[Packet], None]) -> None:
        self._reader = MessageReader()
        self._on_packet = on_packet
        self._transport: asyncio.WriteTransport | None = None
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.WriteTransport, transport)  # uvloop's is none by inheritance

    def data_received(self, data: bytes) -> None:
        try:
            for packet in self._reader.feed(data):
                self._on_packet(packet)
        except (ValueError, TypeError, KeyError):
            log.exception("the worker sent something that is no message")
            self.close()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.closed.done():
            self.closed.set_result(None)

    def send(self, packet: Packet) -> None:
        """Never blocks: what is in flight to a worker is a few hundred bytes for each of two frames."""
        assert self._transport is not None
        if not self._transport.is_closing():  # a dead worker's frames are answered once its end is noticed
            self._transport.write(pack(packet))

    def close(self) -> None:
        """Lets go of the worker, which ends it."""
        if self._transport is not None:
            self._transport.close()


class WorkerProcess:
    """Keeps one worker alive.

    A worker takes work once its engine has answered a probe, at each of its starts.

    Args:
        settings: what it loads.
        probe: what it must answer.
        arena_bytes: shared memory for frames.
        timeout_s: a worker that owes answers and gives none for so long is killed.
        start_timeout_s: for loading and warming up.
        on_change: called when it has become able, or unable, to take work.

    Attributes:
        ready: able to take work.
        restarts: how often it was started again.
        failures: lives that ended since its latest result of a client's frame.
        info: the engine, as told at its latest start; None before the first.
        last_answer_at: seconds on the event loop's clock.
    """

    def __init__(
        self,
        settings: EngineSettings,
        *,
        probe: Probe,
        arena_bytes: int,
        timeout_s: float,
        start_timeout_s: float,
        on_change: Callable[[], None],
    ) -> None:
        self._settings = settings
        self._probe = probe
        self._arena = FrameArena(arena_bytes)
        self._timeout_s = timeout_s
        self._start_timeout_s = start_timeout_s
        self._on_change = on_change
        self._pending: dict[int, _Pending] = {}
        self._next_id = 0
        self._link: _Link | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._watchdog: asyncio.TimerHandle | None = None
        self._supervisor: asyncio.Task[None] | None = None
        self._first_start: asyncio.Future[None] | None = None
        self.ready = False
        self.restarts = 0
        self.failures = 0
        self.info: EngineReady | None = None
        self.last_answer_at = 0.0

    @property
    def in_flight(self) -> int:
        """Frames that the worker has and hasn't answered."""
        return len(self._pending)

    @property
    def batch(self) -> int:
        """Frames that its network takes at once, 1 where more don't pay."""
        return 1 if self.info is None else self.info.batch

    @property
    def pid(self) -> int | None:
        """Of the worker's process, while there is one."""
        return None if self._process is None else self._process.pid

    async def start(self) -> EngineReady:
        """Starts the worker and waits until its model is warm.

        Raises:
            EngineError: the model can't be loaded; the text can be shown to whoever started the server. The worker
                isn't started again.
        """
        self._first_start = asyncio.get_running_loop().create_future()
        self._supervisor = asyncio.create_task(self._supervise())
        await self._first_start
        assert self.info is not None
        return self.info

    async def until_idle(self) -> None:
        """Returns when it has answered what it has, to be called when nothing more is submitted."""
        while self._pending:  # bounded: a worker that gives no answer is killed, and answered for
            await asyncio.sleep(_IDLE_POLL_S)

    async def stop(self) -> None:
        """Ends the worker; what it still had is answered `engine_error`."""
        if self._supervisor is not None:
            self._supervisor.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._supervisor
            await self._reap()  # what the supervisor was cancelled at
        self._arena.close()

    def submit(self, job: Job, payload: memoryview, on_answer: Callable[[Answer], None]) -> bool:
        """Hands a frame over.

        Args:
            job: its id, offset and length are filled in here.
            payload: copied at once.
            on_answer: called exactly once, later; once more, with `engine_error`, where it raises an exception.

        Returns:
            False where the shared memory has no room for it now; then `on_answer` is never called.
        """
        assert self.ready, "the worker isn't ready"
        return self._hand_over(job, payload, on_answer)

    def probe(self, on_answer: Callable[[Answer], None], rung: int = 0) -> bool:
        """Hands over the server's own frame; arguments and result are those of `submit`.

        A worker that can't answer it with a result is killed and started again.
        """

        def judged(answer: Answer) -> None:
            on_answer(answer)
            if answer.outcome != "result" and self._link is not None:
                self._fail_probe(self._link, answer)

        return self._hand_over(self._probe.job(rung), self._probe.payload, judged)

    def _hand_over(self, job: Job, payload: memoryview, on_answer: Callable[[Answer], None]) -> bool:
        assert self._link is not None
        block = self._arena.put(payload)
        if block is None:
            return False
        self._next_id += 1
        self._pending[self._next_id] = _Pending(block, on_answer, job.output == "probe")
        self._link.send(Packet({**asdict(job), "id": self._next_id, "offset": block.offset, "length": block.length}))
        if self._watchdog is None:
            self._watch(self._timeout_s)
        return True

    def forget(self, session: str) -> None:
        """A session has ended and submits nothing more; what the worker remembers of it can go."""
        if self.ready and self._link is not None:
            self._link.send(Forget(session).packet())

    async def _supervise(self) -> None:
        assert self._first_start is not None
        while True:
            try:
                await self._run_once()
            except OSError as error:  # no memory, process or descriptor left for it; there may be one later
                log.error("the engine's process can't be started: %s", error.strerror)
            finally:
                self._give_up()
                await self._reap()
            if self._first_start.cancelled() or self._first_start.exception() is not None:
                return  # what has never worked is for whoever started it to mend
            pause = restart_pause_s(self.failures)
            self.failures += 1
            self.restarts += 1
            log.warning("the engine's process ended; it is started again in %.1f s", pause)
            await asyncio.sleep(pause)

    async def _run_once(self) -> None:
        """One life of the worker process."""
        loop = asyncio.get_running_loop()
        ours, theirs = socket.socketpair()
        with contextlib.ExitStack() as unless_handed_over, theirs:
            unless_handed_over.enter_context(ours)
            self._process = _spawn(theirs, self._arena)
            unless_handed_over.pop_all()
        try:
            _, self._link = await loop.create_unix_connection(lambda: _Link(self._on_packet), sock=ours)
            self._link.send(Packet(asdict(self._settings)))
            self._watch(self._start_timeout_s)
            await self._link.closed
        finally:
            self._process.kill()
            if self._link is not None:
                self._link.close()

    async def _reap(self) -> None:
        """Waits for a killed process, but not on the event loop: to give a GPU's memory back takes a while.

        One that is still there after that sits in a driver; it does nothing any more, and another one may start.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LAST_BREATH_S):
                while self._process is not None and self._process.poll() is None:
                    await asyncio.sleep(_IDLE_POLL_S)
        self._process = None

    def _give_up(self) -> None:
        """After a worker's end: its frames are answered, its memory is free."""
        self.ready = False
        self._link = None
        self._stop_watching()
        pending, self._pending = self._pending, {}
        for number, work in pending.items():
            self._arena.free(work.block)
            self._deliver(work, Answer(number, "engine_error", "the engine stopped; it is being started again"))
        if self._first_start is not None and not self._first_start.done():
            self._first_start.set_exception(EngineError("the engine's process ended before its model was loaded"))
        self._tell_change()

    def _on_packet(self, packet: Packet) -> None:
        event = packet.header.pop("event", None)
        if event == "ready":
            self._stop_watching()
            before, self.info = self.info, EngineReady.read(packet)
            if before is not None and before.model != self.info.model:
                log.warning("the model's file was changed; a worker that was started again has loaded it as it is now")
            self.probe(self._open)
        elif event == "failed":
            message = EngineFailed(**packet.header).message
            log.error("the engine can't start: %s", message)
            if self._first_start is not None and not self._first_start.done():
                self._first_start.set_exception(EngineError(message))
        else:
            self._on_answer(Answer.read(packet))

    def _open(self, answer: Answer) -> None:
        """The first probe of a life is answered."""
        if answer.outcome != "result":
            return
        self.ready = True
        if self._first_start is not None and not self._first_start.done():
            self._first_start.set_result(None)

    def _fail_probe(self, link: _Link, answer: Answer) -> None:
        log.error("the engine can't answer a probe and is started again: %s", answer.detail)
        self.ready = False
        if self._first_start is not None and not self._first_start.done():
            self._first_start.set_exception(EngineError(f"the engine can't answer a probe: {answer.detail}"))
        link.close()

    def _on_answer(self, answer: Answer) -> None:
        work = self._pending.pop(answer.id)
        self._arena.free(work.block)
        self.last_answer_at = asyncio.get_running_loop().time()
        if answer.outcome == "result" and not work.is_probe:
            self.failures = 0
        self._stop_watching()
        if self._pending:
            self._watch(self._timeout_s)
        assert self.info is not None
        self._deliver(work, replace(answer, model=self.info.model))
        self._tell_change()

    def _tell_change(self) -> None:
        try:
            self._on_change()
        except Exception:  # no fault of the worker either, see `_deliver`
            log.exception("the server failed over what to do after an answer of the engine")

    def _deliver(self, work: _Pending, answer: Answer) -> None:
        """Hands an answer over; a fault of who takes it costs that frame only, and the worker goes on."""
        for given in (answer, Answer(answer.id, "engine_error", _FAULT)):
            try:
                work.on_answer(given)
            except Exception:
                log.exception(_FAULT)
            else:
                return

    def _watch(self, seconds: float) -> None:
        self._watchdog = asyncio.get_running_loop().call_later(seconds, self._kill, seconds)

    def _stop_watching(self) -> None:
        if self._watchdog is not None:
            self._watchdog.cancel()
            self._watchdog = None

    def _kill(self, seconds: float) -> None:
        log.error("the engine gave no answer for %g s and is killed", seconds)
        assert self._process is not None
        self._process.kill()
        if self._link is not None:
            self._link.close()  # a process that sits in a driver keeps its end open


def restart_pause_s(failures: int) -> float:
    """Seconds before the next start of a worker whose lives ended so many times in a row without a result."""
    return min(math.ldexp(_FIRST_RESTART_S, min(failures, _MOST_DOUBLINGS)), _LAST_RESTART_S)


def _spawn(control: socket.socket, arena: FrameArena) -> subprocess.Popen[bytes]:
    descriptors = (control.fileno(), arena.fd)
    return subprocess.Popen(
        # -P: a stray module in the current folder must not shadow one of ours.
        [
            *(sys.executable, "-P", "-m", "fetalseg_server.worker"),
            *("--control-fd", str(descriptors[0]), "--arena-fd", str(descriptors[1])),
            *("--arena-bytes", str(arena.size)),
        ],
        pass_fds=descriptors,
        stdin=subprocess.DEVNULL,
        env={**{name: value for name, value in os.environ.items() if name not in _SECRETS}, **_ENVIRONMENT},
        # Ctrl-C reaches a whole process group; the worker must outlive it to answer its last frames.
        start_new_session=True,
    )
