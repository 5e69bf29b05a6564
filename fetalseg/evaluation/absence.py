"""Structures that aren't there and must not be drawn: a nasal bone, a stomach, a segment of a limb.

A structure is absent in a frame that annotates it wherever it is seen, and has no annotation of it; a crowd says that
it may be there. Every detection from score 0.3 on is false in such a frame, however it lies.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt

from fetalseg.anatomy import VIEWS
from fetalseg.data.records import CocoSet
from fetalseg.evaluation.best_detection import found_per_frame
from fetalseg.evaluation.bootstrap import Draws, Resampled, resampled_ratios
from fetalseg.evaluation.frame_weights import FrameWeights, frame_weights
from fetalseg.evaluation.scored_frames import ScoredFrame

__all__ = ["AbsenceCounts", "AbsenceFigures", "AbsenceOutcomes", "absence_outcomes", "as_json"]


@dataclass(frozen=True)
class AbsenceCounts:
    """Frames without a structure; a share of nothing is None.

    Attributes:
        frames: how many.
        clear: those of them in which it isn't found either.
        detections: false ones in all of them.
    """

    frames: int
    clear: int
    detections: int

    @property
    def specificity(self) -> float | None:
        """Share of the frames without the structure in which nothing is drawn."""
        return self.clear / self.frames if self.frames else None

    @property
    def per_100(self) -> float | None:
        """False detections per 100 frames without the structure."""
        return 100 * self.detections / self.frames if self.frames else None


@dataclass(frozen=True)
class AbsenceFigures:
    """One structure.

    Attributes:
        structure: name.
        all_views: in all frames.
        own_view: in the frames of the view that it is tested in, where it is looked for; None for one of no view.
    """

    structure: str
    all_views: AbsenceCounts
    own_view: AbsenceCounts | None


@dataclass(frozen=True, eq=False)
class AbsenceOutcomes:
    """One structure in F frames; counted as often as wanted.

    Attributes:
        structure: name.
        absent: bool [F].
        in_own_view: bool [F], frames of the view that the structure is tested in; None for one of no view.
        detections: int64 [F], from score 0.3 on.
    """

    structure: str
    absent: npt.NDArray[np.bool_]
    in_own_view: npt.NDArray[np.bool_] | None
    detections: npt.NDArray[np.int64]

    def figures(self, weights: FrameWeights | None = None) -> AbsenceFigures:
        """The counts with each frame as often as its weight says, [F].

        Raises:
            ValueError: as of `frame_weights`.
        """
        times = frame_weights(weights, len(self.absent)) * self.absent
        own = None if self.in_own_view is None else self._counts(times * self.in_own_view)
        return AbsenceFigures(self.structure, self._counts(times), own)

    def resampled(self, draws: Draws) -> dict[str, dict[str, Resampled]]:
        """ "specificity" and "per_100" in every resample, by "all_views" and, for a structure of a view, "own_view".

        Args:
            draws: over the same frames.

        Raises:
            ValueError: draws over another number of frames.
        """
        parts = {"all_views": self.absent}
        if self.in_own_view is not None:
            parts["own_view"] = self.absent & self.in_own_view
        return {
            part: dict(
                zip(
                    ("specificity", "per_100"),
                    resampled_ratios(
                        [where & (self.detections == 0), 100 * where * self.detections], [where] * 2, draws
                    ),
                    strict=True,
                )
            )
            for part, where in parts.items()
        }

    def _counts(self, times: npt.NDArray[np.int64]) -> AbsenceCounts:
        return AbsenceCounts(
            frames=int(times.sum()),
            clear=int(times[self.detections == 0].sum()),
            detections=int(times @ self.detections),
        )


def absence_outcomes(frames: Sequence[ScoredFrame], truth: CocoSet) -> tuple[AbsenceOutcomes, ...]:
    """Looks at each frame once for each structure of the set, in the set's order."""
    view_of_structure = {name: view.name for view in VIEWS for name in view.tested}
    return tuple(
        AbsenceOutcomes(
            structure=name,
            absent=np.array([_is_absent(frame, label) for frame in frames], np.bool_),
            in_own_view=(
                np.array([frame.image.view == view_of_structure[name] for frame in frames], np.bool_)
                if name in view_of_structure
                else None
            ),
            detections=found_per_frame(frames, label),
        )
        for label, name in enumerate(truth.structures)
    )


def as_json(figures: AbsenceFigures) -> dict[str, dict[str, int | float | None] | None]:
    """Counts and shares by name."""
    return {
        "all_views": _counts_json(figures.all_views),
        "own_view": None if figures.own_view is None else _counts_json(figures.own_view),
    }


def _counts_json(counts: AbsenceCounts) -> dict[str, int | float | None]:
    return {**asdict(counts), "specificity": counts.specificity, "per_100": counts.per_100}


def _is_absent(frame: ScoredFrame, label: int) -> bool:
    return label in frame.image.known and all(a.label != label for a in frame.image.annotations)
