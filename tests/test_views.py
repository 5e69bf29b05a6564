"""The rule for the view of a frame, on instances made by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fetalseg.anatomy import structure
from fetalseg.instances import Instances
from fetalseg.views import view_of


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
