"""Streaming average precision: that of what is on the screen at each tick, by box and by mask."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from fetalseg.data.records import CocoSet
from fetalseg.evaluation.matches import match_all
from fetalseg.evaluation.precision import AveragePrecision, average_precision, mean_precision
from fetalseg.evaluation.scored_frames import ScoredFrame

__all__ = ["StreamingPrecision", "streaming_precision"]


@dataclass(frozen=True)
class StreamingPrecision:
    """Average precision over the ticks of one or several cines.

    Attributes:
        box: mean over the structures with ground truth.
        mask: the same by mask; None in a set without masks.
        structures: by name, (by box, by mask); those with ground truth.
    """

    box: AveragePrecision
    mask: AveragePrecision | None
    structures: dict[str, tuple[AveragePrecision, AveragePrecision | None]]

    def as_json(self) -> dict[str, Any]:
        """All figures by name, "box" and "mask" of all and of each structure."""
        return {
            "box": asdict(self.box),
            "mask": None if self.mask is None else asdict(self.mask),
            "structures": {
                name: {"box": asdict(box), "mask": None if mask is None else asdict(mask)}
                for name, (box, mask) in self.structures.items()
            },
        }


def streaming_precision(frames: Sequence[ScoredFrame], truth: CocoSet) -> StreamingPrecision:
    """Scores what `fetalseg.evaluation.on_screen.screened` gives, or any other frames of the set.

    Raises:
        DataError: a mask of the ground truth covers no pixel.
    """
    box = {label: average_precision(matches) for label, matches in match_all(frames, truth, "bbox").items()}
    mask = None
    if truth.has_masks:
        mask = {label: average_precision(matches) for label, matches in match_all(frames, truth, "segm").items()}
    return StreamingPrecision(
        box=mean_precision(box.values()),
        mask=None if mask is None else mean_precision(mask.values()),
        structures={
            truth.structures[label]: (figures, None if mask is None else mask[label])
            for label, figures in box.items()
            if figures.n
        },
    )
