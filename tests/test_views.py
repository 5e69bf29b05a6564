"""The rule for the view of a frame, and the view of a live picture, on instances made by hand."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from fetalseg.anatomy import structure
from fetalseg.instances import Instances
from fetalseg.views import ViewFilter, view_of


def found(*pairs: tuple[str, float]) -> Instances:
    n = len(pairs)
    return Instances(
        labels=np.array([structure(name).label for name, _ in pairs], np.int64),
        scores=np.array([score for _, score in pairs], np.float32),
        boxes=np.zeros((n, 4), np.float32),
        crops=[np.zeros((0, 0), np.bool_)] * n,
        crop_boxes=np.zeros((n, 4), np.int64),
        frame_shape=(480, 640),
    )


@pytest.mark.parametrize(
    ("pairs", "expected"),
    [
        ([], None),
        ([("cranium", 0.9)], "head"),
        ([("nasal_bone", 0.4)], "neck"),
        ([("palate", 0.4)], "neck"),
        ([("nuchal_translucency", 0.4)], "neck"),
        ([("thoracic_circumference", 0.5)], "thorax"),
        ([("abdominal_circumference", 0.5)], "abdomen"),
        ([("upper_arm", 0.5)], "extremity"),
        ([("foot", 0.5)], "extremity"),
        ([("spine", 0.5)], "spine"),
    ],
)
def test_an_essential_structure_makes_its_view(pairs: list[tuple[str, float]], expected: str | None) -> None:
    view = view_of(found(*pairs))
    assert (view and view[0]) == expected


@pytest.mark.parametrize("name", ["midline_falx", "choroid_plexus", "heart", "stomach"])
def test_other_structures_make_no_view(name: str) -> None:
    assert view_of(found((name, 0.99))) is None


def test_the_higher_score_decides_among_the_first_four() -> None:
    assert view_of(found(("cranium", 0.6), ("thoracic_circumference", 0.8))) == ("thorax", pytest.approx(0.8))


def test_limbs_and_spine_yield_to_any_of_the_first_four() -> None:
    assert view_of(found(("spine", 0.99), ("hand", 0.98), ("palate", 0.31))) == ("neck", pytest.approx(0.31))


def test_spine_and_limbs_are_compared_with_each_other() -> None:
    assert view_of(found(("spine", 0.7), ("hand", 0.6))) == ("spine", pytest.approx(0.7))
    assert view_of(found(("spine", 0.6), ("calf", 0.7))) == ("extremity", pytest.approx(0.7))


def test_below_0_3_nothing_counts_and_0_3_counts() -> None:
    assert view_of(found(("cranium", 0.2999))) is None
    assert view_of(found(("cranium", 0.3))) == ("head", pytest.approx(0.3))
    assert view_of(found(("cranium", 0.29), ("spine", 0.3))) == ("spine", pytest.approx(0.3))


def test_ties_go_to_the_view_that_comes_first() -> None:
    assert view_of(found(("abdominal_circumference", 0.8), ("thoracic_circumference", 0.8))) == (
        "thorax",
        pytest.approx(0.8),
    )
    assert view_of(found(("palate", 0.5), ("cranium", 0.5))) == ("head", pytest.approx(0.5))
    assert view_of(found(("spine", 0.5), ("thigh", 0.5))) == ("extremity", pytest.approx(0.5))


def test_the_best_of_several_instances_counts() -> None:
    assert view_of(found(("hand", 0.4), ("hand", 0.8), ("spine", 0.7))) == ("extremity", pytest.approx(0.8))


def test_a_model_of_other_structures_tells_no_view_even_where_it_has_an_essential_one() -> None:
    instances = found(("cranium", 0.9))
    assert view_of(replace(instances, structures=("cranium", "yolk sac"))) is None


FRAME_S = 0.04  # 25 FPS
HEAD, THORAX, SPINE, NOTHING = (
    found(("cranium", 0.8)),
    found(("thoracic_circumference", 0.8)),
    found(("spine", 0.8)),
    found(),
)


def shown(frames: Sequence[Instances], frame_s: float = FRAME_S) -> list[str | None]:
    """The view after each frame of a picture that begins with them."""
    view_filter = ViewFilter()
    views = [view_filter.update(instances, number * frame_s) for number, instances in enumerate(frames)]
    return [None if view is None else view[0] for view in views]


def test_the_first_frame_is_believed_at_once() -> None:
    assert shown([HEAD]) == ["head"]
    assert shown([NOTHING]) == [None]


def test_two_other_frames_change_nothing_and_the_third_does() -> None:
    # A frame of 40 ms has the weight 1 - exp(-1/2) = 0.393. Shares of head: 0.607, 0.368, 0.223; of thorax: 0.393,
    # 0.632, 0.777. The lead of 0.5 comes with the third.
    assert shown([HEAD, *[THORAX] * 3]) == ["head", "head", "head", "thorax"]
    assert shown([HEAD, *[NOTHING] * 3]) == ["head", "head", "head", None]
    assert shown([NOTHING, *[HEAD] * 3]) == [None, None, None, "head"]


def test_a_view_that_alternates_with_another_does_not_flicker() -> None:
    assert set(shown([HEAD, THORAX] * 50)) == {"head"}
    assert set(shown([HEAD, NOTHING] * 50)) == {"head"}
    # Two of three frames are a majority; the view changes once and stays: head's shares are 1, 0.607, 0.368, 0.616,
    # 0.374, 0.227, and with the last of these thorax leads by 0.546.
    assert shown([HEAD, THORAX, THORAX] * 50) == ["head"] * 5 + ["thorax"] * 145


def test_a_frame_without_the_cranium_does_not_make_the_spine_beside_it_the_view() -> None:
    both = found(("cranium", 0.5), ("spine", 0.9))
    assert set(shown([both, both, SPINE, both, SPINE, SPINE, both])) == {"head"}


def test_a_view_that_is_gone_is_not_kept_by_others_that_share_the_frames() -> None:
    # No other view leads by 0.5, but head's share is exp(-5/2) = 0.082 after five frames, and that is below 0.1.
    views = shown([HEAD, *[THORAX, SPINE, NOTHING] * 10])
    assert views[:5] == ["head"] * 5
    assert set(views[5:]) == {None}


def test_it_follows_the_time_and_not_the_number_of_frames() -> None:
    # At 12.5 FPS a frame weighs 1 - exp(-1) = 0.632: the second leads by 0.73. At 100 FPS the shares are equal after
    # 55 ms and the lead is 0.5 after 80 ms * ln 4 = 111 ms, with the twelfth frame.
    assert shown([HEAD, *[THORAX] * 2], 0.08) == ["head", "head", "thorax"]
    assert shown([HEAD, *[THORAX] * 12], 0.01) == ["head"] * 12 + ["thorax"]


def test_after_a_pause_the_next_frame_is_believed() -> None:
    view_filter = ViewFilter()
    view_filter.update(HEAD, 0.0)
    assert view_filter.update(THORAX, 0.5) == ("thorax", pytest.approx(0.8))


def test_a_frame_that_is_not_later_changes_nothing() -> None:
    view_filter = ViewFilter()
    view_filter.update(HEAD, 1.0)
    for _ in range(10):
        assert view_filter.update(THORAX, 1.0) == ("head", pytest.approx(0.8))


def test_after_a_reset_the_next_frame_is_the_first() -> None:
    view_filter = ViewFilter()
    view_filter.update(HEAD, 1.0)
    view_filter.reset()
    assert view_filter.update(THORAX, 0.0) == ("thorax", pytest.approx(0.8))


def test_the_score_is_a_mean_over_the_frames_that_had_the_structure() -> None:
    view_filter = ViewFilter()
    view_filter.update(found(("cranium", 0.9)), 0.0)
    old, new = math.exp(-0.5), 1 - math.exp(-0.5)
    assert view_filter.update(found(("cranium", 0.5)), FRAME_S) == ("head", pytest.approx(0.9 * old + 0.5 * new))
    # A frame without it takes nothing off the score, and long ago doesn't count.
    assert view_filter.update(NOTHING, 2 * FRAME_S) == ("head", pytest.approx(0.9 * old + 0.5 * new))
    assert view_filter.update(found(("cranium", 0.4)), 60.0) == ("head", pytest.approx(0.4))


def test_scores_that_cross_the_threshold_do_not_make_the_view_flicker() -> None:
    rng = np.random.default_rng(0)
    frames = [found(("cranium", float(score))) for score in rng.uniform(0.22, 0.5, 500)]  # 29 % below 0.3
    raw = [view_of(frame) is None for frame in frames]
    steady = [view is None for view in shown(frames)]
    changes = [sum(a != b for a, b in pairwise(values)) for values in (raw, steady)]
    assert changes[0] > 150
    assert changes[1] < changes[0] / 10
