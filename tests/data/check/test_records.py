"""No value at any place of a file stops the check: a set from anywhere gets its list of findings."""

import copy
from pathlib import Path

from fetalseg.data.check.records import check_records
from fetalseg.errors import DataError

VALUES = [
    *(None, True, False, 0, -1, 7, 2.5, float("nan"), float("inf"), 10**400),
    *("", "x", "\0", "a.png", "../a.png", "x" * 5000),
    *([], [1], [[]], ["a"], [None], [[1, 2, 3, 4, 5, 6]], [[0] * 6], [[float("nan")] * 6], [1, 2, 3, 4], [10**400] * 4),
    *({}, {"size": [40, 60]}, {"size": [40, 60], "counts": {}}, {"size": [40, 60], "counts": "~"}),
    *({"size": [40, 60], "counts": [[1]]}, {"size": [40, 60], "counts": None}, {"size": [40, 60], "counts": [10**30]}),
]


def places(value, way=()):
    """The way to each value inside a JSON document."""
    if way:
        yield way
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in inside:
        yield from places(part, (*way, key))


def test_any_value_anywhere_gives_findings_or_a_clear_error(content):
    content["categories"] = content["categories"][:6]
    refused = told = 0
    for *way, last in places(content):
        for value in VALUES:
            changed = copy.deepcopy(content)
            holder = changed
            for key in way:
                holder = holder[key]
            holder[last] = value
            try:
                told += bool(check_records(Path("nowhere/instances.json"), changed, [Path("nowhere")]).findings)
            except DataError:
                refused += 1
    # A table that is no list is refused; most other changes are worth a word.
    assert refused > 20
    assert told > 1000
