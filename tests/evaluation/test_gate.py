"""Rules of a release: how they are read, and what they hold back."""

from __future__ import annotations

import pytest

from fetalseg.errors import DataError
from fetalseg.evaluation.bootstrap import Interval
from fetalseg.evaluation.comparison import Comparison
from fetalseg.evaluation.gate import Margin, Rule, as_json, judge, parse_margins, parse_rule

FIGURES = (
    "mean.box.AP50",
    "mean.mask.AP50",
    "nasal_bone.box.AP50",
    "nasal_bone.mask.AP50",
    "yolk.sac, outer.mask.AP50",
    "nasal_bone.overlap.centre_hit",
    "nasal_bone.centre.recall",
)


def row(base: float | None, new: float | None, interval: Interval | None = None) -> Comparison:
    difference = None if base is None or new is None else new - base
    return Comparison("nasal_bone.mask.AP50", base, new, difference, interval, None, None)


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("nasal_bone.mask.AP50 drop > 0.02", ("nasal_bone.mask.AP50", "drop >", 0.02)),
        ("nasal_bone.mask.AP50 drop>=.02", ("nasal_bone.mask.AP50", "drop >=", 0.02)),
        (" mean.box.AP50  rise > 0.3 ", ("mean.box.AP50", "rise >", 0.3)),
        ("nasal_bone.centre_hit drop > 0.02", ("nasal_bone.overlap.centre_hit", "drop >", 0.02)),
        ("nasal_bone.overlap.centre_hit below 0.9", ("nasal_bone.overlap.centre_hit", "below", 0.9)),
        ("nasal_bone.centre.recall drop > 0.02", ("nasal_bone.centre.recall", "drop >", 0.02)),
        ("mean.mask.AP50 below 6e-1", ("mean.mask.AP50", "below", 0.6)),
        ("yolk.sac, outer.mask.AP50 above 0.9", ("yolk.sac, outer.mask.AP50", "above", 0.9)),
    ],
)
def test_rules_are_read(text: str, rule: tuple[str, str, float]) -> None:
    found = parse_rule(text, FIGURES)
    assert (found.text, found.figure, found.condition, found.limit) == (text, *rule)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "can't read the rule ''; expected 'FIGURE drop > 0.02'"),
        ("nasal_bone.mask.AP50 falls > 0.02", "can't read the rule"),
        ("nasal_bone.mask.AP50 drop 0.02", "can't read the rule"),
        ("nasal_bone.mask.AP50 drop < 0.02", "can't read the rule"),
        ("nasal_bone.mask.AP50 below > 0.9", "can't read the rule"),
        ("nasal_bone.mask.AP50 drop > much", "expected a number at its end, got 'much'"),
        ("nasal_bone.mask.AP50 drop > -0.1", "expected a number from 0 on, got -0.1"),
        ("nasal_bone.mask.AP50 drop > nan", "expected a number from 0 on, got nan"),
        (
            "nose.mask.AP50 drop > 0.02",
            "no figure 'nose.mask.AP50'; expected STRUCTURE.KIND.MEASURE with a structure of mean, nasal_bone, "
            "yolk.sac, outer; a kind of box, mask, overlap, centre; a measure of AP50, centre_hit, recall",
        ),
        ("mean.AP50 drop > 0.02", "no figure 'mean.AP50'"),
    ],
)
def test_what_is_no_rule_is_refused_with_what_there_is(text: str, message: str) -> None:
    with pytest.raises(ValueError, match="rule") as raised:
        parse_rule(text, FIGURES)
    assert message in str(raised.value)


@pytest.mark.parametrize(
    ("rule", "base", "new", "passed"),
    [
        ("drop > 0.02", 0.52, 0.50, True),  # 0.020000000000000018 to a computer
        ("drop >= 0.02", 0.52, 0.50, False),
        ("drop > 0.02", 0.52, 0.49, False),
        ("drop > 0.02", 0.52, 0.60, True),
        ("drop > 0", 0.52, 0.52, True),
        ("rise > 0.3", 0.5, 0.9, False),
        ("rise > 0.3", 0.5, 0.1, True),
        ("below 0.9", 0.95, 0.9, True),
        ("below 0.9", 0.95, 0.89, False),
        ("above 0.9", 0.95, 0.91, False),
        ("above 0.9", 0.95, 0.9, True),
    ],
)
def test_a_rule_holds_back_what_breaks_it(rule: str, base: float, new: float, passed: bool) -> None:
    one = parse_rule(f"nasal_bone.mask.AP50 {rule}", FIGURES)
    (verdict,) = judge([one], [row(base, new)])
    assert verdict.passed is passed
    assert verdict.reason.startswith(f"{base:.4f} -> {new:.4f}")


def test_a_margin_alone_is_for_the_means() -> None:
    assert parse_margins("0.01", FIGURES) == [
        Margin("mean.box.AP50 0.01", "mean.box.AP50", 0.01),
        Margin("mean.mask.AP50 0.01", "mean.mask.AP50", 0.01),
    ]
    assert [one.figure for one in parse_margins("0.01", FIGURES[:1])] == ["mean.box.AP50"]
    text = "yolk.sac, outer.mask.AP50 0.05"
    assert parse_margins(text, FIGURES) == [Margin(text, "yolk.sac, outer.mask.AP50", 0.05)]


@pytest.mark.parametrize("text", ["", "0", "-1", "inf", "one percent", "nose.mask.AP50 0.01"])
def test_what_is_no_margin_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"margin|rule"):
        parse_margins(text, FIGURES)


@pytest.mark.parametrize(
    ("low", "high", "passed"), [(-0.009, 0.02, True), (-0.01, 0.02, False), (-0.03, -0.02, False), (0.01, 0.02, True)]
)
def test_not_inferior_is_what_has_its_whole_interval_above_the_margin(low: float, high: float, passed: bool) -> None:
    margin = Margin("0.01", "nasal_bone.mask.AP50", 0.01)
    (verdict,) = judge([margin], [row(0.5, 0.505, Interval(low, high, 0))])
    assert verdict.passed is passed
    assert verdict.reason == f"difference +0.0050, 95 % {low:+.4f} to {high:+.4f}"
    assert as_json([verdict]) == [{"rule": "0.01", "passed": passed, "reason": verdict.reason}]


@pytest.mark.parametrize(
    ("one", "found"),
    [
        (Rule("r", "nasal_bone.mask.AP50", "below", 0.1), row(None, None)),
        (Margin("m", "nasal_bone.mask.AP50", 0.1), row(None, None)),
        (Margin("m", "nasal_bone.mask.AP50", 0.1), row(0.5, 0.5, None)),
    ],
)
def test_a_rule_about_nothing_does_not_pass_unseen(one: Rule | Margin, found: Comparison) -> None:
    with pytest.raises(DataError, match=r"can't be judged: .*nasal_bone\.mask\.AP50"):
        judge([one], [found])
