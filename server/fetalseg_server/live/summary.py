"""The summary of an examination: as JSON, and as the page that is read, saved or printed at its end."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Awaitable, Callable
from typing import Any

from fetalseg.examination import FrameId
from fetalseg.examination_report import Picture, ReportFacts, UsedModel, render_report, shown_frames
from fetalseg_server.live.examination import Examination, KeptFrame
from fetalseg_server.live.record import SessionRecord
from fetalseg_server.worker.jobs import Answer

__all__ = ["Reports", "summary_values"]


def summary_values(record: SessionRecord, examination: Examination, engine: str) -> dict[str, Any]:
    """All that is known of an examination but the pictures, ready for JSON."""
    return {
        "session": record.id,
        "state": "connected" if record.holder is not None else "resumable" if record.resumable else "ended",
        "started_at": record.started.isoformat(timespec="milliseconds"),
        "started_us": record.started_us,
        "duration_s": round(record.duration_s, 3),
        "frames": {"result": record.results, "skipped": record.skipped},
        "models": [model._asdict() for model in _used_models(record)],
        "engine": engine,
        "examination": examination.check_list.to_json(),
        "research_use_only": True,
    }


class Reports:
    """Makes reports, one at a time: each has a worker draw up to 23 frames, and live sessions come first.

    Args:
        draw: has a worker draw what it finds over a frame; the data of a result is a JPEG.
        max_waiting: reports that may wait.
    """

    def __init__(self, draw: Callable[[KeptFrame], Awaitable[Answer]], *, max_waiting: int) -> None:
        self._draw = draw
        self._max_waiting = max_waiting
        self._waiting = 0
        self._turn = asyncio.Lock()

    async def page(self, record: SessionRecord, examination: Examination, engine: str) -> str | None:
        """The report of an examination as one HTML page; None where too many wait already.

        Args:
            record: of the session, which may go on meanwhile: the page shows it as it is when the page's turn comes.
            examination: of the session.
            engine: in words.
        """
        if self._waiting >= self._max_waiting:
            return None
        self._waiting += 1
        try:
            async with self._turn:
                return await self._make(record, examination, engine)
        finally:
            self._waiting -= 1

    async def _make(self, record: SessionRecord, examination: Examination, engine: str) -> str:
        # As they are now: while frames are drawn, new ones may take their places.
        check_list, frames = copy.deepcopy(examination.check_list), examination.frames
        facts = ReportFacts(
            session=record.id,
            started=record.started,
            start_us=record.started_us,
            duration_s=record.duration_s,
            finished=record.holder is None,
            results=record.results,
            skipped=record.skipped,
            models=_used_models(record),
            engine=engine,
        )
        pictures: dict[FrameId, Picture] = {}
        for name in shown_frames(check_list):
            answer = await self._draw(frames[name])
            if answer.outcome == "result":
                pictures[name] = Picture(answer.data, answer.width, answer.height)
        # Megabytes of text: not on the event loop.
        return await asyncio.to_thread(render_report, facts, check_list, pictures)


def _used_models(record: SessionRecord) -> tuple[UsedModel, ...]:
    """Those that results came from; before the first result, the one that is going to be used."""
    return tuple(UsedModel(model.name, model.version, model.sha256) for model in record.models or [record.model])
