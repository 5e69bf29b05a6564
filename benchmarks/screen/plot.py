"""Streaming average precision over latency."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fetalseg.errors import MissingExtraError

try:
    from matplotlib.figure import Figure
except ModuleNotFoundError:
    raise MissingExtraError("matplotlib", "data") from None

__all__ = ["Curve", "plot_curves"]


@dataclass(frozen=True)
class Curve:
    """One system.

    Attributes:
        name: for the legend.
        latencies_ms: ascending.
        ap50: at each of them, 0..1.
        measured: (latency in ms, AP50) as it runs here, or None.
    """

    name: str
    latencies_ms: Sequence[float]
    ap50: Sequence[float]
    measured: tuple[float, float] | None = None


def plot_curves(path: Path, curves: Sequence[Curve], *, period_ms: float, title: str) -> None:
    """Draws them.

    Args:
        path: of the picture; its suffix says which kind.
        curves: one for each system.
        period_ms: of a frame, marked.
        title: what was measured.
    """
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    for number, curve in enumerate(curves):
        colour = f"C{number}"
        axes.plot(curve.latencies_ms, curve.ap50, "o-", color=colour, markersize=4, label=curve.name)
        if curve.measured is not None:
            axes.plot(
                *curve.measured, "*", color=colour, markersize=14, clip_on=False, label=f"{curve.name}, as it runs here"
            )
    axes.axvline(period_ms, color="0.5", linestyle="--", label="time of a frame")
    axes.set(xlabel="latency, ms", ylabel="streaming mask AP50", title=title)
    axes.set_ylim(bottom=0)
    axes.set_xlim(left=0)
    axes.grid(alpha=0.3)
    axes.legend()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
