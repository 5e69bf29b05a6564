"""Figure 2 by hand-made frames."""

from __future__ import annotations

import numpy as np
import pytest

from evaluation.handmade_frames import HERE, detections, frame, set_of
from fetalseg.evaluation.scored_frames import ScoredFrame
from fetalseg.evaluation.view_confusion import NONE, ViewConfusion, ViewOutcomes, as_json, view_outcomes

HEAD, NECK, THORAX, ABDOMEN, EXTREMITY, SPINE = range(6)


def outcomes_of(frames: list[ScoredFrame]) -> ViewOutcomes:
    outcomes = view_outcomes(frames, set_of(frames))
    assert outcomes is not None
    return outcomes


def seen(view: str | None, *scores: tuple[str, float]) -> ScoredFrame:
    """A frame of a view with detections of these structures."""
    return frame(view, found=detections(*[(name, score, HERE) for name, score in scores]))


@pytest.mark.parametrize(
    ("scores", "told"),
    [
        ([], NONE),
        ([("cranium", 0.29)], NONE),
        ([("cranium", 0.3)], HEAD),
        ([("midline_falx", 0.9)], NONE),  # not essential
        ([("palate", 0.6), ("cranium", 0.5)], NECK),
        ([("spine", 0.99), ("abdominal_circumference", 0.3)], ABDOMEN),  # spine and limbs only without the others
        ([("spine", 0.6), ("hand", 0.5)], SPINE),
        ([("hand", 0.6), ("spine", 0.6)], EXTREMITY),  # ties: the order of the table
        ([("thoracic_circumference", 0.5), ("cranium", 0.5)], HEAD),
    ],
)
def test_the_view_is_told_by_the_best_essential_structure(scores: list[tuple[str, float]], told: int) -> None:
    assert outcomes_of([seen("head", *scores)]).told.tolist() == [told]


def test_an_essential_structure_may_be_found_where_another_view_is_told() -> None:
    # Ten frames worked out: told right 4 of 8 with a view; essential structure found in 6 of 8.
    frames = [
        seen("head", ("cranium", 0.9)),
        seen("head", ("cranium", 0.6), ("palate", 0.7)),  # told neck, cranium found all the same
        seen("neck", ("nasal_bone", 0.9)),
        seen("neck", ("midline_falx", 0.9)),  # none
        seen("spine", ("spine", 0.8), ("abdominal_circumference", 0.4)),  # told abdomen
        seen("spine", ("spine", 0.8)),
        seen("extremity", ("foot", 0.8)),
        seen("extremity"),  # none
        seen(None, ("cranium", 0.9)),
        seen("placenta", ("cranium", 0.9)),
    ]
    confusion = outcomes_of(frames).confusion()
    assert confusion.counts == (
        (1, 1, 0, 0, 0, 0, 0),
        (0, 1, 0, 0, 0, 0, 1),
        (0, 0, 0, 0, 0, 0, 0),
        (0, 0, 0, 0, 0, 0, 0),
        (0, 0, 0, 0, 1, 0, 1),
        (0, 0, 0, 1, 0, 1, 0),
    )
    assert (confusion.frames, confusion.accuracy, confusion.essential_found) == (8, 0.5, 0.75)
    assert confusion.essential == (2, 1, 0, 0, 1, 2)
    assert confusion.recalls == (0.5, 0.5, None, None, 0.5, 0.5)
    assert confusion.precisions == (1, 0.5, None, 0, 1, 1)


def test_the_published_share_follows_from_its_counts() -> None:
    # The source: frames by view 195, 199, 93, 170, 153, 147; 942 of 957 right, of the other 15 ten show nothing (six of
    # the spine, four limbs). Where the remaining five lie is not stated: here they are told neck instead of head.
    counts = [[0] * 7 for _ in range(6)]
    for place, (right, none) in enumerate([(190, 0), (199, 0), (93, 0), (170, 0), (149, 4), (141, 6)]):
        counts[place][place], counts[place][NONE] = right, none
    counts[HEAD][NECK] = 5
    confusion = ViewConfusion(tuple(map(tuple, counts)), (195, 199, 93, 170, 149, 141))
    assert [sum(row) for row in confusion.counts] == [195, 199, 93, 170, 153, 147]
    assert confusion.frames == 957
    assert f"{confusion.accuracy:.3f}" == "0.984"


def test_frames_count_as_often_as_their_weights_say() -> None:
    outcomes = outcomes_of([seen("head", ("cranium", 0.9)), seen("head"), seen(None)])
    confusion = outcomes.confusion(np.array([3, 1, 5]))
    assert (confusion.counts[HEAD], confusion.essential[HEAD]) == ((3, 0, 0, 0, 0, 0, 1), 3)
    assert confusion.accuracy == 0.75


def test_without_frames_of_a_view_there_are_no_shares() -> None:
    confusion = outcomes_of([seen(None)]).confusion()
    assert (confusion.frames, confusion.accuracy, confusion.essential_found) == (0, None, None)
    assert outcomes_of([]).confusion().frames == 0


def test_a_set_of_other_structures_tells_no_views() -> None:
    own = ("yolk_sac", "cranium")
    frames = [frame("head", structures=own)]
    assert view_outcomes(frames, set_of(frames, own)) is None


def test_the_matrix_as_json_goes_by_names() -> None:
    written = as_json(outcomes_of([seen("head"), seen("head", ("cranium", 0.9))]).confusion())
    assert written["confusion"]["head"] == {
        **{"head": 1, "neck": 0, "thorax": 0, "abdomen": 0, "extremity": 0, "spine": 0},
        "none": 1,
    }
    assert (written["accuracy"], written["recall"]["neck"], written["essential_frames"]["head"]) == (0.5, None, 1)
