import pytest

from fetalseg.data.coco import read_coco
from fetalseg.data.selection import Condition, parse_condition, select
from fetalseg.errors import DataError


@pytest.fixture
def heads(content, write_set):
    content["images"][0] |= {"head_circumference_mm": 99.0, "probe": "transvaginal", "case": "010"}
    content["images"][1] |= {"head_circumference_mm": 99.5, "case": "10"}
    return read_coco(write_set(content))


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("head_circumference_mm<=99", Condition("head_circumference_mm", "<=", "99")),
        ("view = neck", Condition("view", "=", "neck")),
        ("probe!=endocavity probe", Condition("probe", "!=", "endocavity probe")),
    ],
)
def test_a_condition_is_a_field_a_comparison_and_a_value(written, expected):
    assert parse_condition(written) == expected


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("head_circumference_mm", r"expected FIELD and a value with one of <=, >=, "),
        ("view=", "expected FIELD and a value"),
        ("view<neck", "< needs a number, got 'neck'"),
    ],
)
def test_what_is_no_condition_is_refused(written, message):
    with pytest.raises(ValueError, match=message):
        parse_condition(written)


@pytest.mark.parametrize(
    ("conditions", "ids"),
    [
        (["head_circumference_mm<=99"], [7]),
        (["head_circumference_mm>99"], [9]),
        (["head_circumference_mm>=99"], [7, 9]),
        (["head_circumference_mm!=99"], [9]),
        (["head_circumference_mm>=99", "view=neck"], [9]),
        # An image that doesn't say which probe it was is neither of one kind nor of another.
        (["probe!=transabdominal"], [7]),
        # A number is no text.
        (["view<5"], []),
        (["head_circumference_mm=wide"], []),
        # Cases called by digits are texts: 010 and 10 are two.
        (["case=010"], [7]),
        (["case!=10"], [7]),
        (["case=10"], [9]),
    ],
)
def test_images_that_meet_all_conditions_are_chosen(heads, conditions, ids):
    assert select(heads, map(parse_condition, conditions)) == ids


def test_a_field_that_no_image_has_is_a_mistake(heads):
    with pytest.raises(DataError, match=r"no image has 'hc'; fields are .*head_circumference_mm"):
        select(heads, [Condition("hc", "<", "99")])
