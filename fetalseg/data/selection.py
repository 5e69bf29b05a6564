"""Images of a set that meet conditions on the fields of their records: by size of the head, view, probe, hospital."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from fetalseg.data.facts import image_facts
from fetalseg.data.records import CocoSet
from fetalseg.errors import DataError

__all__ = ["Condition", "parse_condition", "select"]

_COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "!=": operator.ne,
    "=": operator.eq,
    "<": operator.lt,
    ">": operator.gt,
}
_WRITTEN = re.compile(r"\s*(\w+)\s*(<=|>=|!=|=|<|>)\s*(.+?)\s*")


@dataclass(frozen=True)
class Condition:
    """A field of an image's record compared with a value.

    Attributes:
        field: its name.
        comparison: one of <=, >=, !=, =, <, >.
        value: as written: the text itself for fields that hold text, which know = and != only; a number for the others.
    """

    field: str
    comparison: str
    value: str

    def holds(self, record: dict[str, Any]) -> bool:
        """Whether an image meets it; one without the field, or with a value of another kind, doesn't."""
        found = record.get(self.field)
        compare = _COMPARISONS[self.comparison]
        if isinstance(found, str):
            # Also where it looks like a number: patients 010 and 10 are two.
            return self.comparison in ("=", "!=") and compare(found, self.value)
        number = _number(self.value)
        is_number = isinstance(found, (int, float)) and not isinstance(found, bool)
        return is_number and number is not None and compare(found, number)


def parse_condition(text: str) -> Condition:
    """Reads `head_circumference_mm<=99`, `view=neck`, `probe!=transvaginal`.

    Raises:
        ValueError: not of the form FIELD COMPARISON VALUE, or an order asked of text.
    """
    found = _WRITTEN.fullmatch(text)
    if found is None:
        raise ValueError(f"expected FIELD and a value with one of {', '.join(_COMPARISONS)} between, got {text!r}")
    field, comparison, word = found.groups()
    if comparison not in ("=", "!=") and _number(word) is None:
        raise ValueError(f"{comparison} needs a number, got {word!r} in {text!r}")
    return Condition(field, comparison, word)


def _number(word: str) -> float | None:
    try:
        return float(word)
    except ValueError:
        return None


def select(source: CocoSet, conditions: Iterable[Condition]) -> list[int]:
    """Ids of the images that meet all conditions, in the order of the set.

    Raises:
        DataError: no image has a field of that name, so that a typing error doesn't pass for an empty selection.
    """
    facts = image_facts(source)
    wanted = list(conditions)
    for condition in wanted:
        if not any(condition.field in record for record in facts.values()):
            known = sorted({field for record in facts.values() for field in record})
            raise DataError(f"{source.path}: no image has {condition.field!r}; fields are {', '.join(known)}")
    return [image.id for image in source.images if all(c.holds(facts[image.id]) for c in wanted)]
