"""What all connections share: the engine's process, the scheduler, the sessions, and the way they end together."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fetalseg.engines import ENGINES
from fetalseg.errors import FetalsegError
from fetalseg.model_file import find_model
from fetalseg_server.access.audit import AuditLog
from fetalseg_server.access.client_rates import ClientRates
from fetalseg_server.access.journal import Journal
from fetalseg_server.access.security import Access, Client, TokenTable, refusal_of_bind
from fetalseg_server.live.examination import KeptFrame
from fetalseg_server.live.record import SessionRecord, SessionRecords
from fetalseg_server.live.session import Session
from fetalseg_server.live.summary import Reports
from fetalseg_server.messages import ModelDescription
from fetalseg_server.metrics import Metrics, watch_event_loop
from fetalseg_server.model_files import describe_model
from fetalseg_server.options import SessionOptions
from fetalseg_server.pool.metrics import PoolCollector
from fetalseg_server.pool.pool import WorkerPool
from fetalseg_server.pool.seat import Seat
from fetalseg_server.protocol import CloseCode
from fetalseg_server.settings import Settings
from fetalseg_server.shutdown import Moment, MomentReachedError
from fetalseg_server.single_image import SingleImage
from fetalseg_server.worker.jobs import Answer, EngineReady

__all__ = ["FEATURES", "Service"]

log = logging.getLogger(__name__)

_LAST_WRITES_S = 1.0  # for close frames, once answers are given up

# What `ready` promises beyond the bare stream.
FEATURES = ("configure", "deadline", "examination", "labelmap", "polygon", "resume", "rle", "segment", "track", "view")


class Service:
    """One server.

    Args:
        settings: see there.

    Attributes:
        pool: the workers.
        sessions: connections past their `hello`.
        records: what of sessions outlives their connections.
        reports: pages about examinations.
        entering: connections before the answer to their `hello`.
        draining: the server is shutting down.
        end_begins: when it begins to.
        failure: the engine could not be started at all; None otherwise.

    Raises:
        ValueError: an unknown engine, a host that needs tokens, or tokens that can't be read.
        ModelFileError: no such model.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        tokens = read_tokens(settings)
        encrypted = settings.tls_cert is not None or bool(settings.trusted_proxies)
        if (problem := refusal_of_bind(settings.host, tokens, encrypted=encrypted)) is not None:
            raise ValueError(problem)
        if settings.engine not in ("auto", *ENGINES):
            raise ValueError(f"unknown engine {settings.engine!r}; expected auto, {', '.join(ENGINES)}")
        self.access = Access(tokens, settings.allow_origins, max_failed_attempts=settings.max_failed_attempts)
        self.model_path = find_model(settings.model)
        self._described = describe_model(self.model_path)
        self.metrics = Metrics()
        self.rates = ClientRates()
        self.journal = Journal(AuditLog(Path(settings.audit_file) if settings.audit_file else None))
        self.metrics.watch_audit(self.journal.audit)
        self.sessions: set[Session] = set()
        self.records = SessionRecords(
            resume_s=settings.resume_s,
            summary_s=settings.summary_s,
            max_kept=settings.kept_sessions,
            forget=SessionRecord.forget,
        )
        self.reports = Reports(self.draw, max_waiting=settings.http_waiting)
        self.entering = 0
        self.draining = False
        self.end_begins = Moment()
        self._answers_end = Moment()
        self.failure: Exception | None = None
        self.started: asyncio.Event = asyncio.Event()
        self.pool = WorkerPool(settings, str(self.model_path), self._on_change)
        self.metrics.add(PoolCollector(self.pool))
        self._tasks: list[asyncio.Task[None]] = []
        self._images = 0
        self._images_waiting = 0

    @property
    def ready(self) -> bool:
        """Whether a new session would be served."""
        return self.started.is_set() and self.pool.ready and not self.draining

    @property
    def model(self) -> ModelDescription:
        """What new sessions are told of: the model as the engine has loaded it, as far as it has."""
        return self._described if self.pool.info is None else self.pool.info.model

    @property
    def features(self) -> tuple[str, ...]:
        """What `ready` promises."""
        return (*FEATURES, "ladder") if self.settings.ladder else FEATURES

    @property
    def engine(self) -> str:
        """In words; to be read once the engine has started."""
        assert self.pool.info is not None
        return self.pool.info.engine

    @property
    def defaults(self) -> SessionOptions:
        """What sessions get that ask for nothing; to be read once the engine has started."""
        assert self.pool.info is not None
        return SessionOptions(model=self.model.name, min_score=self.pool.info.min_score, nms=self.pool.info.nms)

    async def start(self) -> None:
        """Begins to load the model; returns at once, `started` tells when it is warm or has failed."""
        self._tasks = [asyncio.create_task(self._start_engine()), asyncio.create_task(watch_event_loop(self.metrics))]

    async def stop(self) -> None:
        """Ends the workers."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.records.close()
        await self.pool.stop()
        await self.journal.stopped()
        self.journal.audit.close()

    async def engine_info(self) -> EngineReady | None:
        """The engine, once it has started for the first time; None where it can't."""
        await self.started.wait()
        return None if self.failure is not None else self.pool.info

    def new_record(self, client: Client) -> SessionRecord:
        """A session that begins now; to be called once the engine has started."""
        return SessionRecord(
            client=client,
            asked=SessionOptions(),
            defaults=self.defaults,
            model=self.model,
            examination_bytes=self.settings.examination_bytes,
        )

    def seat_for(self, client: Client, record: SessionRecord | None = None) -> Seat:
        """A place for a session; for one that goes on, at the worker that knows it, if there is still room.

        Raises:
            NoCapacityError: the workers are busy enough with those that are here.
        """
        promised = self.settings.session_fps * client.weight
        fps = promised if client.max_fps is None else min(promised, client.max_fps)
        known_at = None if record is None or record.seat is None else record.seat.lane
        return self.pool.admit(fps, client.weight, known_at=known_at)

    async def reload(self) -> ModelDescription:
        """Loads the model again, from the file that its name or path stands for now; sessions stay.

        Raises:
            ReloadingError: it is being done already.
            FetalsegError: the file can't be used; the model before goes on.
        """
        try:
            path = find_model(self.settings.model)
            info = await self.pool.reload(str(path))
        except FetalsegError as error:
            log.error("the model can't be reloaded, the one before goes on: %s", error)
            raise
        self.model_path = path
        self._tell_engine(info)
        for record in self.records:
            record.adopt(info.model, self.defaults)
        log.info("the model is now %s %s (%s)", info.model.name, info.model.version, info.model.sha256)
        await self.journal.reloaded(f"model {info.model.name} {info.model.version} {info.model.sha256}")
        return info.model

    async def drain(self) -> None:
        """Ends all sessions: new frames are skipped, those in work answered, connections closed with 1001."""
        if self.draining:
            return
        self.draining = True
        self.end_begins.reach()
        self._on_change()
        give_up = time.monotonic() + self.settings.drain_timeout_s
        for session in tuple(self.sessions):
            session.drain()
        if self.sessions:
            await asyncio.sleep(self.settings.drain_grace_s)
        for session in tuple(self.sessions):
            session.close(CloseCode.DRAINING, "draining", owes=True)
        await self._until_nothing_is_owed(give_up)
        self._answers_end.reach()
        for session in tuple(self.sessions):
            session.close(CloseCode.DRAINING, "draining", owes=False)
        await self._until_nothing_is_owed(time.monotonic() + _LAST_WRITES_S)

    @contextmanager
    def place_for_image(self) -> Iterator[bool]:
        """Whether one more single image may come; it is in memory from its first byte, and so it counts from there."""
        free = self._images < self.settings.http_waiting
        self._images += free
        try:
            yield free
        finally:
            self._images -= free

    async def segment(self, work: SingleImage) -> Answer:
        """Runs one image that belongs to no session and has its place, in turn with the sessions' frames."""
        self._images_waiting += 1
        try:
            return await self._answers_end.unless_reached(self._work_on(work))
        except MomentReachedError:
            return Answer(0, "draining", "the server is shutting down")
        finally:
            self._images_waiting -= 1

    async def draw(self, frame: KeptFrame) -> Answer:
        """Has a worker draw what it finds over a frame of an examination; the data of a result is a JPEG."""
        return await self._work_on(SingleImage(frame.payload, frame.header, frame.to_draw, output="overlay_jpeg"))

    async def _work_on(self, image: SingleImage) -> Answer:
        lane = self.pool.offer(image)
        try:
            return await image.answer
        finally:
            lane.scheduler.withdraw(image)

    async def _until_nothing_is_owed(self, give_up: float) -> None:
        while (self.sessions or self.entering or self._images_waiting) and time.monotonic() < give_up:
            await asyncio.sleep(0.01)

    async def _start_engine(self) -> None:
        try:
            info = await self.pool.start()
            await self.journal.started(info.model, info.engine)
            self._tell_engine(info)
        except Exception as error:
            self.failure = error
        finally:
            self.started.set()
            self._on_change()

    def _tell_engine(self, info: EngineReady) -> None:
        self.metrics.engine.info(
            {
                "model": info.model.name,
                "version": info.model.version,
                "sha256": info.model.sha256,
                "engine": info.kind,
                "precision": info.precision,
            }
        )

    def _on_change(self) -> None:
        self.metrics.ready.set(self.ready)
        self.metrics.engine_restarts.set(self.pool.restarts)


def read_tokens(settings: Settings) -> TokenTable:
    """The tokens as they are now.

    Raises:
        ValueError: they can't be read.
    """
    return TokenTable.read(Path(settings.tokens_file) if settings.tokens_file else None, settings.tokens)
