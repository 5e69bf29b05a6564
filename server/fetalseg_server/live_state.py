"""What a worker remembers of a live session from frame to frame."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fetalseg.instances import Instances
from fetalseg.sharpness import sharpness
from fetalseg.views import view_of
from fetalseg_server.jobs import Finding, Job

__all__ = ["MAX_STATES", "LiveFrame", "LiveState", "LiveStates"]

# The server tells when a session ends; the bound is for the case that it can't. A state is a few hundred kilobytes.
MAX_STATES = 256


@dataclass(frozen=True, eq=False)
class LiveFrame:
    """A frame as its session sees it.

    Attributes:
        instances: to be shown.
        view: (name, score), or None.
        findings: one for each instance, where the job belongs to an examination.
        last_track_id: highest identity of the session so far.
    """

    instances: Instances
    view: tuple[str, float] | None
    findings: tuple[Finding, ...]
    last_track_id: int


class LiveState:
    """One session, or one image that belongs to none."""

    def update(self, job: Job, instances: Instances, pixels: npt.NDArray[np.uint8]) -> LiveFrame:
        """Takes the instances of the session's next frame.

        Args:
            job: of the frame.
            instances: as post-processing found them.
            pixels: of the frame, uint8 [H, W] or [H, W, 3].
        """
        findings = _findings(instances, pixels) if job.examination else ()
        return LiveFrame(instances, view_of(instances), findings, job.last_track_id)


class LiveStates:
    """The sessions of one worker."""

    def __init__(self) -> None:
        self._states: OrderedDict[str, LiveState] = OrderedDict()

    def __len__(self) -> int:
        return len(self._states)

    def of(self, job: Job) -> LiveState:
        """The state of a job's session; a new one for a session not known and for an image of no session."""
        if not job.session:
            return LiveState()
        state = self._states.setdefault(job.session, LiveState())
        self._states.move_to_end(job.session)
        if len(self._states) > MAX_STATES:
            self._states.popitem(last=False)
        return state

    def forget(self, session: str) -> None:
        """A session has ended."""
        self._states.pop(session, None)


def _findings(instances: Instances, pixels: npt.NDArray[np.uint8]) -> tuple[Finding, ...]:
    return tuple(
        Finding(label, round(score, 4), round(sharp, 2))
        for label, score, sharp in zip(
            instances.labels.tolist(), instances.scores.tolist(), sharpness(pixels, instances.boxes), strict=True
        )
    )
