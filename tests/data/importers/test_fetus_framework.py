"""The Dataset for Fetus Framework as its publishers lay it out: small fakes of it, and what is told otherwise."""

import json

import cv2
import numpy as np
import pytest

from fetalseg.data.check import check_sets
from fetalseg.data.coco import read_coco
from fetalseg.data.importers.fetus_framework import import_fetus_framework
from fetalseg.errors import DataError

openpyxl = pytest.importorskip("openpyxl", reason="reading the table needs the extra data")

SET1 = "Set1-Training&Validation Sets CNN/Standard"
EXTERNAL = "External Test Set/Standard"
COLUMNS = ("fname", "structure", "h_min", "w_min", "h_max", "w_max")
# Rows and columns in pixels of 1000 x 700 images; 0.64 of them stay.
ROWS = [
    ("3.png", "NT", 500, 200, 550, 500),
    ("3.png", "palate", 200, 300, 250, 400),
    ("3.png", "thalami", 100, 100, 150, 160),
    ("20.png", "nasal bone", 100, 400, 112.5, 450),
    ("100.png", "NT", 400, 100, 450, 300),
    ("100.png", "nasal bone", 90, 300, 100, 350),
    ("100.png", "palate", 190, 300, 240, 380),
    ("5.png", "cisterna magna", 10, 10, 30, 30),
]
PLACES = {"3.png": SET1, "20.png": SET1, "100.png": EXTERNAL, "5.png": SET1}


def write_table(folder, rows, columns=COLUMNS):
    book = openpyxl.Workbook()
    for row in (columns, *rows):
        book.active.append(row)
    book.save(folder / "ObjectDetection.xlsx")


@pytest.fixture
def publisher(tmp_path):
    folder = tmp_path / "Dataset for Fetus Framework"
    rng = np.random.default_rng(0)
    for name, place in PLACES.items():
        (folder / place).mkdir(parents=True, exist_ok=True)
        pixels = cv2.resize(rng.integers(0, 256, (7, 10, 3)).astype(np.uint8), (1000, 700))
        cv2.imwrite(str(folder / place / name), pixels)
    write_table(folder, ROWS)
    return folder


def test_boxes_of_our_structures_are_taken_with_the_frames(publisher, tmp_path):
    done = import_fetus_framework(publisher, tmp_path / "set")

    assert (done.images, done.annotations, done.left_out) == (3, 6, ())
    assert check_sets([[done.path]]).findings == ()
    source = read_coco(done.path)
    assert [image.path.name for image in source.images] == ["nt_0003.jpg", "nt_0020.jpg", "nt_0100.jpg"]
    assert not source.has_masks
    first = {source.structures[a.label]: a.bbox for a in source.images[0].annotations}
    # x = 0.64 w_min, y = 0.64 h_min; 300 columns and 50 rows for the translucency
    assert first == {"palate": (192, 128, 64, 32), "nuchal_translucency": (128, 320, 192, 32)}


def test_a_column_of_row_numbers_without_a_name_is_passed_over(publisher, tmp_path):
    write_table(publisher, [(i, *row) for i, row in enumerate(ROWS)], (None, *COLUMNS))

    assert import_fetus_framework(publisher, tmp_path / "set").annotations == 6


def test_only_what_is_boxed_or_ruled_out_by_the_view_is_known(publisher, tmp_path):
    content = json.loads(import_fetus_framework(publisher, tmp_path / "set").path.read_text())

    assert content["images"][0] == {
        "id": 1,
        "file_name": "nt_0003.jpg",
        "height": 448,
        "width": 640,
        "annotated_category_ids": [1, 2, 3, 5, 6, 7, 8, 9, 10],
        "view": "neck",
        "source": SET1,
    }
    assert content["images"][1]["annotated_category_ids"] == [1, 2, 3, 4, 7, 8, 9, 10]
    assert content["images"][2]["source"] == EXTERNAL
    assert content["info"]["licence"] == "CC BY 4.0"
    assert "Mendeley" in content["info"]["attribution"]


def test_the_archive_may_hold_one_folder_more(publisher, tmp_path):
    assert import_fetus_framework(publisher.parent, tmp_path / "set").images == 3


def test_contradicting_boxes_leave_a_structure_unknown_and_equal_ones_count_once(publisher, tmp_path):
    write_table(publisher, [*ROWS, ("3.png", "NT", 300, 100, 350, 200), ("20.png", "nasal bone", 100, 400, 112.5, 450)])

    done = import_fetus_framework(publisher, tmp_path / "set")

    assert done.left_out == ("3.png: 2 different boxes of nuchal_translucency, expected one",)
    source = read_coco(done.path)
    assert [len(image.annotations) for image in source.images] == [1, 1, 3]
    assert source.structures.index("nuchal_translucency") not in source.images[0].known


def test_rows_that_are_no_boxes_are_left_out_and_said(publisher, tmp_path):
    rows = [
        ("3.png", "palate", 250, 300, 200, 400),
        ("20.png", "nasal bone", None, 400, 112, 450),
        ("100.png", "NT", 800, 100, 900, 300),
        ("9.png", "NT", 1, 1, 9, 9),
    ]
    write_table(publisher, [*rows, ("100.png", "palate", 650, 900, 720, 1050)])

    done = import_fetus_framework(publisher, tmp_path / "set")

    assert done.left_out == (
        "row 2: 3.png, palate: not the corners of a box",
        "row 3: 20.png, nasal bone: not the corners of a box",
        "9.png: in the table, but there is no such image",
        "100.png: nuchal_translucency lies outside the 1000x700 image",
    )
    # What reaches over the edge is cut there: columns 900 to 1000, rows 650 to 700.
    assert read_coco(done.path).images[0].annotations[0].bbox == (576, 416, 64, 32)


def test_an_image_whose_name_means_another_one_elsewhere_is_left_out_and_said(publisher, tmp_path):
    data = (publisher / SET1 / "3.png").read_bytes()
    (publisher / EXTERNAL / "3.png").write_bytes(data)
    assert import_fetus_framework(publisher, tmp_path / "a").images == 3

    (publisher / EXTERNAL / "3.png").write_bytes((publisher / SET1 / "20.png").read_bytes())
    done = import_fetus_framework(publisher, tmp_path / "b")
    assert done.left_out == (f"3.png: the name of different images, {EXTERNAL}/3.png and {SET1}/3.png",)
    assert [image.path.name for image in read_coco(done.path).images] == ["nt_0020.jpg", "nt_0100.jpg"]


@pytest.mark.parametrize(
    ("rows", "columns", "message"),
    [
        ([], (), "expected the column 'fname', found none"),
        ([], COLUMNS[:5], "expected the column 'w_max', found fname, structure, h_min, w_min, h_max"),
        (
            [("3.png", "kidney", 1, 1, 9, 9)],
            COLUMNS,
            "row 2: structure 'kidney', expected one of nt, nasal",
        ),
        ([("77.png", "NT", 1, 1, 9, 9)], COLUMNS, r"expected the images of the table .* such as 77\.png; found none"),
    ],
)
def test_a_table_that_does_not_fit_is_a_clear_error(publisher, tmp_path, rows, columns, message):
    write_table(publisher, rows, columns)

    with pytest.raises(DataError, match=message):
        import_fetus_framework(publisher, tmp_path / "set")


def test_a_table_that_is_no_workbook_is_a_clear_error(publisher, tmp_path):
    (publisher / "ObjectDetection.xlsx").write_bytes(b"PK no zip")

    with pytest.raises(DataError, match=r"can't read .*ObjectDetection\.xlsx"):
        import_fetus_framework(publisher, tmp_path / "set")


def test_another_layout_says_what_was_expected(tmp_path):
    with pytest.raises(DataError, match=r"expected ObjectDetection\.xlsx at any depth, .*; found an empty folder"):
        import_fetus_framework(tmp_path, tmp_path / "set")
    (tmp_path / "archive.zip").write_bytes(b"PK")
    with pytest.raises(DataError, match=r"archive\.zip: expected .*; found a file that is to be unpacked first"):
        import_fetus_framework(tmp_path / "archive.zip", tmp_path / "set")
