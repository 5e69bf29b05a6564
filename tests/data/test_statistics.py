"""Counts and sizes of a small set, worked out by hand, and the charts of them."""

import json
from pathlib import Path

import cv2
import pytest

from fetalseg.data.coco import read_coco
from fetalseg.data.facts import groups_by, spacing_mm
from fetalseg.data.statistics import NO_VIEW, Spread, describe_set
from fetalseg.errors import DataError


@pytest.fixture
def figures(write_set, content):
    content["images"][0]["spacing_mm"] = [0.5, 0.1]
    return describe_set(read_coco(write_set(content)))


def by_name(figures):
    return {structure.name: structure for structure in figures.structures}


def test_images_patients_views_and_sizes_are_counted(figures):
    assert (figures.name, figures.images, figures.patients, figures.without_patient) == ("small", 2, 2, 0)
    assert figures.views == {NO_VIEW: 1, "neck": 1}
    assert figures.sizes == {"60x40": 2}
    assert figures.with_scale == 1


def test_a_structure_is_present_absent_or_unknown_in_each_image(figures):
    cranium, bone, spine = (by_name(figures)[name] for name in ("cranium", "nasal_bone", "spine"))

    # Image 7 lists the cranium and the translucency and has both; image 9 lists everything and has a nasal bone.
    assert (cranium.present, cranium.absent, cranium.unknown, cranium.by_view) == (1, 1, 0, {NO_VIEW: 1})
    assert (bone.present, bone.absent, bone.unknown, bone.by_view) == (1, 0, 1, {"neck": 1})
    assert (spine.annotations, spine.present, spine.absent, spine.unknown) == (0, 0, 1, 1)


def test_masks_and_boxes_alone_are_told_apart(figures):
    assert {s.name: (s.annotations, s.masks) for s in figures.structures if s.annotations} == {
        "cranium": (1, 1),
        "nasal_bone": (1, 1),
        "nuchal_translucency": (1, 0),
    }


def test_sizes_are_in_px_and_in_mm_where_there_is_a_scale(figures):
    cranium, nt, bone = (by_name(figures)[name] for name in ("cranium", "nuchal_translucency", "nasal_bone"))

    assert (cranium.width_px, cranium.height_px) == (Spread(20, 20, 20), Spread(20, 20, 20))
    assert cranium.longer_mm == (10.0,)  # 20 rows of 0.5 mm, against 20 columns of 0.1 mm
    assert nt.longer_px == (30.0,)
    assert nt.longer_mm == (3.0,)  # 30 columns of 0.1 mm; its 6 rows of 0.5 mm are as long
    assert (bone.longer_mm, bone.length_mm) == ((), None)


def test_a_crowd_does_not_count_and_leaves_open_whether_a_structure_is_there(write_set, content):
    content["annotations"][1]["iscrowd"] = 1

    nt = by_name(describe_set(read_coco(write_set(content))))["nuchal_translucency"]

    # Image 9 lists everything and shows no translucency.
    assert (nt.annotations, nt.present, nt.absent, nt.unknown) == (0, 0, 1, 1)


def test_a_spread_is_made_of_percentiles():
    assert Spread.of(list(range(101))) == Spread(5, 50, 95)
    assert Spread.of([]) is None


def test_a_set_without_patients_or_annotations_has_figures(write_set, content):
    content["annotations"] = []
    for image in content["images"]:
        image.pop("patient")

    figures = describe_set(read_coco(write_set(content)))

    assert (figures.patients, figures.without_patient) == (None, 2)
    assert all(s.width_px is None for s in figures.structures)


def test_figures_go_into_json_without_single_sizes(figures):
    values = json.loads(json.dumps(figures.to_json()))

    assert values["structures"][0]["width_px"] == {"low": 20, "median": 20, "high": 20}
    assert "longer_px" not in values["structures"][0]


def test_own_structures_are_described_under_their_names(write_set, content):
    for category in content["categories"]:
        category["name"] = f"own {category['id']}"

    assert by_name(describe_set(read_coco(write_set(content))))["own 6"].annotations == 1


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        ({"spacing_mm": [0.2, 0.1]}, (0.2, 0.1)),
        ({"pixel_size_mm": 0.3}, (0.3, 0.3)),
        ({"spacing_mm": None, "pixel_size_mm": 0.3}, (0.3, 0.3)),
        ({}, None),
        ({"spacing_mm": [0.2]}, None),
        ({"pixel_size_mm": 0}, None),
        ({"pixel_size_mm": "wide"}, None),
    ],
)
def test_the_scale_comes_from_either_field(record, expected):
    assert spacing_mm(record) == expected


def test_images_are_grouped_by_any_field(write_set, content):
    content["images"][0]["ward"] = 3

    assert groups_by(read_coco(write_set(content)), "ward") == {7: "3"}
    with pytest.raises(DataError, match=r"no image has the field 'clinic'; there are annotated_category_ids, .*, ward"):
        groups_by(read_coco(write_set(content)), "clinic")
    with pytest.raises(DataError, match=r"image 7: annotated_category_ids is \[1, 6\], expected a text or a number"):
        groups_by(read_coco(write_set(content)), "annotated_category_ids")


def test_charts_are_pictures_with_ink(figures, write_set, content, tmp_path):
    charts = pytest.importorskip("fetalseg.data.charts", reason="charts need the extra data", exc_type=ImportError)
    content["annotations"] = []
    content["images"] = content["images"][:1]
    empty = describe_set(read_coco(write_set(content, "empty")))

    for sets in ([figures], [figures, empty], [empty]):
        paths = charts.write_charts(sets, tmp_path)
        assert [path.name for path in paths] == ["images.png", "structures.png", "sizes.png"]
        for path in paths:
            picture = cv2.imread(str(path))
            assert min(picture.shape[:2]) > 100
            assert picture.min() < 50


def test_structures_of_several_sets_are_charted_in_the_order_of_the_seventeen(
    write_set, content, monkeypatch, tmp_path
):
    charts = pytest.importorskip("fetalseg.data.charts", reason="charts need the extra data", exc_type=ImportError)
    content["images"] = content["images"][:1]
    content["annotations"] = content["annotations"][:2]
    first = describe_set(read_coco(write_set(content)))
    content["categories"] = [{"id": 1, "name": "choroid_plexus"}]
    content["images"][0]["annotated_category_ids"] = [1]
    content["annotations"] = content["annotations"][:1]
    second = describe_set(read_coco(write_set(content, "second")))
    drawn = {}
    monkeypatch.setattr(charts.Figure, "savefig", lambda figure, path, **_: drawn.update({path.stem: figure}))

    charts.write_charts([first, second], tmp_path)

    labels = [tick.get_text() for tick in drawn["structures"].axes[0].get_yticklabels()]
    assert labels == ["cranium", "choroid plexus", "nuchal translucency"]


def test_charts_for_a_folder_that_is_not_there_are_a_clear_error(figures):
    charts = pytest.importorskip("fetalseg.data.charts", reason="charts need the extra data", exc_type=ImportError)

    with pytest.raises(DataError, match=r"can't write .*nowhere.*images\.png: No such file"):
        charts.write_charts([figures], Path("nowhere"))
