"""What a worker remembers of a session, and what it doesn't."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

from fetalseg.anatomy import structure
from fetalseg.instances import Instances
from fetalseg_server.worker.jobs import Job
from fetalseg_server.worker.live_state import MAX_STATES, LiveFrame, LiveState, LiveStates

FRAME = (120, 160)
PIXELS = np.full(FRAME, 90, np.uint8)
CRANIUM = structure("cranium").label
JOB = Job(
    id=1,
    codec=1,
    width=0,
    height=0,
    offset=0,
    length=9,
    received_ns=10**12,
    deadline_ns=None,
    masks="polygon",
    min_score=0.3,
    nms=None,
    session="a",
    track=True,
)


def cranium(score: float = 0.9, x: int = 40, frame_shape: tuple[int, int] = FRAME) -> Instances:
    box = np.array([[x, 20, x + 80, 100]])
    return Instances(
        labels=np.array([CRANIUM]),
        scores=np.array([score], np.float32),
        boxes=box.astype(np.float32),
        crops=[np.ones((80, 80), np.bool_)],
        crop_boxes=box,
        frame_shape=frame_shape,
    )


def later(job: Job, frames: int = 1) -> Job:
    return replace(job, id=job.id + frames, received_ns=job.received_ns + frames * 40_000_000)


def update(state: LiveState, job: Job, instances: Instances, pixels: npt.NDArray[np.uint8] = PIXELS) -> LiveFrame:
    return state.update(job, instances, pixels, min_score=0.3)


def ids(frame: LiveFrame) -> list[int] | None:
    return None if frame.instances.track_ids is None else [int(i) for i in frame.instances.track_ids]


def test_a_tracked_session_has_identities_and_an_untracked_one_gets_what_was_found() -> None:
    state = LiveState()
    assert ids(update(state, JOB, cranium())) == [1]
    assert ids(update(state, later(JOB), cranium(x=42))) == [1]
    found = cranium(x=44)
    plain = update(state, replace(later(JOB, 2), track=False), found)
    assert plain.instances is found
    assert plain.view is not None
    assert plain.view[0] == "head"
    assert plain.last_track_id == 1


def test_identities_are_never_used_twice_when_tracking_is_switched_off_and_on() -> None:
    state = LiveState()
    update(state, JOB, cranium())
    update(state, replace(later(JOB), track=False), cranium())
    assert ids(update(state, later(JOB, 2), cranium())) == [2]


def test_a_worker_that_knows_nothing_of_a_session_goes_on_above_the_identities_told() -> None:
    frame = update(LiveState(), replace(JOB, last_track_id=17), cranium())
    assert (ids(frame), frame.last_track_id) == ([18], 18)


@pytest.mark.parametrize("change", ["scene", "size"])
def test_another_scene_and_another_size_begin_new_identities(change: str) -> None:
    state = LiveState()
    update(state, JOB, cranium())
    job, shape = later(JOB), FRAME
    if change == "scene":
        job = replace(job, scene=1)
    else:
        shape = (120, 200)
    assert ids(update(state, job, cranium(frame_shape=shape), np.zeros(shape, np.uint8))) == [2]


def test_a_frozen_picture_gets_the_same_answer_until_it_changes() -> None:
    state = LiveState()
    for frame in range(4):
        update(state, later(JOB, frame), cranium(x=40 + 3 * frame))
    frozen = replace(later(JOB, 4), frozen=True)
    first = update(state, frozen, cranium(x=52))
    # The network may waver on equal pixels, the answer doesn't.
    assert update(state, later(frozen), cranium(x=53)) is first
    assert update(state, later(frozen, 2), cranium(x=51)) is first
    other = update(state, later(frozen, 3), cranium(x=55), PIXELS + np.uint8(1))
    assert other is not first
    assert update(state, replace(later(frozen, 4), masks="rle"), cranium(x=55), PIXELS + np.uint8(1)) is not other


def test_a_view_does_not_change_with_one_frame() -> None:
    state = LiveState()
    heart = replace(cranium(), labels=np.array([structure("thoracic_circumference").label]))
    for frame in range(10):
        update(state, later(JOB, frame), cranium())
    shown = update(state, later(JOB, 10), heart)
    assert shown.view is not None
    assert shown.view[0] == "head"


def test_findings_are_told_for_examinations_only() -> None:
    edge = np.zeros(FRAME, np.uint8)
    edge[:, 80:] = 200
    assert update(LiveState(), JOB, cranium(), edge).findings == ()
    (finding,) = update(LiveState(), replace(JOB, examination=True), cranium(), edge).findings
    assert (finding.label, round(finding.score, 3)) == (CRANIUM, 0.9)
    assert finding.sharpness > 10


def test_states_are_kept_by_session_and_forgotten() -> None:
    states = LiveStates()
    state = states.of(JOB)
    assert states.of(later(JOB)) is state
    assert states.of(replace(JOB, session="b")) is not state
    states.forget("a")
    assert states.of(JOB) is not state
    states.forget("never seen")


def test_an_image_of_no_session_leaves_nothing_behind() -> None:
    states = LiveStates()
    states.of(replace(JOB, session=""))
    assert len(states) == 0


def test_states_are_bounded_and_the_one_not_used_for_longest_goes_first() -> None:
    states = LiveStates()
    first = states.of(replace(JOB, session="0"))
    second = states.of(replace(JOB, session="1"))
    for number in range(2, MAX_STATES):
        states.of(replace(JOB, session=str(number)))
    assert states.of(replace(JOB, session="0")) is first
    states.of(replace(JOB, session="one more"))
    assert len(states) == MAX_STATES
    assert states.of(replace(JOB, session="0")) is first
    assert states.of(replace(JOB, session="1")) is not second
