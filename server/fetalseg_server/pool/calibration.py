"""How long a worker takes for a frame when it has nothing but work."""

from __future__ import annotations

import asyncio
import time

from fetalseg.errors import EngineError
from fetalseg_server.pool.capacity import stage_ms
from fetalseg_server.pool.process import WorkerProcess
from fetalseg_server.worker.jobs import Answer

__all__ = ["probe", "single_ms", "sustained_ms"]

_FRAMES = 12
_LONGEST_S = 0.3  # a slow engine is measured with fewer frames, but with four at least
_FEWEST_FRAMES = 4
_STAGES = 2


async def probe(worker: WorkerProcess, rung: int = 0) -> Answer:
    """The answer to one probe."""
    answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()

    def settle(found: Answer) -> None:
        if not answer.done():
            answer.set_result(found)

    if not worker.ready or not worker.probe(settle, rung):
        return Answer(0, "engine_error", "the engine is being started again, or has no room")
    return await answer


async def single_ms(worker: WorkerProcess, rung: int = 0) -> float:
    """What one frame takes of a worker that has no other, see `stage_ms`.

    Raises:
        EngineError: the worker has no result for it.
    """
    answer = await probe(worker, rung)
    if answer.outcome != "result":
        raise EngineError(f"the engine can't answer a probe: {answer.detail}")
    return stage_ms(answer.timing_ms, answer.batch)


async def sustained_ms(worker: WorkerProcess, rung: int = 0) -> float | None:
    """Milliseconds between two answers while the worker's stages are full; None where an answer is no result.

    To know what workers take from each other, run this on all of them at once.
    """
    times: list[float] = []

    async def keep_asking() -> bool:
        while len(times) < _FRAMES and (len(times) <= _FEWEST_FRAMES or times[-1] - times[0] < _LONGEST_S):
            if (await probe(worker, rung)).outcome != "result":
                return False
            times.append(time.monotonic())
        return True

    answered = await asyncio.gather(*(keep_asking() for _ in range(_STAGES * worker.batch)))
    if not all(answered):
        return None
    return 1000 * (times[-1] - times[0]) / (len(times) - 1)
