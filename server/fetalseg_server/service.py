"""What all connections share: the engine's process, the scheduler, the sessions, and the way they end together."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from pathlib import Path

from fetalseg.engines import ENGINES
from fetalseg.model_file import ModelFacts, file_digest, find_model, list_models, read_facts
from fetalseg_server.jobs import Answer, EngineReady, EngineSettings, Job
from fetalseg_server.messages import ModelDescription
from fetalseg_server.metrics import Metrics, watch_event_loop
from fetalseg_server.options import SessionOptions
from fetalseg_server.protocol import CloseCode, Codec
from fetalseg_server.scheduler import Scheduler, Work
from fetalseg_server.security import Access, TokenTable, refusal_of_bind
from fetalseg_server.session import Session
from fetalseg_server.settings import Settings
from fetalseg_server.worker_process import WorkerProcess

__all__ = ["FEATURES", "Service", "SingleImage"]

log = logging.getLogger(__name__)

_LAST_WRITES_S = 1.0  # for close frames, once answers are given up

# What `ready` promises beyond the bare stream.
FEATURES = ("configure", "deadline", "labelmap", "polygon", "rle", "segment", "view")


class Service:
    """One server.

    Args:
        settings: see there.

    Attributes:
        sessions: those past their `hello`.
        draining: the server is shutting down.
        failure: the engine could not be started at all; None otherwise.

    Raises:
        ValueError: an unknown engine, a host that needs tokens, or tokens that can't be read.
        ModelFileError: no such model.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        tokens = TokenTable.read(Path(settings.tokens_file) if settings.tokens_file else None, settings.tokens)
        if (problem := refusal_of_bind(settings.host, tokens)) is not None:
            raise ValueError(problem)
        if settings.engine not in ("auto", *ENGINES):
            raise ValueError(f"unknown engine {settings.engine!r}; expected auto, {', '.join(ENGINES)}")
        self.access = Access(tokens, settings.allow_origins)
        self.model_path = find_model(settings.model)
        self.model = describe_model(self.model_path)
        self.metrics = Metrics()
        self.sessions: set[Session] = set()
        self.draining = False
        self.failure: Exception | None = None
        self.started: asyncio.Event = asyncio.Event()
        self.worker = WorkerProcess(
            EngineSettings(
                str(self.model_path), settings.engine, settings.precision, settings.threads, settings.max_pixels
            ),
            arena_bytes=settings.shared_memory_bytes,
            timeout_s=settings.engine_timeout_s,
            start_timeout_s=settings.start_timeout_s,
            on_change=self._on_engine_change,
        )
        self.scheduler = Scheduler(self.worker)
        self._tasks: list[asyncio.Task[None]] = []
        self._images_waiting = 0

    @property
    def ready(self) -> bool:
        """Whether a new session would be served."""
        return self.worker.ready and not self.draining

    async def start(self) -> None:
        """Begins to load the model; returns at once, `started` tells when it is warm or has failed."""
        self._tasks = [asyncio.create_task(self._start_engine()), asyncio.create_task(watch_event_loop(self.metrics))]

    async def stop(self) -> None:
        """Ends the engine's process."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.worker.stop()

    async def engine_info(self) -> EngineReady | None:
        """The engine, once it has started for the first time; None where it can't."""
        await self.started.wait()
        return self.worker.info

    async def drain(self) -> None:
        """Ends all sessions: new frames are skipped, those in work answered, connections closed with 1001."""
        if self.draining:
            return
        self.draining = True
        self._on_engine_change()
        give_up = time.monotonic() + self.settings.drain_timeout_s
        for session in tuple(self.sessions):
            session.drain()
        if self.sessions:
            await asyncio.sleep(self.settings.drain_grace_s)
        for session in tuple(self.sessions):
            session.close(CloseCode.DRAINING, "draining", owes=True)
        await self._until_no_sessions(give_up)
        for session in tuple(self.sessions):
            session.close(CloseCode.DRAINING, "draining", owes=False)
        await self._until_no_sessions(time.monotonic() + _LAST_WRITES_S)

    async def segment(self, work: SingleImage) -> Answer:
        """Runs one image that belongs to no session, in turn with the sessions' frames."""
        if self._images_waiting >= self.settings.http_waiting:
            return Answer(0, "overloaded", f"{self._images_waiting} images are waiting already")
        self._images_waiting += 1
        try:
            self.scheduler.offer(work)
            return await work.answer
        finally:
            self._images_waiting -= 1
            self.scheduler.withdraw(work)

    async def _until_no_sessions(self, give_up: float) -> None:
        while self.sessions and time.monotonic() < give_up:
            await asyncio.sleep(0.01)

    async def _start_engine(self) -> None:
        try:
            info = await self.worker.start()
            self.metrics.engine.info(
                {
                    "model": self.model.name,
                    "version": self.model.version,
                    "sha256": self.model.sha256,
                    "engine": info.kind,
                    "precision": info.precision,
                }
            )
        except Exception as error:
            self.failure = error
        finally:
            self.started.set()

    def _on_engine_change(self) -> None:
        self.metrics.ready.set(self.ready)
        self.metrics.engine_restarts.set(self.worker.restarts)
        self.scheduler.pump()


class SingleImage:
    """One image of `/v1/segment` on its way through the stages.

    Args:
        payload: the coded image.
        codec: JPEG or PNG.
        options: as in a session.
        output: "overlay" for a PNG with the structures drawn.
    """

    def __init__(self, payload: bytes, codec: Codec, options: SessionOptions, *, overlay: bool) -> None:
        self.received_ns = time.monotonic_ns()
        self.answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        deadline_ns = None if options.deadline_ms is None else self.received_ns + round(options.deadline_ms * 1e6)
        job = Job(
            id=0,
            codec=codec,
            width=0,
            height=0,
            offset=0,
            length=len(payload),
            received_ns=self.received_ns,
            deadline_ns=deadline_ns,
            masks=options.masks,
            min_score=options.min_score,
            nms=options.nms,
            output="overlay" if overlay else "message",
        )
        self._work: Work | None = Work(job, memoryview(payload), self._settle)

    def take(self) -> Work | None:
        """Gives the image to the scheduler."""
        work, self._work = self._work, None
        return work

    def age_ns(self) -> int:
        """Nanoseconds since the image was complete."""
        return time.monotonic_ns() - self.received_ns

    def _settle(self, answer: Answer) -> None:
        if not self.answer.done():
            self.answer.set_result(answer)


def describe_model(path: Path) -> ModelDescription:
    """What a model file says of itself.

    Raises:
        ModelFileError: not one of ours.
    """
    facts: ModelFacts = read_facts(path)
    return ModelDescription(
        facts.name, facts.version, file_digest(path), (facts.input.height, facts.input.width), facts.structures
    )


def known_models(loaded: Path) -> list[dict[str, object]]:
    """All models that can be used by name, and the loaded one wherever it lies."""
    paths = {path.resolve(): path for path in (loaded, *list_models().values())}
    models: list[dict[str, object]] = []
    for path in paths.values():
        with contextlib.suppress(Exception):
            description = describe_model(path)
            models.append({**description.__dict__, "loaded": path.resolve() == loaded.resolve()})
    return models
