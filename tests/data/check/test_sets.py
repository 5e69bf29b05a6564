"""What a check finds: every mistake once, with its record, however many there are."""

import copy
import json

import pytest

from fetalseg.data.check import check_sets
from fetalseg.data.coco import read_coco
from fetalseg.errors import DataError


def found(*folders):
    """(level, rule, where, message) of each finding of sets that are compared with each other."""
    return [(f.level, f.rule, f.where, f.message) for f in check_sets([folders]).findings]


def change(content, path, value):
    *way, last = path
    for key in way:
        content = content[key]
    content[last] = value


def test_a_clean_set_has_no_findings(write_set, content):
    report = check_sets([[write_set(content)]])

    assert report.findings == ()
    assert report.problems == 0
    assert [(len(s.images), s.annotations, len(s.structures)) for s in report.sets] == [(2, 3, 17)]


# One change each: what the check calls it, where it is, and words of the message.
MISTAKES = [
    (("categories", 0, "name"), " skull", "category", "category 1", "1 to 64 printable characters, got ' skull'"),
    (("categories", 0, "name"), None, "category", "category 1", "1 to 64 printable characters, got None"),
    (("categories", 1, "name"), "cranium", "category", "category 2", "'cranium' is the name of two categories"),
    (("categories", 0, "id"), "1", "id", "category at place 0", "id is '1', expected an integer"),
    (("categories", 1, "id"), 1, "double-id", "category 1", "id 1 occurs twice"),
    (("images", 1, "id"), 7, "double-id", "image 7", "id 7 occurs twice"),
    (("images", 1, "id"), None, "id", "image at place 1", "id is None, expected an integer"),
    (("images", 1), "b.png", "record", "image at place 1", "is a str, expected an object"),
    (("images", 0, "width"), 0, "size", "image 7", "0x40 is not a size in pixels"),
    (("images", 1, "height"), True, "size", "image 9", "60xTrue is not a size"),
    (("images", 1, "width"), 61, "file-size", "image 9", "b.png is 60x40 px; its record says 61x40"),
    (("images", 1, "file_name"), "c/b.png", "file-missing", "image 9", "there is no file"),
    (("images", 1, "file_name"), "", "file-name", "image 9", "file_name is ''"),
    (("images", 1, "file_name"), 3, "file-name", "image 9", "file_name is 3"),
    (("images", 1, "file_name"), "a.png", "file-twice", "image 9", "a.png is also the file of image 7"),
    (("images", 0, "annotated_category_ids"), [1, 6, 99], "listing", "image 7", "holds 99, which is no category"),
    (("images", 0, "annotated_category_ids"), 6, "listing", "image 7", "is 6, expected a list"),
    (("images", 0, "visible_category_ids"), ["x"], "listing", "image 7", "visible_category_ids holds x"),
    (("images", 0, "patient"), " ", "patient", "image 7", "patient is ' '"),
    (("images", 0, "patient"), ["p"], "patient", "image 7", r"patient is ['p']"),
    (("images", 1, "view"), "sagittal", "view", "image 9", "view is 'sagittal', expected one of head, neck"),
    (("images", 1, "view"), 2, "view", "image 9", "view is 2, expected a text"),
    (("images", 1, "spacing_mm"), [0.1], "spacing", "image 9", "spacing_mm is [0.1], expected [row, column]"),
    (("images", 1, "spacing_mm"), [0.1, 0], "spacing", "image 9", "both above 0"),
    (("images", 1, "pixel_size_mm"), "0.1", "spacing", "image 9", "pixel_size_mm is '0.1', expected a number"),
    (("images", 1, "crl_mm"), -60, "spacing", "image 9", "crl_mm is -60, expected a number of mm above 0"),
    (("annotations", 1), None, "record", "annotation at place 1", "is a NoneType, expected an object"),
    (("annotations", 1, "id"), 1, "double-id", "annotation 1", "id 1 occurs twice"),
    (("annotations", 1, "image_id"), 8, "orphan", "annotation 2", "belongs to image 8, which is not in the file"),
    (("annotations", 1, "image_id"), [7], "orphan", "annotation 2", "belongs to image [7]"),
    (("annotations", 1, "category_id"), 18, "category", "annotation 2", "category_id 18 is no category of the file"),
    (("annotations", 1, "category_id"), 4, "not-listed", "annotation 2", "is a nasal_bone, which image 7 doesn't list"),
    (("annotations", 1, "iscrowd"), 2, "crowd", "annotation 2", "iscrowd is 2, expected 0 or 1"),
    (("annotations", 1, "bbox"), [5, 5, 30], "box", "annotation 2", "is not x, y, width > 0, height > 0"),
    (("annotations", 1, "bbox"), None, "box", "annotation 2", "bbox None is not x, y"),
    (("annotations", 1, "bbox"), [5, 5, 10**400, 6], "box", "annotation 2", "is not x, y"),
    (("annotations", 1, "bbox"), [50, 5, 30, 6], "box-outside", "annotation 2", "reaches outside the 60x40 image"),
    (("annotations", 0, "bbox"), [20, 10, 20, 23], "box-mask", "annotation 1", "3.0 px off its mask, which spans"),
    (("annotations", 2, "bbox"), [13, 10, 8, 4], "box-mask", "annotation 3", "3.0 px off its mask"),
    (("annotations", 0, "segmentation", "size"), [60, 40], "rle-size", "annotation 1", "expected its image's [40, 60]"),
    (("annotations", 0, "segmentation", "counts"), [5], "rle", "annotation 1", "covers 5 pixels, expected 40 x 60"),
    (("annotations", 0, "segmentation", "counts"), [2400], "mask-empty", "annotation 1", "the mask holds no pixel"),
    (("annotations", 0, "segmentation"), {"size": [40, 60]}, "rle", "annotation 1", "RLE without counts"),
    (("annotations", 2, "segmentation"), "0,0", "segmentation", "annotation 3", "is a str, expected RLE or polygons"),
    (("annotations", 2, "segmentation"), [[1, 2, 3, 4]], "polygon", "annotation 3", "at least 3 points"),
    (
        ("annotations", 2, "segmentation"),
        [[10, 10, 14, 12, 18, 14]],
        "mask-empty",
        "annotation 3",
        "has no area",
    ),
    (
        ("annotations", 2, "segmentation"),
        [[10.6, 10, 10.9, 10, 10.9, 14, 10.6, 14]],
        "mask-empty",
        "annotation 3",
        "cover no pixel's centre",
    ),
    (
        ("annotations", 2, "segmentation"),
        [[10, 10, 18, 14, 18, 10, 10, 14]],
        "polygon-crossing",
        "annotation 3",
        "polygon 1 of 1 crosses itself near x 14.0, y 12.0",
    ),
]


@pytest.mark.parametrize(("path", "value", "rule", "where", "message"), MISTAKES)
def test_a_mistake_is_named_with_its_record(write_set, content, path, value, rule, where, message):
    folder = write_set(content)
    change(content, path, value)
    (folder / "instances.json").write_text(json.dumps(content))

    findings = found(folder)

    told = [f for f in findings if f[0] == "problem" and f[1] == rule]
    assert {f[:3] for f in told} == {("problem", rule, where)}
    assert any(message in f[3] for f in told)


def test_a_polygon_that_leaves_the_image_is_found_though_its_box_does_not(write_set, content):
    content["annotations"][2]["segmentation"] = [[10, 10, 18, 10, 18, 14, -5, 14]]

    rules = [finding[1] for finding in found(write_set(content))]

    assert rules == ["polygon-outside", "box-mask"]


def test_a_box_within_two_pixels_of_its_mask_agrees_with_it(write_set, content):
    content["annotations"][0]["bbox"] = [18, 12, 21, 18]

    assert found(write_set(content)) == []


def test_scales_that_contradict_each_other_are_a_problem(write_set, content):
    content["images"][0] |= {"spacing_mm": [0.1, 0.1], "pixel_size_mm": 0.2}
    content["images"][1] |= {"spacing_mm": [0.1, 0.12], "pixel_size_mm": 0.1}

    assert found(write_set(content)) == [
        ("problem", "spacing", "image 7", "pixel_size_mm is 0.2, but spacing_mm is [0.1, 0.1]")
    ]


def test_all_mistakes_are_found_at_once(write_set, content):
    folder = write_set(content)
    content["categories"].append({"id": 5, "name": "palate"})
    content["images"][0] |= {"view": "side", "patient": ""}
    content["annotations"][0] |= {"bbox": [20, 10, 20, 60], "iscrowd": "no", "segmentation": [[0, 0, 1, 1]]}
    content["annotations"][1] |= {"image_id": 70, "category_id": 70}
    (folder / "instances.json").write_text(json.dumps(content))
    (folder / "images" / "b.png").write_bytes(b"no picture")

    rules = [finding[1] for finding in found(folder)]

    expected = "double-id category view patient patient crowd box-outside polygon category orphan file-unreadable"
    assert sorted(rules) == sorted(expected.split())


def test_whatever_reading_refuses_is_a_problem_here(write_set, content):
    """One after another, each mistake of the table above that stops `read_coco` also fails the check."""
    folder = write_set(content)
    refused = 0
    for path, value, *_ in MISTAKES:
        changed = copy.deepcopy(content)
        change(changed, path, value)
        (folder / "instances.json").write_text(json.dumps(changed))
        try:
            read_coco(folder)
        except DataError:
            refused += 1
            assert check_sets([[folder]]).problems, path
    assert refused > 20


def test_a_truncated_image_is_unreadable(write_set, content):
    folder = write_set(content)
    file = folder / "images" / "a.png"
    file.write_bytes(file.read_bytes()[:-40])

    ((level, rule, where, message),) = found(folder)

    assert (level, rule, where) == ("problem", "file-unreadable", "image 7")
    assert str(file) in message


def test_the_same_annotation_twice_is_a_problem_and_two_of_a_kind_are_worth_a_look(write_set, content):
    content["annotations"].append({**content["annotations"][1], "id": 4})
    content["annotations"].append({**content["annotations"][1], "id": 5, "bbox": [6, 6, 20, 6]})

    findings = found(write_set(content))

    assert findings == [
        ("problem", "double", "annotation 4", "is the same as annotation 2: image, category and outline"),
        (
            "note",
            "several",
            "image 7",
            "3 annotations of nuchal_translucency; a fetus has one, so this is either a mistake or twins",
        ),
    ]


def test_other_names_are_a_taxonomy_and_a_mix_with_known_ones_is_worth_a_look(write_set, content):
    for category in content["categories"]:
        category["name"] = f"own {category['id']}"
    content["images"][1]["view"] = "four chambers"
    assert found(write_set(content, "own")) == []

    content["categories"][0]["name"] = "cranium"
    ((level, rule, where, message),) = found(write_set(content, "mixed"))
    assert (level, rule, where) == ("note", "category", "categories")
    assert "a slip in a name looks the same" in message


def test_images_without_a_patient_among_others_are_worth_a_look(write_set, content):
    del content["images"][1]["patient"]

    assert found(write_set(content)) == [
        ("note", "patient", "images", "1 of 2 images name no patient: each counts as one of its own in a split")
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"\x89PNG", "is not JSON"),
        (b"", "is not JSON"),
        (b"[" * 100_000, "is not JSON"),
        (b"[1]", "is not a COCO file: it holds a list, expected an object"),
        (b"{}", "is not a COCO file: it has no 'images', expected a list; it holds nothing"),
        (b'{"images": [], "annotations": 3}', "its 'annotations' is a int, expected a list; it holds 'images', "),
        (b'{"images": [], "annotations": []}', "it has no 'categories', expected a list"),
    ],
)
def test_what_is_not_coco_at_all_is_an_error(tmp_path, text, message):
    (tmp_path / "instances.json").write_bytes(text)

    with pytest.raises(DataError, match=r"instances\.json .*" + message):
        check_sets([[tmp_path]])


def test_a_folder_without_annotations_is_an_error(tmp_path):
    with pytest.raises(DataError, match=r"can't read .*instances\.json: No such file"):
        check_sets([[tmp_path]])


def test_an_empty_set_is_a_problem_and_not_a_crash(tmp_path):
    (tmp_path / "instances.json").write_text('{"images": [], "annotations": [], "categories": []}')

    assert [finding[1:3] for finding in found(tmp_path)] == [("category", "categories"), ("record", "images")]


def test_progress_counts_every_file_once(write_set, content):
    folder = write_set(content)
    seen = []

    check_sets([[folder], [folder]], progress=lambda done, total: seen.append((done, total)))

    assert sorted(seen) == [(1, 2), (2, 2)]


def test_the_report_as_json_holds_every_finding(write_set, content):
    content["annotations"][1]["category_id"] = 18
    folder = write_set(content)

    report = json.loads(json.dumps(check_sets([[folder]]).to_json()))

    file = str(folder / "instances.json")
    assert report == {
        "schema": 1,
        "problems": 1,
        "sets": [{"file": file, "images": 2, "annotations": 3}],
        "findings": [
            {
                "level": "problem",
                "rule": "category",
                "file": file,
                "where": "annotation 2",
                "message": "category_id 18 is no category of the file",
            }
        ],
    }


def test_images_elsewhere_are_found_in_the_given_folder(write_set, content):
    folder = write_set(content, images="elsewhere")

    assert check_sets([[folder]], images=folder / "elsewhere").findings == ()
    assert [f.rule for f in check_sets([[folder]]).findings] == ["file-missing", "file-missing"]
