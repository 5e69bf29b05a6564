"""What a system has to reach by itself: reading, judging, and JUnit."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

import pytest

from fetalseg.evaluation.junit import junit_text
from fetalseg.evaluation.requirements import judge_requirements, named_figures, parse_requirement

FIGURES = {"cranium.mask.AP50": 0.96, "heart.mask.AP50": None, "all.views.accuracy": 0.5}


def metrics() -> dict[str, Any]:
    """One structure with ground truth, one without."""
    figures = {"AP": 0.6, "AP50": 0.9, "AP75": 0.7, "AR100": 0.8}
    nothing = dict.fromkeys(figures)
    row = {"mask": None, "boundary": None, "dice": 0.75, "centre_hit": 1.0, "overlap": {"dice": 0.75}}
    return {
        "box": figures,
        "mask": None,
        "boundary": None,
        "structures": {
            "cranium": {"support": 4, "box": figures, **row},
            "heart": {"support": 0, "box": nothing, **row, "overlap": None},
        },
        "table3": {
            "centre": {
                "cranium": {
                    **{"accuracy": 1, "recall": 1, "precision": 1, "specificity": None, "f1": 1},
                    "wrong_view_per_100": 3,
                }
            }
        },
        "views": {"accuracy": 0.984, "essential_found": 0.99},
        "head_circumference": None,
        "frames": 5,
        "model": {"name": "crafted", "version": "1.0.0", "sha256": "ab"},
        "data": {"sha256": "cd"},
        "provenance": {"date": "2026-01-31T10:00:00+00:00", "fetalseg": "0.1.0", "commit": None},
    }


@pytest.mark.parametrize(
    ("text", "passed"),
    [
        ("cranium.mask.AP50 >= 0.96", True),
        ("cranium.mask.AP50 > 0.96", False),
        ("cranium.mask.AP50 <= 0.96", True),
        ("cranium.mask.AP50<0.5", False),
        ("all.views.accuracy >= 0.4", True),
        ("heart.mask.AP50 >= 0", False),
    ],
)
def test_a_figure_keeps_a_requirement_or_not_and_none_keeps_nothing(text: str, passed: bool) -> None:
    requirement = parse_requirement(text)
    assert judge_requirements([requirement], FIGURES)[requirement].passed is passed


@pytest.mark.parametrize(
    "text", ["", "cranium.mask.AP50", "cranium.mask.AP50 = 1", "cranium.mask.AP50 >= much", "x > nan"]
)
def test_what_is_no_requirement_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="can't read the requirement"):
        parse_requirement(text)


def test_an_unknown_figure_ends_with_what_there_is() -> None:
    with pytest.raises(ValueError, match=r"no figure 'nose.mask.AP50'.*structure of cranium, heart, all.*mask\.AP50"):
        judge_requirements([parse_requirement("nose.mask.AP50 > 0")], FIGURES)


def test_figures_of_all_tables_can_be_named() -> None:
    figures = named_figures(metrics())
    assert figures["mean.box.AP50"] == figures["cranium.box.AP50"] == 0.9
    assert (figures["cranium.overlap.dice"], figures["cranium.centre.recall"]) == (0.75, 1)
    assert (figures["all.views.essential_found"], figures["cranium.centre.wrong_view_per_100"]) == (0.99, 3)
    assert figures["cranium.mask.AP50"] is figures["heart.box.AP50"] is figures["cranium.circumference.mae"] is None
    assert "mean.overlap.dice" not in figures


def test_junit_has_a_case_for_each_requirement_and_each_structure() -> None:
    requirements = [parse_requirement("cranium.box.AP50 >= 0.5"), parse_requirement("mean.box.AP < 0.5")]
    content = metrics()
    root = ElementTree.fromstring(junit_text(content, judge_requirements(requirements, named_figures(content))))
    (suite,) = root
    assert {name: suite.get(name) for name in ("tests", "failures", "errors", "skipped")} == {
        **{"tests": "4", "failures": "1", "errors": "0", "skipped": "1"}
    }
    facts = {one.get("name"): one.get("value") for one in suite.iter("property")}
    assert (facts["model"], facts["data_sha256"], facts["frames"]) == ("crafted 1.0.0", "cd", "5")
    assert "commit" not in facts
    cases = {str(case.get("name")): case for case in suite.iter("testcase")}
    assert list(cases) == ["cranium.box.AP50 >= 0.5", "mean.box.AP < 0.5", "cranium", "heart"]
    (failure,) = cases["mean.box.AP < 0.5"].iter("failure")
    assert failure.get("message") == "mean.box.AP is 0.6000"
    assert "box AP50 0.9000" in str(cases["cranium"].findtext("system-out"))
    assert [one.get("message") for one in cases["heart"]] == ["no ground truth in this set"]
