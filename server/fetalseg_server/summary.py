"""The summary of an examination: as JSON, and as the page that is read, saved or printed at its end."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Any

from fetalseg.examination import FrameId
from fetalseg.examination_report import Picture, ReportFacts, render_report
from fetalseg_server.examination import Examination, KeptFrame
from fetalseg_server.jobs import Answer
from fetalseg_server.messages import ModelDescription
from fetalseg_server.session_record import SessionRecord

__all__ = ["report_page", "summary_values"]


def summary_values(
    record: SessionRecord, examination: Examination, *, model: ModelDescription, engine: str
) -> dict[str, Any]:
    """All that is known of an examination but the pictures, ready for JSON."""
    description = asdict(model)
    return {
        "session": record.id,
        "state": "connected" if record.holder is not None else "resumable" if record.resumable else "ended",
        "started_at": record.started.isoformat(timespec="milliseconds"),
        "started_us": record.started_us,
        "duration_s": round(record.duration_s, 3),
        "frames": {"result": record.results, "skipped": record.skipped},
        "model": {name: description[name] for name in ("name", "version", "sha256")},
        "engine": engine,
        "examination": examination.check_list.to_json(),
        "research_use_only": True,
    }


async def report_page(
    record: SessionRecord,
    examination: Examination,
    *,
    model: ModelDescription,
    engine: str,
    draw: Callable[[KeptFrame], Awaitable[Answer]],
) -> str:
    """The report of an examination as one HTML page.

    Args:
        record: of the session, which may go on meanwhile: the page shows it as it is now.
        examination: of the session.
        model: the server's.
        engine: in words.
        draw: has a worker draw what it finds over a frame; the answer to a "result" carries a JPEG.
    """
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
        model=model.name,
        version=model.version,
        sha256=model.sha256,
        engine=engine,
    )
    pictures: dict[FrameId, Picture] = {}
    for name, frame in frames.items():  # one at a time: live sessions come first
        answer = await draw(frame)
        if answer.outcome == "result":
            pictures[name] = Picture(answer.data, answer.width, answer.height)
    # Megabytes of text: not on the event loop.
    return await asyncio.to_thread(render_report, facts, check_list, pictures)
