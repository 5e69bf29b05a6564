"""The seventeen structures, the six views, and colours that everyone can tell apart."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import numpy.typing as npt
import pytest

from fetalseg.anatomy import STRUCTURES, VIEWS, coco_categories, structure, structure_names, view

LIMBS = {"upper_arm", "forearm", "hand", "thigh", "calf", "foot"}

# Machado, Oliveira and Fernandes, IEEE TVCG 2009;15(6):1291, table 1, severity 1.0; on linear RGB.
MACHADO = {
    "normal": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}
# IEC 61966-2-1: linear sRGB to XYZ; a row's sum is the white point D65.
XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)


def cielab(color: tuple[int, int, int], vision: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """L*, a*, b* (CIE 15) of an sRGB colour as someone with this vision sees it."""
    share = np.array(color) / 255
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    ratio = XYZ @ np.clip(np.asarray(vision) @ linear, 0, 1) / XYZ.sum(axis=1)
    x, y, z = np.where(ratio > (6 / 29) ** 3, np.cbrt(ratio), ratio * (29 / 6) ** 2 / 3 + 4 / 29)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def test_cielab_of_known_colours() -> None:
    assert cielab((255, 255, 255), MACHADO["normal"]) == pytest.approx([100, 0, 0], abs=0.01)
    assert cielab((255, 0, 0), MACHADO["normal"]) == pytest.approx([53.24, 80.09, 67.20], abs=0.02)


def test_the_seventeen_structures_have_their_published_order() -> None:
    assert structure_names() == (
        *("cranium", "choroid_plexus", "midline_falx", "nasal_bone", "palate", "nuchal_translucency"),
        *("thoracic_circumference", "heart", "abdominal_circumference", "stomach"),
        *("upper_arm", "forearm", "hand", "thigh", "calf", "foot", "spine"),
    )
    assert [s.id for s in STRUCTURES] == list(range(1, 18))
    assert [s.label for s in STRUCTURES] == list(range(17))


@pytest.mark.parametrize(
    ("name", "essential", "annotated", "tested"),
    [
        (
            "head",
            {"cranium"},
            {"cranium", "midline_falx", "choroid_plexus"} | LIMBS,
            {"cranium", "midline_falx", "choroid_plexus"},
        ),
        (
            "neck",
            {"nasal_bone", "nuchal_translucency", "palate"},
            {"nasal_bone", "nuchal_translucency", "palate", "spine"} | LIMBS,
            {"nasal_bone", "nuchal_translucency", "palate"},
        ),
        (
            "thorax",
            {"thoracic_circumference"},
            {"thoracic_circumference", "heart", "spine"} | LIMBS,
            {"thoracic_circumference", "heart"},
        ),
        (
            "abdomen",
            {"abdominal_circumference"},
            {"abdominal_circumference", "stomach", "spine"} | LIMBS,
            {"abdominal_circumference", "stomach"},
        ),
        ("extremity", LIMBS, LIMBS, LIMBS),
        ("spine", {"spine"}, {"spine"}, {"spine"}),
    ],
)
def test_each_view_has_the_published_structures(
    name: str, essential: set[str], annotated: set[str], tested: set[str]
) -> None:
    found = view(name)
    assert (set(found.essential), set(found.annotated), set(found.tested)) == (essential, annotated, tested)
    assert len(found.annotated) == len(annotated)


def test_there_are_six_views_and_each_structure_is_tested_in_one() -> None:
    assert [v.name for v in VIEWS] == ["head", "neck", "thorax", "abdomen", "extremity", "spine"]
    assert {name: v.name for v in VIEWS for name in v.tested} == {s.name: s.group for s in STRUCTURES}
    assert sum(len(v.tested) for v in VIEWS) == 17


def test_paired_structures_are_not_single() -> None:
    assert {s.name for s in STRUCTURES if not s.single} == {"choroid_plexus"} | LIMBS


def test_coco_categories_carry_the_ids() -> None:
    categories = coco_categories()
    assert [c["id"] for c in categories] == list(range(1, 18))
    assert categories[5] == {"id": 6, "name": "nuchal_translucency", "supercategory": "neck"}


def test_unknown_names_are_answered_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match="unknown structure 'liver'; expected one of cranium, choroid_plexus"):
        structure("liver")
    with pytest.raises(ValueError, match="unknown view 'pelvis'; expected one of head, neck"):
        view("pelvis")


@pytest.mark.parametrize("vision", MACHADO)
@pytest.mark.parametrize("name", [v.name for v in VIEWS])
def test_colours_of_one_view_stay_apart_for_every_vision(name: str, vision: str) -> None:
    seen = {n: cielab(structure(n).color, MACHADO[vision]) for n in view(name).annotated}
    for one, other in combinations(seen, 2):
        assert np.linalg.norm(seen[one] - seen[other]) >= 20, f"{one} and {other}"


def test_colours_are_bright_on_a_dark_image() -> None:
    assert min(cielab(s.color, MACHADO["normal"])[0] for s in STRUCTURES) > 50
