"""Rules that a new model has to keep before it is released, as text that a CI can hold.

    nasal_bone.mask.AP50 drop > 0.02     held back if the figure is lower than the old model's by more than this
    mean.box.AP rise > 0.2               held back if it is higher by more than this: something leaked
    cranium.mask.AP50 below 0.95         held back if it is less than this, whatever the old one's
    spine.box.AP50 above 0.999           held back if it is more
    nasal_bone.centre_hit drop > 0.02    short for nasal_bone.overlap.centre_hit; so is nasal_bone.dice
    nasal_bone.centre.recall drop > 0.02 a share of Table 3, see `fetalseg.evaluation.compared_figures`

and margins of non-inferiority, `0.01` (both means of AP50) or `nasal_bone.mask.AP50 0.05`: held back unless the whole
95 % interval of the difference lies above minus the margin (Piaggio et al., JAMA 2012;308:2594-2604).
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from fetalseg.errors import DataError
from fetalseg.evaluation.compared_figures import OVERLAP
from fetalseg.evaluation.comparison import Comparison
from fetalseg.evaluation.resampled_precision import MEAN, figure_name

__all__ = ["Margin", "Rule", "Verdict", "as_json", "judge", "parse_margins", "parse_rule"]

Condition = Literal["drop >", "drop >=", "rise >", "rise >=", "below", "above"]

_CONDITIONS: dict[str, Condition] = {word: word for word in get_args(Condition)}
_RULE = re.compile(r"(?P<figure>.+?)\s+(?P<word>drop|rise|below|above)\s*(?P<sign>[<>=]*)\s*(?P<limit>[^<>=\s]+)")
_MARGIN = re.compile(r"(?:(?P<figure>.+?)\s+)?(?P<limit>\S+)")
_FORMS = "'FIGURE drop > 0.02', 'FIGURE rise > 0.02', 'FIGURE below 0.9' or 'FIGURE above 0.9'"
_DIGITS = 9  # 0.52 - 0.50 is no drop of more than 0.02, whatever binary fractions make of it


@dataclass(frozen=True)
class Rule:
    """What holds a model back.

    Attributes:
        text: as written.
        figure: name of a figure.
        condition: a drop or a rise is a difference of the two systems; below and above go by the new one's figure.
        limit: not negative.
    """

    text: str
    figure: str
    condition: Condition
    limit: float


@dataclass(frozen=True)
class Margin:
    """By how much a figure may be worse, as far as can be told from this data.

    Attributes:
        text: as written.
        figure: name of a figure.
        limit: more than 0.
    """

    text: str
    figure: str
    limit: float


@dataclass(frozen=True)
class Verdict:
    """What became of one rule or margin.

    Attributes:
        text: the rule as written.
        passed: whether the new model may go on.
        reason: the numbers behind it.
    """

    text: str
    passed: bool
    reason: str


def parse_rule(text: str, figures: Collection[str]) -> Rule:
    """Reads a rule, see the head of this file.

    Args:
        text: the rule.
        figures: names that there are.

    Raises:
        ValueError: not of this form, or no such figure; the message lists what there is.
    """
    match = _RULE.fullmatch(text.strip())
    condition = None if match is None else _CONDITIONS.get(f"{match['word']} {match['sign']}".strip())
    if match is None or condition is None:
        raise ValueError(f"can't read the rule {text!r}; expected {_FORMS}, with a FIGURE like mean.mask.AP50")
    return Rule(text, _known_figure(text, match["figure"], figures), condition, _limit(text, match["limit"]))


def parse_margins(text: str, figures: Collection[str]) -> list[Margin]:
    """Reads a margin of non-inferiority: a number alone stands for the mean AP50 by box, and by mask where there is.

    Raises:
        ValueError: not of this form, no such figure, or a margin that is not more than 0.
    """
    match = _MARGIN.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"can't read the margin {text!r}; expected '0.01' or 'nasal_bone.mask.AP50 0.05'")
    limit = _limit(text, match["limit"])
    if limit <= 0:
        raise ValueError(f"margin {text!r}: expected more than 0")
    if match["figure"] is not None:
        return [Margin(text, _known_figure(text, match["figure"], figures), limit)]
    means = [name for kind in ("box", "mask") if (name := figure_name(MEAN, kind, "AP50")) in figures]
    return [Margin(f"{name} {text.strip()}", name, limit) for name in means]


def judge(requirements: Sequence[Rule | Margin], comparisons: Iterable[Comparison]) -> list[Verdict]:
    """Holds two systems against rules and margins.

    Raises:
        DataError: a figure that can't be computed here: such a rule must not pass unseen.
    """
    rows = {row.figure: row for row in comparisons}
    return [_verdict(one, rows[one.figure]) for one in requirements]


def as_json(verdicts: Iterable[Verdict]) -> list[dict[str, Any]]:
    """In the order of the rules."""
    return [{"rule": one.text, "passed": one.passed, "reason": one.reason} for one in verdicts]


def _verdict(one: Rule | Margin, row: Comparison) -> Verdict:
    if row.base is None or row.new is None or row.difference is None:
        raise DataError(f"rule {one.text!r} can't be judged: this data has no ground truth for {one.figure}")
    if isinstance(one, Rule):
        numbers = f"{row.base:.4f} -> {row.new:.4f} ({row.difference:+.4f})"
        return Verdict(one.text, not _is_broken(one, row.new, row.difference), numbers)
    if row.interval is None:
        raise DataError(f"margin {one.text!r} can't be judged: no resample has ground truth for {one.figure}")
    passed = row.interval.low > -one.limit
    reason = f"difference {row.difference:+.4f}, 95 % {row.interval.low:+.4f} to {row.interval.high:+.4f}"
    return Verdict(one.text, passed, reason)


def _is_broken(rule: Rule, new: float, difference: float) -> bool:
    change = round(-difference if rule.condition.startswith("drop") else difference, _DIGITS)
    match rule.condition:
        case "drop >" | "rise >":
            return change > rule.limit
        case "drop >=" | "rise >=":
            return change >= rule.limit
        case "below":
            return new < rule.limit
        case "above":
            return new > rule.limit


def _known_figure(text: str, figure: str, figures: Collection[str]) -> str:
    """The full name of a figure; that of the best detections may be written without its kind."""
    subject, _, measure = figure.rpartition(".")
    for name in (figure, figure_name(subject, OVERLAP, measure)):
        if name in figures:
            return name
    parts = [name.rsplit(".", 2) for name in figures]
    subjects, kinds, measures = (", ".join(dict.fromkeys(column)) for column in zip(*parts, strict=True))
    raise ValueError(
        f"rule {text!r}: no figure {figure!r}; expected STRUCTURE.KIND.MEASURE with a structure of {subjects}; "
        f"a kind of {kinds}; a measure of {measures}"
    )


def _limit(text: str, written: str) -> float:
    try:
        value = float(written)
    except ValueError:
        raise ValueError(f"rule {text!r}: expected a number at its end, got {written!r}") from None
    if not (math.isfinite(value) and value >= 0):
        raise ValueError(f"rule {text!r}: expected a number from 0 on, got {written}")
    return value
