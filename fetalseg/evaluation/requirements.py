"""What a system has to reach by itself, as text that a CI can hold: `nasal_bone.mask.AP50 >= 0.4`.

A figure is named STRUCTURE.KIND.MEASURE. The structure is "mean" for the mean over the structures, "all" for what has
no structure. How two systems compare is judged by `fetalseg.evaluation.gate` instead.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fetalseg.evaluation.gate import Verdict

__all__ = ["Requirement", "judge_requirements", "named_figures", "parse_requirement"]

_SIGNS: dict[str, Callable[[float, float], bool]] = {
    ">=": operator.ge,
    ">": operator.gt,
    "<=": operator.le,
    "<": operator.lt,
}
_FORM = re.compile(r"(?P<figure>.+?)\s*(?P<sign>[<>]=?)\s*(?P<limit>[^<>=\s]+)")
_KINDS = {
    "box": ("AP", "AP50", "AP75", "AR1", "AR10", "AR100"),
    "mask": ("AP", "AP50", "AP75", "AR1", "AR10", "AR100"),
    "boundary": ("AP", "AP50", "AP75", "AR1", "AR10", "AR100"),
    "overlap": ("dice", "iou", "centre_hit", "hausdorff_px", "hausdorff_mm"),
}
_SHARES = ("accuracy", "recall", "precision", "specificity", "f1", "wrong_view_per_100")


@dataclass(frozen=True)
class Requirement:
    """What a figure has to be.

    Attributes:
        text: as written.
        figure: its name.
        sign: ">=", ">", "<=" or "<".
        limit: finite.
    """

    text: str
    figure: str
    sign: str
    limit: float


def parse_requirement(text: str) -> Requirement:
    """Reads `FIGURE >= NUMBER`, or the same with >, <= or <.

    Raises:
        ValueError: not of this form.
    """
    match = _FORM.fullmatch(text.strip())
    try:
        limit = math.nan if match is None else float(match["limit"])
    except ValueError:
        limit = math.nan
    if match is None or not math.isfinite(limit):
        raise ValueError(f"can't read the requirement {text!r}; expected one like 'nasal_bone.mask.AP50 >= 0.4'")
    return Requirement(text, match["figure"], match["sign"], limit)


def named_figures(metrics: Mapping[str, Any]) -> dict[str, float | None]:
    """The figures that a requirement may name.

    Args:
        metrics: what `metrics.json` holds.
    """
    figures: dict[str, float | None] = {}
    for subject, row in {"mean": metrics, **metrics["structures"]}.items():
        for kind, measures in _KINDS.items():
            if kind in row:  # the means have no overlap
                figures |= {f"{subject}.{kind}.{m}": (row[kind] or {}).get(m) for m in measures}
    for rule, table in metrics["table3"].items():
        figures |= {f"{name}.{rule}.{share}": row[share] for name, row in table.items() for share in _SHARES}
    views, head = metrics["views"] or {}, metrics["head_circumference"] or {}
    figures |= {f"all.views.{name}": views.get(name) for name in ("accuracy", "essential_found")}
    figures["cranium.circumference.mae"] = head.get("found", {}).get("mae")
    return figures


def judge_requirements(
    requirements: Sequence[Requirement], figures: Mapping[str, float | None]
) -> dict[Requirement, Verdict]:
    """Holds figures against requirements; a figure that can't be computed keeps none.

    Raises:
        ValueError: no such figure; the message lists what there is.
    """
    return {one: _verdict(one, figures) for one in requirements}


def _verdict(one: Requirement, figures: Mapping[str, float | None]) -> Verdict:
    if one.figure not in figures:
        parts = [name.rsplit(".", 2) for name in figures]
        subjects = ", ".join(dict.fromkeys(part[0] for part in parts))
        measures = ", ".join(dict.fromkeys(".".join(part[1:]) for part in parts))
        raise ValueError(
            f"requirement {one.text!r}: no figure {one.figure!r}; expected STRUCTURE.KIND.MEASURE with a structure of "
            f"{subjects}, and KIND.MEASURE of {measures}"
        )
    value = figures[one.figure]
    if value is None:
        return Verdict(one.text, False, f"there is no figure {one.figure} on this data")
    return Verdict(one.text, _SIGNS[one.sign](value, one.limit), f"{one.figure} is {value:.4f}")
