"""Several workers side by side: who works for whom, what may be promised, and how they are replaced."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from functools import partial

from fetalseg.engines.base import usable_cores
from fetalseg.errors import EngineError
from fetalseg_server.ladder import parse_ladder
from fetalseg_server.pool.calibration import probe, single_ms, sustained_ms
from fetalseg_server.pool.capacity import WorkerLoad
from fetalseg_server.pool.ladder_control import INTERVAL_S
from fetalseg_server.pool.lane import Lane
from fetalseg_server.pool.probe import Probe
from fetalseg_server.pool.process import WorkerProcess
from fetalseg_server.pool.scheduler import FrameSource
from fetalseg_server.pool.seat import Seat
from fetalseg_server.settings import Settings
from fetalseg_server.worker.jobs import EngineReady, EngineSettings

__all__ = ["NoCapacityError", "ReloadingError", "WorkerPool"]

log = logging.getLogger(__name__)

# Workers on one machine can't slow each other down by more than their number, and a frame's stages share cores, too.
_MOST_CROWDING = 1.5
_HOPELESS = 3  # lives of a worker without a result, after which its sessions go elsewhere


class NoCapacityError(Exception):
    """One more session would take frames from those that are served; the text can be shown to its client."""


class ReloadingError(Exception):
    """The model is being reloaded already."""


class WorkerPool:
    """The workers of one server.

    Sessions keep their worker, because it remembers what it has seen of them. Each worker is watched by itself: one
    that crashes or hangs concerns its own sessions only.

    Args:
        settings: of the server.
        model: name or path.
        on_change: called when a worker has become able, or unable, to take work, and a few times a second.

    Attributes:
        lanes: a place for each worker.
    """

    def __init__(self, settings: Settings, model: str, on_change: Callable[[], None]) -> None:
        self._settings = settings
        self._on_change = on_change
        self._probe = Probe(settings.max_pixels, settings.max_frame_bytes)
        self._restarts_before = 0  # of workers that were replaced
        self._reloading = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        rungs = parse_ladder(settings.ladder)
        self.lanes: list[Lane] = []
        for number in range(settings.workers):
            self.lanes.append(Lane(number, self._make(number, model), rungs))

    @property
    def info(self) -> EngineReady | None:
        """The engine, None before its first start."""
        return self.lanes[0].worker.info

    @property
    def ready(self) -> bool:
        """Whether a worker takes work."""
        return any(lane.worker.ready for lane in self.lanes)

    @property
    def restarts(self) -> int:
        """How often workers were started again."""
        return self._restarts_before + sum(lane.worker.restarts for lane in self.lanes)

    @property
    def capacity_fps(self) -> float:
        """Frames a second that may be promised, together."""
        return sum(lane.capacity_fps for lane in self._living)

    @property
    def promised_fps(self) -> float:
        """Frames a second that are promised to sessions."""
        return sum(lane.promised_fps for lane in self.lanes)

    async def start(self) -> EngineReady:
        """Starts all workers; returns when all are warm, and measured.

        Raises:
            EngineError: a worker can't be started; the text can be shown to whoever started the server.
        """
        await asyncio.gather(*(lane.worker.start() for lane in self.lanes))
        await self.measure()
        self._tasks = {asyncio.create_task(self._regulate()), asyncio.create_task(self._probe_on())}
        assert self.info is not None
        return self.info

    async def stop(self) -> None:
        """Ends all workers."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*(lane.worker.stop() for lane in self.lanes))

    def admit(self, fps: float, weight: float, *, known_at: Lane | None = None) -> Seat:
        """A place for a new session, at the worker that has promised the smallest part of what it can.

        The first session is always admitted: on a slow machine it has fewer results than frames, and harms nobody.
        Where all workers together have the room, an idle worker takes a session that is more than its own part, since
        workers share the machine.

        Args:
            fps: frames a second to promise.
            weight: share of a busy worker against other sessions.
            known_at: the worker that remembers the session, which comes first where it has room.

        Raises:
            NoCapacityError: there is no such place.
        """
        lane = min(self._living, key=lambda lane: (lane.fullness, len(lane.seats)))
        if known_at in self._living and (not known_at.seats or known_at.promised_fps + fps <= known_at.capacity_fps):
            lane = known_at
        promised, capacity = self.promised_fps, self.capacity_fps
        fits_lane = lane.promised_fps + fps <= lane.capacity_fps
        fits_pool = promised + fps <= capacity and not lane.seats
        if promised and not fits_lane and not fits_pool:
            raise NoCapacityError(
                f"{promised:.0f} of {capacity:.0f} frames a second are promised to other sessions, "
                f"no worker has room for {fps:.0f} more"
            )
        return Seat(lane, fps=fps, weight=weight)

    def offer(self, source: FrameSource) -> Lane:
        """Gives a single image to the worker with the fewest frames; returns where it waits."""
        lane = min(self._living, key=lambda lane: (lane.busy, lane.fullness))
        lane.scheduler.offer(source)
        return lane

    async def reload(self, model: str) -> EngineReady:
        """Replaces all workers by ones with another model, or with the same file as it is now.

        The new ones are warmed one after the other beside the old ones, which go on; then all switch at once.

        Raises:
            ReloadingError: it is being done already.
            EngineError: a new worker can't be started; the old ones go on.
        """
        if self._reloading.locked():
            raise ReloadingError("the model is being reloaded already")
        async with self._reloading:
            fresh = [self._make(lane.number, model) for lane in self.lanes]
            loads = [WorkerLoad() for _ in fresh]
            try:
                for worker, load in zip(fresh, loads, strict=True):
                    info = await worker.start()
                    for rung in range(len(self.lanes[0].rungs)):
                        load.cost.calibrate(rung, await single_ms(worker, rung))
            except BaseException:
                await asyncio.gather(*(worker.stop() for worker in fresh))
                raise
            for lane, worker, load in zip(self.lanes, fresh, loads, strict=True):
                task = asyncio.create_task(self._retire(lane.switch(worker, load)))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
            self._on_change()
            return info

    async def measure(self) -> None:
        """Measures what a frame costs while all workers are busy; to be called while no session is served."""
        for rung in range(len(self.lanes[0].rungs)):
            costs = await asyncio.gather(*(sustained_ms(lane.worker, rung) for lane in self.lanes))
            for lane, cost_ms in zip(self.lanes, costs, strict=True):
                if cost_ms is not None:
                    lane.load.cost.calibrate(rung, cost_ms)
        for lane in self.lanes:
            with contextlib.suppress(EngineError):  # it is being started again
                lane.load.cost.calibrate_alone(await single_ms(lane.worker), most=_MOST_CROWDING * len(self.lanes))

    async def _retire(self, worker: WorkerProcess) -> None:
        try:
            await worker.until_idle()
        finally:
            self._restarts_before += worker.restarts
            await worker.stop()

    @property
    def _living(self) -> list[Lane]:
        """Lanes whose worker takes work; all where none does."""
        return [lane for lane in self.lanes if lane.worker.ready] or self.lanes

    def _make(self, number: int, model: str) -> WorkerProcess:
        settings = self._settings
        engine = EngineSettings(
            model=model,
            engine=settings.engine,
            device=settings.device,
            engine_cache=settings.engine_cache,
            precision=settings.precision,
            threads=settings.threads or max(1, usable_cores() // settings.workers),
            max_pixels=settings.max_pixels,
            ladder=settings.ladder,
            batch=settings.batch,
        )
        return WorkerProcess(
            engine,
            probe=self._probe,
            arena_bytes=settings.shared_memory_bytes,
            timeout_s=settings.engine_timeout_s,
            start_timeout_s=settings.start_timeout_s,
            on_change=partial(self._changed, number),
        )

    def _changed(self, number: int) -> None:
        if number < len(self.lanes):  # a worker may change while the pool is built
            self.lanes[number].scheduler.pump()
        self._on_change()

    async def _regulate(self) -> None:
        """Moves sessions on the ladder, and away from a worker that can't be brought back."""
        while True:
            await asyncio.sleep(INTERVAL_S)
            for lane in self.lanes:
                if (seat := lane.regulate()) is not None:
                    log.info("a session of worker %d is on rung %d of the quality ladder", lane.number, seat.rung)
                if not lane.worker.ready and lane.worker.failures >= _HOPELESS:
                    self._evacuate(lane)
            self._on_change()

    def _evacuate(self, lane: Lane) -> None:
        for seat in tuple(lane.seats):
            places = [other for other in self._living if other is not lane and other.worker.ready]
            places = [other for other in places if other.promised_fps + seat.promised_fps <= other.capacity_fps]
            if places:
                seat.move(min(places, key=lambda other: other.fullness))

    async def _probe_on(self) -> None:
        """Finds a worker that died in silence, and follows the machine's speed while nobody streams."""
        loop = asyncio.get_running_loop()
        interval = self._settings.probe_interval_s
        while True:
            await asyncio.sleep(interval)
            if not any(lane.seats or lane.busy for lane in self.lanes):
                await self.measure()
            silent = [lane for lane in self.lanes if loop.time() - lane.worker.last_answer_at > interval]
            await asyncio.gather(*(probe(lane.worker) for lane in silent))
