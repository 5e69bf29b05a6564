"""What was measured of one configuration, and how it is printed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.live.table import markdown_table
from benchmarks.speed.intervals import change
from benchmarks.speed.networks import RANDOM
from benchmarks.speed.percentiles import percentiles
from benchmarks.speed.stages import STAGES
from benchmarks.speed.turns import Samples

__all__ = ["Row", "Setup", "latencies", "print_row", "print_summary", "within"]


@dataclass(frozen=True)
class Setup:
    """One configuration.

    Attributes:
        model: name.
        version: of the weights.
        weights: what they are worth, see `benchmarks.speed.networks`.
        engine: word.
        runtime: its name and version.
        precision: what is really computed in.
        device: where, in words.
        threads: of one inference on the processor; a GPU doesn't use them.
        input: [w, h] of the network, px.
        batch: frames a batch.
    """

    model: str
    version: str
    weights: str
    engine: str
    runtime: str
    precision: str
    device: str
    threads: int
    input: tuple[int, int]
    batch: int

    @property
    def on_gpu(self) -> bool:
        """Whether the network runs on a GPU."""
        return not self.device.startswith("CPU")

    def __str__(self) -> str:
        size = f"{self.input[0]}x{self.input[1]}"
        return f"{self.model} {size}, {self.engine} {self.precision}, batch {self.batch}"


@dataclass(frozen=True)
class Row:
    """The figures of one configuration.

    Attributes:
        setup: what was measured.
        fps: frames a second, one batch after another.
        pipelined_fps: with all stages at work at the same time; None where not asked for.
        latency_ms: of a batch, by stage: p50, p95, p99 and max; None for a percentile that takes more batches.
        block_medians_ms: of a batch, by stage, the median of each block of measurements, for a comparison.
        batches: measured.
        instances: found in a frame, on average; an empty frame costs less than a full one.
        gpu_memory_mb: that the device holds more than before the model was loaded, 2**20 bytes; the first model's has
            CUDA itself in it. None where it can't be told.
        watts: of the GPU, or of the processor where no GPU is used; None where they can't be told.
    """

    setup: Setup
    fps: float
    pipelined_fps: float | None
    latency_ms: dict[str, dict[str, float | None]]
    block_medians_ms: dict[str, list[float]]
    batches: int
    instances: float
    gpu_memory_mb: float | None
    watts: float | None


def latencies(samples: Samples) -> dict[str, dict[str, float | None]]:
    """p50, p95, p99 and max of each stage, ms."""
    spans = {stage: samples.all(stage) for stage in STAGES if stage in samples.names}
    return {stage: percentiles(values) | {"max": round(max(values), 3)} for stage, values in spans.items()}


def within(row: Row, budget_ms: float) -> bool:
    """Whether 95 of 100 batches stay within the budget, or all of them where there are too few to tell."""
    return _held_against_budget(row)[1] <= budget_ms


def _held_against_budget(row: Row) -> tuple[str, float]:
    """Which figure, and its ms."""
    total = row.latency_ms["total"]
    p95, largest = total["p95"], total["max"]
    if p95 is not None:
        return "p95", p95
    assert largest is not None
    return f"largest of {row.batches} (too few for a p95),", largest


def print_row(row: Row, budget_ms: float | None) -> None:
    """One configuration as a small table, with pass or fail against the budget."""
    setup = row.setup
    found = f"{row.instances:.1f} instances a frame" + (" (made up)" if setup.weights == RANDOM else "")
    print(f"\n{setup}: {row.fps:.1f} frames/s, {found}")
    print(f"{setup.runtime} on {setup.device}; weights: {setup.weights}")
    print(f"{'ms a batch':14}" + "".join(f"{name:>9}" for name in ("p50", "p95", "p99", "max")))
    for stage, values in row.latency_ms.items():
        print(f"{stage.replace('_', ' '):14}" + "".join(f"{_cell(value):>9}" for value in values.values()))
    if None in row.latency_ms["total"].values():
        print(f"-: too few batches ({row.batches})")
    if row.pipelined_fps is not None:
        gain = row.pipelined_fps / row.fps
        print(f"pipelined: {row.pipelined_fps:.1f} frames/s, {gain:.2f} times one after another")
    if row.gpu_memory_mb is not None:
        print(f"GPU memory: {row.gpu_memory_mb:.0f} MB more than before this model, the first with CUDA itself")
    if row.watts is not None:
        whose = "GPU" if setup.on_gpu else "processor"
        print(f"power of the {whose}: {row.watts:.0f} W, {row.watts / row.fps:.2f} J a frame")
    if budget_ms is not None:
        figure, value = _held_against_budget(row)
        verdict = "pass" if within(row, budget_ms) else "FAIL"
        print(f"{figure} {value:.2f} ms against a budget of {budget_ms:g} ms: {verdict}")


def print_summary(rows: Sequence[Row]) -> None:
    """All configurations beside the first, where there are several."""
    first = rows[0]
    cells = []
    for row in rows:
        before, after = (_a_frame(one) for one in (first, row))
        held = change(before, after, paired=len(before) == len(after))
        against = f"{held.ratio:.2f} ({held.low:.2f} to {held.high:.2f}): {held.verdict}" if row is not first else ""
        total = row.latency_ms["total"]
        cells.append([str(row.setup), f"{row.fps:.1f}", _cell(total["p50"]), _cell(total["p95"]), against])
    heads = ["configuration", "frames/s", "total p50, ms", "p95", "time of a frame against the first (95 % interval)"]
    print("\n" + markdown_table(heads, cells))


def _cell(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _a_frame(row: Row) -> list[float]:
    return [value / row.setup.batch for value in row.block_medians_ms["total"]]
