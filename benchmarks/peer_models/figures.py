"""What was measured of each network, and how it is printed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.live.table import markdown_table
from benchmarks.peer_models.peer import PeerFacts
from benchmarks.speed.intervals import Change, change
from benchmarks.speed.networks import RANDOM
from benchmarks.speed.percentiles import percentiles
from benchmarks.speed.turns import Samples

__all__ = ["PeerRow", "bar_line", "peer_row", "peer_table"]

_FIGURES = ("model", "frame_to_masks")


@dataclass(frozen=True)
class PeerRow:
    """The figures of one network.

    Attributes:
        facts: which.
        p50_ms: by figure, "model" and "frame_to_masks"; a network alone has the first only.
        p95_ms: likewise; None of too few frames.
        against_first: by figure, what it takes as a share of what the first one takes.
        instances: of a frame, on average.
        area: of their boxes together, in frames, on average.
    """

    facts: PeerFacts
    p50_ms: dict[str, float | None]
    p95_ms: dict[str, float | None]
    against_first: dict[str, Change]
    instances: float | None
    area: float | None


def peer_row(facts: PeerFacts, own: Samples, first: Samples) -> PeerRow:
    """The figures of a network beside the first."""
    names = [name for name in _FIGURES if name in own.names]
    common = [name for name in names if name in first.names]
    times = {name: percentiles(own.all(name)) for name in names}
    return PeerRow(
        facts=facts,
        p50_ms={name: found["p50"] for name, found in times.items()},
        p95_ms={name: found["p95"] for name, found in times.items()},
        against_first={name: change(first.medians(name), own.medians(name), paired=True) for name in common},
        instances=round(float(np.mean(own.all("instances"))), 2) if "instances" in own.names else None,
        area=round(float(np.mean(own.all("area"))), 3) if "area" in own.names else None,
    )


def peer_table(rows: Sequence[PeerRow]) -> str:
    """All networks as a Markdown table."""
    heads = ["network", "found, boxes", "model p50 / p95, ms", "against the first", "frame to masks, ms"]
    cells = []
    for i, row in enumerate(rows):
        made_up = " (made up)" if row.facts.weights == RANDOM else ""
        found = "" if row.instances is None else f"{row.instances:.1f}, {row.area:.2f} frames{made_up}"
        line = [f"{row.facts} ({row.facts.weights.partition(':')[0]})", found]
        for name in _FIGURES:
            both = [row.p50_ms[name], row.p95_ms[name]] if name in row.p50_ms else []
            times = " / ".join("-" if ms is None else f"{ms:.1f}" for ms in both)
            held = row.against_first.get(name)
            line += [times, _against(held) if held and i else ""]
        cells.append(line)
    return markdown_table([*heads, "against the first"], cells)


def _against(held: Change) -> str:
    interval = f"{held.low:.2f} to {held.high:.2f}" if held.verdict != "too few blocks" else "too few frames"
    return f"{held.ratio:.2f} ({interval})"


def bar_line(ours: PeerFacts, our_samples: Samples, yolo: PeerFacts, yolo_samples: Samples) -> str:
    """Whether our frame to masks takes no longer than another network alone."""
    held = change(yolo_samples.medians("model"), our_samples.medians("frame_to_masks"), paired=True)
    if held.verdict == "too few blocks":
        verdict = "too few blocks to tell"
    elif held.high <= 1:
        verdict = "HELD"
    else:
        verdict = "MISSED" if held.low > 1 else "no difference to be seen"
    return (
        f"bar: {ours} frame to masks {held.after:.1f} ms, {yolo} network alone {held.before:.1f} ms: "
        f"{held.ratio:.2f} ({held.low:.2f} to {held.high:.2f}): {verdict}"
    )
