"""Names of structures that are not ours: which are taken, and how they are shown."""

from __future__ import annotations

import pytest

from fetalseg.anatomy import STRUCTURES, structure, structure_names
from fetalseg.taxonomy import check_names, describe, is_standard


def test_the_seventeen_are_described_as_in_the_anatomy() -> None:
    assert describe(structure_names()) == STRUCTURES


def test_a_foreign_name_gets_a_title_from_its_words_and_the_id_of_its_place() -> None:
    first, second = describe(("yolk_sac", "Crown-rump line"))
    assert (first.id, first.label, first.name, first.title) == (1, 0, "yolk_sac", "Yolk sac")
    assert (second.id, second.title) == (2, "Crown-rump line")
    assert not first.single
    assert first.group == ""


def test_a_known_name_keeps_its_colour_and_title_and_no_other_takes_that_colour() -> None:
    described = describe(("yolk sac", "cranium", "cord", "cyst"))
    assert (described[1].title, described[1].color) == ("Cranium", structure("cranium").color)
    assert described[1].id == 2
    assert len({entry.color for entry in described}) == 4


def test_ten_foreign_structures_have_ten_colours_and_an_eleventh_repeats_the_first() -> None:
    colors = [entry.color for entry in describe(tuple(f"part {number}" for number in range(11)))]
    assert len(set(colors)) == 10
    assert colors[10] == colors[0]


def test_colours_repeat_where_known_names_have_taken_them_all() -> None:
    assert describe((*structure_names(), "cord"))[17].color == STRUCTURES[0].color


def test_only_the_seventeen_in_their_order_are_the_standard() -> None:
    assert is_standard(structure_names())
    assert is_standard(list(structure_names()))
    assert not is_standard(structure_names()[:16])
    assert not is_standard(structure_names()[::-1])


@pytest.mark.parametrize("names", [("a",), tuple(map(str, range(255))), ("Ductus venosus", "Wharton-Sulze", "naïve")])
def test_usable_names_pass(names: tuple[str, ...]) -> None:
    check_names(names)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ((), "expected 1 to 255 structures, got 0"),
        (tuple(map(str, range(256))), "expected 1 to 255 structures, got 256"),
        (("a", "b", "a"), "structure 'a' is named twice"),
        (("",), "got ''"),
        ((" a",), "got ' a'"),
        (("a\nb",), r"got 'a\\nb'"),
        (("x" * 65,), "1 to 64 printable characters, got 'xxx"),
        ((7,), "got 7"),
    ],
)
def test_names_that_cannot_be_shown_or_told_apart_are_refused(names: tuple[str, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_names(names)
