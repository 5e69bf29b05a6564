"""Latencies as curves, stages as bars."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.speed.rows import Row
from benchmarks.speed.stages import STAGES
from benchmarks.speed.turns import Samples
from fetalseg.errors import MissingExtraError

try:
    from matplotlib.figure import Figure
except ModuleNotFoundError:
    raise MissingExtraError("matplotlib", "data") from None

__all__ = ["plot_latencies"]

_BELOW = (0.5, -0.15)  # of the axes: a legend among them would cover what is drawn


def plot_latencies(
    path: Path, rows: Sequence[Row], samples: Sequence[Samples], *, budget_ms: float | None, title: str
) -> None:
    """Draws the share of batches by latency of each configuration, and beside it the medians of its stages.

    Args:
        path: of the picture, in a folder that exists; its suffix says which kind.
        rows: one a configuration.
        samples: of the same.
        budget_ms: marked.
        title: what was measured on what.
    """
    figure = Figure(figsize=(12, 4.5), layout="constrained")
    curves, bars = figure.subplots(1, 2)
    names = [str(row.setup) for row in rows]
    for name, sample in zip(names, samples, strict=True):
        ordered = np.sort(sample.all("total"))
        curves.step(ordered, 100 * np.arange(1, len(ordered) + 1) / len(ordered), where="post", label=name)
    if budget_ms is not None:
        curves.axvline(budget_ms, color="0.5", linestyle="--", label=f"{budget_ms:g} ms")
    curves.set(xlabel="ms a batch, frame to polygons", ylabel="% of batches", ylim=(0, 101))
    curves.set_xlim(left=0)
    curves.grid(alpha=0.3)
    curves.legend(loc="upper center", bbox_to_anchor=_BELOW, fontsize="small")
    left = np.zeros(len(rows))
    for stage in STAGES[:-1]:
        medians = np.array([row.latency_ms[stage]["p50"] if stage in row.latency_ms else 0 for row in rows], float)
        if medians.any():
            bars.barh(range(len(rows)), medians, left=left, label=stage.replace("_", " "))
            left += medians
    bars.set_yticks(range(len(rows)), names)
    bars.invert_yaxis()
    bars.set(xlabel="ms a batch, median of each stage")
    bars.legend(loc="upper center", bbox_to_anchor=_BELOW, ncols=4, fontsize="small")
    figure.suptitle(title, fontsize="small")
    figure.savefig(path, dpi=120)
