"""The latencies of a run as a curve."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from fetalseg.errors import MissingExtraError

try:
    from matplotlib.figure import Figure
except ModuleNotFoundError:
    raise MissingExtraError("matplotlib", "data") from None

__all__ = ["plot_cdf"]


def plot_cdf(path: Path, latencies_ms: Sequence[float], *, budget_ms: float, title: str) -> None:
    """Draws the share of frames that were answered with a result by a latency.

    Args:
        path: of the picture; its suffix says which kind.
        latencies_ms: of every frame; infinite ones keep the curve below 100 %.
        budget_ms: marked.
        title: what was measured on what.
    """
    ordered = np.sort(np.asarray(latencies_ms))
    share = 100 * np.arange(1, len(ordered) + 1) / len(ordered)
    answered = np.isfinite(ordered)
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    axes.step(ordered[answered], share[answered], where="post", label="frames due, answered with a result")
    axes.axvline(budget_ms, color="0.5", linestyle="--", label=f"{budget_ms:g} ms")
    axes.set(xlabel="ms from due to answered", ylabel="% of frames", ylim=(0, 101), title=title)
    axes.set_xlim(left=0)
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
