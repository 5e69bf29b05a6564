from __future__ import annotations

import re

import pytest

from fetalseg_server.options import SessionOptions, parse_changes


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"codec": "h264"}, 'codec must be one of jpeg, png, gray8, rgb24, got "h264"'),
        ({"width": -1}, "width must be a whole number within 0..65535, got -1"),
        ({"height": True}, "height must be a whole number within 0..65535, got true"),
        ({"width": 640.0}, "width must be a whole number within 0..65535, got 640.0"),
        ({"spacing_mm": [0.1]}, "spacing_mm must be [y, x] in mm, above 0 and at most 100, or null; got [0.1]"),
        ({"spacing_mm": [0, 0.1]}, "spacing_mm must be [y, x] in mm"),
        ({"spacing_mm": 0.1}, "spacing_mm must be [y, x] in mm"),
        ({"deadline_ms": 0}, "deadline_ms must be above 0 and at most 60000 ms, or null; got 0"),
        ({"deadline_ms": "80"}, 'or null; got "80"'),
        ({"masks": None}, "masks must be one of polygon, rle, labelmap, none, got null"),
        ({"model": ""}, 'model must be a name of 1..128 characters, got ""'),
        ({"min_score": 1.5}, "min_score must be within 0..1, got 1.5"),
        ({"min_score": float("nan")}, "min_score must be within 0..1, got NaN"),
        ({"min_score": 10**400}, "min_score must be within 0..1, got 1000000000"),
        ({"deadline_ms": 10**400}, "deadline_ms must be above 0 and at most 60000 ms, or null; got 1000000000"),
        ({"spacing_mm": [10**400, 1]}, "spacing_mm must be [y, x] in mm"),
        ({"nms": "best"}, "nms must be one of fast, fast_cross_class, greedy"),
        ({"track": 1}, "track must be true or false, got 1"),
        ({"fetuses": 0}, "fetuses must be a whole number within 1..8, got 0"),
        ({"examination": "no"}, 'examination must be true or false, got "no"'),
        ({"colour": "red"}, "unknown option colour; known options are codec, width, height, spacing_mm, deadline_ms"),
    ],
)
def test_a_bad_option_says_what_is_allowed_and_what_came(values: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        parse_changes(values)


def test_a_long_value_is_cut_in_the_error() -> None:
    with pytest.raises(ValueError, match=r"got .{60}\.\.\.$"):
        parse_changes({"masks": "x" * 1000})


def test_changes_replace_only_what_they_name() -> None:
    options = SessionOptions(masks="rle", min_score=0.5)
    changed = options.changed(parse_changes({"spacing_mm": [0.5, 1], "min_score": None}))
    assert changed == SessionOptions(masks="rle", spacing_mm=(0.5, 1.0))


def test_a_servers_defaults_fill_only_what_is_left_open() -> None:
    defaults = SessionOptions(model="m", min_score=0.3, nms="fast", masks="none")
    filled = SessionOptions(min_score=0.0).filled(defaults)
    assert filled == SessionOptions(model="m", min_score=0.0, nms="fast", masks="polygon")
