"""A model on a cine: run once on every frame, then played at any latency."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from benchmarks.screen.played import Cine, Played
from benchmarks.steadiness import LiveTracker
from fetalseg.evaluation.on_screen import Latency, simulate
from fetalseg.evaluation.scored_frames import MAX_DETECTIONS, Detections, detections_of
from fetalseg.instances import Instances
from fetalseg.segmenter import Segmenter
from fetalseg.tracking import TrackerOptions

__all__ = ["MIN_SCORE", "Recording", "play", "record"]

MIN_SCORE = 0.05  # floor of what average precision ranks, as of `fetalseg eval`


@dataclass(frozen=True, eq=False)
class Recording:
    """What a model found in each frame of a cine.

    Attributes:
        found: all down to `MIN_SCORE`.
        doubtful: what the tracker wants to see.
        standing: whether a frame is the same picture as the one before.
        took_ms: preparation, network and post-processing together; nothing for a standing picture.
        tracking: for what is displayed.
    """

    found: list[Detections]
    doubtful: list[Instances]
    standing: list[bool]
    took_ms: list[float]
    tracking: TrackerOptions


def record(segmenter: Segmenter, cine: Cine, pictures: Iterable[npt.NDArray[np.uint8]]) -> Recording:
    """Runs a model over a cine.

    Args:
        segmenter: the model.
        cine: for its structures.
        pictures: of its frames; a wrapper may show progress.

    Raises:
        DataError: an image that can't be read, or no structure that model and cine share.
        EngineError: the runtime failed.
    """
    plain = segmenter.default_options
    tracking = TrackerOptions(min_score=plain.min_score)
    ranked = replace(plain, min_score=MIN_SCORE, single_structures=False, max_detections=MAX_DETECTIONS)
    doubtful = replace(plain, min_score=tracking.low_score, single_structures=False)
    recording = Recording([], [], [], [], tracking)
    before: npt.NDArray[np.uint8] | None = None
    for pixels in pictures:
        standing = before is not None and np.array_equal(before, pixels)
        before = pixels
        recording.standing.append(standing)
        if standing:
            recording.found.append(recording.found[-1])
            recording.doubtful.append(recording.doubtful[-1])
            continue
        start = time.perf_counter()
        image, geometry = segmenter.prepare(pixels)
        candidates = segmenter.infer(image[None])
        recording.doubtful.append(segmenter.finish(candidates, geometry, doubtful))
        recording.took_ms.append(1000 * (time.perf_counter() - start))
        found = segmenter.finish(candidates, geometry, ranked)
        recording.found.append(detections_of(found, cine.truth, masks=True))
    return recording


def play(
    cine: Cine, recording: Recording, latency: Latency, *, seed: int
) -> tuple[Played[Detections], Played[Instances]]:
    """Plays a cine to a model of that latency: what came back to be scored, and as it is displayed.

    The tracker sees the frames that are answered, with their moments of capture, as the server's does.
    """
    ticks = cine.ticks_us
    answers = simulate(ticks, latency, seed=seed)
    tracker = LiveTracker(recording.tracking)
    displayed: list[Instances] = []
    before = 0
    for answer in answers:
        standing = _stands(recording.standing, before, answer.frame)
        displayed.append(tracker.update(recording.doubtful[answer.frame], ticks[answer.frame] / 1e6, standing=standing))
        before = answer.frame
    return Played(answers, [recording.found[answer.frame] for answer in answers]), Played(answers, displayed)


def _stands(standing: Sequence[bool], before: int, frame: int) -> bool:
    """Whether the picture has stood still from one frame to another."""
    return before < frame and all(standing[before + 1 : frame + 1])
