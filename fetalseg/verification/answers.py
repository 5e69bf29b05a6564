"""What one engine answers to a frame: the instances that a user sees, and all that they were chosen from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from fetalseg.instances import Instances
from fetalseg.postprocess.options import PostprocessOptions
from fetalseg.segmenter import Segmenter

__all__ = ["FrameAnswer", "answers_of", "comparable"]

# Half the lowest score that an evaluation looks at: what one engine puts there, another must at least have considered.
FLOOR = 0.025

# Kinds whose scores depend on what else was found: differences would tell of suppression, not of the network.
_DECAYING = ("soft_linear", "soft_gaussian", "matrix")


@dataclass(frozen=True, eq=False)
class FrameAnswer:
    """One frame.

    Attributes:
        shown: instances as a user sees them.
        considered: each pair of candidate and structure with a score from `FLOOR` on, as an instance, nothing
            suppressed; masks are made when they are asked for. None where only the answer is known: over the wire.
    """

    shown: Instances
    considered: Instances | None


def comparable(options: PostprocessOptions) -> PostprocessOptions:
    """These options with masks, and without a decay of scores."""
    return replace(options, masks=True, nms="greedy" if options.nms in _DECAYING else options.nms)


def answers_of(
    segmenter: Segmenter, frames: Sequence[npt.NDArray[np.uint8]], options: PostprocessOptions
) -> list[FrameAnswer]:
    """Runs one engine over all frames, one by one.

    Raises:
        EngineError: the runtime failed.
        ValueError, FrameError: see `Segmenter.prepare`.
    """
    everything = replace(
        options,
        nms="greedy",
        iou_threshold=1.0,  # no overlap is above it
        min_score=FLOOR,
        structure_thresholds=False,
        single_structures=False,
        top_k=segmenter.facts.candidates,
        max_detections=segmenter.facts.candidates * len(segmenter.structures),
    )
    found = []
    for frame in frames:
        image, geometry = segmenter.prepare(frame)
        candidates = segmenter.infer(image[None])
        shown = segmenter.finish(candidates, geometry, options)
        considered = segmenter.finish(candidates, geometry, everything, lazy_masks=True)
        found.append(FrameAnswer(shown, considered))
    return found
