"""What a worker remembers of a live session from frame to frame."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from fetalseg.instances import Instances
from fetalseg.sharpness import sharpness
from fetalseg.tracking import Tracker, TrackerOptions
from fetalseg.views import ViewFilter, view_of
from fetalseg_server.worker.jobs import Finding, Job

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

    def __init__(self) -> None:
        self._tracker: Tracker | None = None
        self._last_track_id = 0
        self._views = ViewFilter()
        self._scene = 0
        self._frame_shape = (0, 0)
        self._standing: tuple[Job, bytes, LiveFrame] | None = None

    def update(self, job: Job, instances: Instances, pixels: npt.NDArray[np.uint8], *, min_score: float) -> LiveFrame:
        """Takes the instances of the session's next frame.

        A frozen picture gets the answer that it got before, for as long as neither its pixels nor what is wanted of
        it change; while the operator goes back through a frozen cine, they do.

        Args:
            job: of the frame.
            instances: as post-processing found them: for a job that is to be tracked, down to the low scores that
                `TrackerOptions` wants.
            pixels: of the frame, uint8 [H, W] or [H, W, 3].
            min_score: 0..1, that the job means.
        """
        if not job.track:
            self._tracker = None
            findings = _findings(job, instances, pixels)
            return LiveFrame(instances, view_of(instances), findings, max(self._last_track_id, job.last_track_id))
        if not job.frozen:
            self._standing = None
            return self._follow(job, instances, pixels, min_score)
        wanted, digest = _wanted(job), hashlib.blake2b(np.ascontiguousarray(pixels).data, digest_size=16).digest()
        if self._standing is None or self._standing[:2] != (wanted, digest):
            self._standing = wanted, digest, self._follow(job, instances, pixels, min_score)
        return self._standing[2]

    def _follow(self, job: Job, instances: Instances, pixels: npt.NDArray[np.uint8], min_score: float) -> LiveFrame:
        options = TrackerOptions(min_score=min_score)
        if self._tracker is None:
            self._tracker = Tracker(last_id=max(self._last_track_id, job.last_track_id))
            self._views.reset()
        elif job.scene != self._scene or instances.frame_shape != self._frame_shape:
            self._tracker.reset()
            self._views.reset()
        self._scene, self._frame_shape = job.scene, instances.frame_shape
        self._tracker.options = options
        steady = self._tracker.update(instances, job.time_s)
        view = self._views.update(steady, job.time_s)
        self._last_track_id = self._tracker.last_id
        return LiveFrame(steady, view, _findings(job, steady, pixels), self._last_track_id)


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


def _wanted(job: Job) -> Job:
    """What is wanted of a frame, without what tells it from the next one."""
    return replace(job, id=0, offset=0, length=0, received_ns=0, deadline_ns=None, last_track_id=0)


def _findings(job: Job, instances: Instances, pixels: npt.NDArray[np.uint8]) -> tuple[Finding, ...]:
    if not job.examination:
        return ()
    return tuple(
        Finding(label, round(score, 4), round(sharp, 2))
        for label, score, sharp in zip(
            instances.labels.tolist(), instances.scores.tolist(), sharpness(pixels, instances.boxes), strict=True
        )
    )
