"""The curves of a run, as CSV and for TensorBoard."""

from __future__ import annotations

import csv
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fetalseg.errors import MissingExtraError
from fetalseg.training.run_folder import RunFolder
from fetalseg.training.validation import Score

try:
    from tensorboard.compat.proto.event_pb2 import Event, SessionLog
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.summary.writer.record_writer import RecordWriter
except ModuleNotFoundError:
    raise MissingExtraError("tensorboard", "train") from None

__all__ = ["RunLog", "StepReport", "read_scores"]


@dataclass(frozen=True)
class StepReport:
    """One step, for logs and a progress line.

    Attributes:
        step: steps done.
        epoch: passes over as many frames as all sets hold.
        progress: share of the run done, 0..1.
        losses: by term, "total" last.
        learning_rate: of this step.
        step_s: time the step took.
        images_per_s: over the last steps.
        waiting: share of the time of this process spent waiting for data, 0..1.
        time_left_s: until the budget is spent.
    """

    step: int
    epoch: float
    progress: float
    losses: dict[str, float]
    learning_rate: float
    step_s: float
    images_per_s: float
    waiting: float
    time_left_s: float


class RunLog:
    """Writes the curves; what an interrupted run wrote after its last state is taken back first.

    Args:
        folder: of the run, made already.
        step: steps done so far.

    Raises:
        OSError: a file can't be written; also from the methods.
    """

    def __init__(self, folder: RunFolder, step: int) -> None:
        self._folder = folder
        for path in (folder.losses, folder.scores):
            _forget_after(path, step)
        self._events = _Events(folder.tensorboard, step)

    def step(self, report: StepReport) -> None:
        """A row of losses."""
        row = {"step": report.step, "progress": round(report.progress, 5), "learning_rate": report.learning_rate}
        row |= {name: round(value, 5) for name, value in report.losses.items()}
        row |= {"step_s": round(report.step_s, 3), "waiting": round(report.waiting, 4)}
        _append(self._folder.losses, [row])
        values = {f"loss/{name}": value for name, value in report.losses.items()}
        values |= {"speed/images_per_s": report.images_per_s, "speed/waiting": report.waiting}
        self._events.write(report.step, {**values, "learning_rate": report.learning_rate})

    def scores(self, step: int, scores: Mapping[str, Sequence[Score]]) -> None:
        """The rows of a validation."""
        rows = [{"step": step, "set": name, **asdict(score)} for name, found in scores.items() for score in found]
        _append(self._folder.scores, rows)
        values = {
            f"{row['set']}/{row['structure']}/{figure}": row[figure]
            for row in rows
            for figure in ("box", "mask", "mask75", "dice", "centre")
            if row[figure] is not None
        }
        self._events.write(step, values)

    def close(self) -> None:
        """Ends the event file."""
        self._events.close()


class _Events:
    """An event file of TensorBoard, written at once: its own writer does so in a thread, whose errors come late."""

    def __init__(self, folder: Path, step: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        # TensorBoard reads the files of a folder in the order of their names.
        path = folder / f"events.out.tfevents.{time.time():.6f}.{os.getpid()}"
        self._file = path.open("wb")
        self._records = RecordWriter(self._file)
        self._add(Event(wall_time=time.time(), file_version="brain.Event:2"))
        if step:
            # Points after this step, of a part of the run that is done again, no longer count.
            self._add(Event(wall_time=time.time(), step=step + 1, session_log=SessionLog(status=SessionLog.START)))
        self._file.flush()

    def write(self, step: int, values: Mapping[str, float]) -> None:
        points = [Summary.Value(tag=tag, simple_value=value) for tag, value in values.items()]
        self._add(Event(wall_time=time.time(), step=step, summary=Summary(value=points)))
        self._file.flush()

    def close(self) -> None:
        self._file.close()

    def _add(self, event: Event) -> None:
        self._records.write(event.SerializeToString())


def _append(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    if not rows:
        return
    new = not path.exists() or path.stat().st_size == 0
    with path.open("a", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0])
        if new:
            writer.writeheader()
        writer.writerows(rows)


def _forget_after(path: Path, step: int) -> None:
    """Drops the rows after a step, and a last row that was cut off."""
    if step == 0:
        path.unlink(missing_ok=True)
    if not path.exists():
        return
    with path.open(newline="", encoding="utf-8") as file:
        heading, *rows = list(csv.reader(file)) or [[]]
    kept = [row for row in rows if len(row) == len(heading) and int(row[0]) <= step]
    if kept == rows:
        return
    partial = path.with_name(f".{path.name}.new")
    with partial.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([heading, *kept])
    partial.replace(path)


def read_scores(folder: RunFolder, step: int) -> dict[str, list[Score]]:
    """The scores that a run's validation at `step` wrote, by the name of the set; empty if there are none."""
    scores: dict[str, list[Score]] = {}
    if folder.scores.exists():
        with folder.scores.open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                if int(row["step"]) == step:
                    scores.setdefault(row["set"], []).append(_score(row))
    return scores


def _score(row: Mapping[str, str]) -> Score:
    def figure(name: str) -> float | None:
        return float(row[name]) if row[name] else None

    return Score(
        structure=row["structure"],
        support=int(row["support"]),
        box=float(row["box"]),
        mask=figure("mask"),
        mask75=figure("mask75"),
        dice=figure("dice"),
        centre=float(row["centre"]),
    )
