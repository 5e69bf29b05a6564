"""From what became of every frame to the figures of a run."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.live.console import KEPT, RESULT, UNANSWERED, UNSENT, ConsoleLog, FrameLog
from benchmarks.live.table import markdown_table
from fetalseg_server.messages import TIMING_KEYS

__all__ = ["Budget", "Spread", "StreamFigures", "latencies_ms", "spread", "stream_figures"]

# Of `total`, what the network and the pictures cost; the rest is what serving adds.
_WORK = ("decode", "preprocess", "infer", "postprocess")
_NO_SKIP = (RESULT, KEPT, UNSENT, UNANSWERED)


@dataclass(frozen=True)
class Spread:
    """How a duration is distributed, ms."""

    p50: float
    p95: float
    p99: float
    max: float

    def cells(self) -> list[str]:
        """For a table."""
        return [f"{value:.2f}" for value in (self.p50, self.p95, self.p99, self.max)]


@dataclass(frozen=True)
class Budget:
    """When a run counts as passed, for the worst of its consoles.

    Attributes:
        latency_ms: from the moment at which a frame was due to its answer at the console.
        share: of all frames that were due, those that must get a result within it.
        skipped: of all frames that were due, those that may be skipped.
    """

    latency_ms: float = 40.0
    share: float = 0.99
    skipped: float = 0.002


@dataclass(frozen=True)
class StreamFigures:
    """The figures of a run.

    Attributes:
        consoles: sessions.
        due: frames that were to be sent after the warm-up.
        results: of them, answered with a result.
        in_time: likewise, within the budget's latency.
        worst_in_time: share of the worst console, 0..1.
        worst_skipped: share skipped of the worst console, 0..1.
        skipped: answers by reason.
        kept: frames that the full window kept at the source.
        unsent: frames after the end of their connection.
        unanswered: frames sent and never answered, the warm-up included; the protocol allows none.
        faults: what the server did against the protocol.
        durations: by name; of results only.
        rungs: results by rung of the quality ladder.
    """

    consoles: int
    due: int
    results: int
    in_time: int
    worst_in_time: float
    worst_skipped: float
    skipped: dict[str, int]
    kept: int
    unsent: int
    unanswered: int
    faults: list[str]
    durations: dict[str, Spread]
    rungs: dict[int, int]

    def holds(self, budget: Budget) -> bool:
        """Whether every console stayed within the budget and nothing is owed."""
        return not self.faults and not self.unanswered and self.in_budget(budget)

    def in_budget(self, budget: Budget) -> bool:
        """Whether every console stayed within the budget."""
        return self.worst_in_time >= budget.share and self.worst_skipped <= budget.skipped

    def table(self) -> str:
        """Durations, one a row."""
        rows = [[name, *values.cells()] for name, values in self.durations.items()]
        return markdown_table(["ms", "p50", "p95", "p99", "max"], rows)


def stream_figures(logs: Sequence[ConsoleLog], *, measured_from: float, budget: Budget) -> StreamFigures:
    """Adds up what consoles noted.

    Args:
        logs: one for each console.
        measured_from: frames due earlier are warm-up.
        budget: gives the latency that counts as in time.

    Raises:
        ValueError: no frame is left after the warm-up.
    """
    by_console = [[frame for frame in log.frames if frame.due >= measured_from] for log in logs]
    frames = [frame for console in by_console for frame in console]
    if not all(by_console) or not frames:
        raise ValueError("the warm-up is as long as the run; no frame is left to measure")
    outcomes = Counter(frame.outcome for frame in frames)
    in_time = [sum(_in_time(frame, budget.latency_ms) for frame in console) for console in by_console]
    skips = [sum(frame.outcome not in _NO_SKIP for frame in console) for console in by_console]
    results = [frame for frame in frames if frame.outcome == RESULT]
    return StreamFigures(
        consoles=len(logs),
        due=len(frames),
        results=len(results),
        in_time=sum(in_time),
        worst_in_time=min(n / len(console) for n, console in zip(in_time, by_console, strict=True)),
        worst_skipped=max(n / len(console) for n, console in zip(skips, by_console, strict=True)),
        skipped={reason: n for reason, n in sorted(outcomes.items()) if reason not in _NO_SKIP},
        kept=outcomes[KEPT],
        unsent=outcomes[UNSENT],
        unanswered=sum(frame.outcome == UNANSWERED for log in logs for frame in log.frames),
        faults=[f"console {number}: {fault}" for number, log in enumerate(logs, 1) for fault in log.faults],
        durations=_durations(results),
        rungs=dict(sorted(Counter(frame.rung for frame in results).items())),
    )


def latencies_ms(logs: Sequence[ConsoleLog], *, measured_from: float) -> list[float]:
    """From due to answered, of every frame after the warm-up; infinite where no result came."""
    return [
        1000 * (frame.answered - frame.due) if frame.outcome == RESULT else math.inf
        for log in logs
        for frame in log.frames
        if frame.due >= measured_from
    ]


def spread(values: Iterable[float]) -> Spread:
    """The spread of some milliseconds.

    Raises:
        ValueError: of none.
    """
    array = np.fromiter(values, float)
    if not len(array):
        raise ValueError("expected at least one value")
    p50, p95, p99 = (float(value) for value in np.percentile(array, (50, 95, 99)))
    return Spread(*(round(value, 3) for value in (p50, p95, p99, float(array.max()))))


def _in_time(frame: FrameLog, latency_ms: float) -> bool:
    return frame.outcome == RESULT and 1000 * (frame.answered - frame.due) <= latency_ms


def _durations(results: Sequence[FrameLog]) -> dict[str, Spread]:
    if not results:
        return {}
    timing = np.array([frame.timing_ms for frame in results])
    columns = {key: timing[:, column] for column, key in enumerate(TIMING_KEYS)}
    client = np.array([(frame.due, frame.sent, frame.answered, frame.server_ms / 1000) for frame in results]) * 1000
    due, sent, answered, server = client.T
    durations = {
        "due to answered": answered - due,
        "  due to sent: the console is late": sent - due,
        "  sent to answered": answered - sent,
        "    both ways, outside the server": answered - sent - server,
        "    server: last byte to answer": columns["total"],
        **{f"      {key}": columns[key] for key in TIMING_KEYS if key != "total"},
        "      total without " + ", ".join(_WORK): columns["total"] - sum(columns[key] for key in _WORK),
    }
    return {name: spread(values) for name, values in durations.items()}
