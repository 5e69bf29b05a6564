"""HC18 as its publishers lay it out: small fakes of it, and what is told where something is different."""

import json

import cv2
import numpy as np
import pytest

from fetalseg.data.check import check_sets
from fetalseg.data.coco import read_coco
from fetalseg.data.importers.hc18 import filled, import_hc18
from fetalseg.errors import DataError

HEADER = "filename,pixel size(mm),head circumference (mm)"
NAMES = ("000_HC.png", "010_HC.png", "010_2HC.png")
AXES = (150, 110)  # px, half axes of the drawn ellipses


def draw_outline(centre, axes=AXES):
    outline = np.zeros((540, 800), np.uint8)
    cv2.ellipse(outline, centre, axes, 0, 0, 360, 255, 1)
    return outline


@pytest.fixture
def publisher(tmp_path):
    """Three images of two subjects, the table beside the folder of images."""
    folder = tmp_path / "HC18"
    (folder / "training_set").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for i, name in enumerate(NAMES):
        pixels = cv2.resize(rng.integers(0, 256, (27, 40)).astype(np.uint8), (800, 540))
        cv2.imwrite(str(folder / "training_set" / name), pixels)
        cv2.imwrite(
            str(folder / "training_set" / name.replace(".png", "_Annotation.png")), draw_outline((400, 250 + 10 * i))
        )
    rows = [f"{name},0.08,{65.125 + i}" for i, name in enumerate(NAMES)]
    (folder / "training_set_pixel_size_and_HC.csv").write_text("\n".join([HEADER, *rows]) + "\n")
    return folder


def test_each_head_becomes_a_filled_cranium(publisher, tmp_path):
    done = import_hc18(publisher, tmp_path / "set")

    assert (done.images, done.annotations, done.left_out) == (3, 3, ())
    assert done.path == tmp_path / "set" / "instances.json"
    assert check_sets([[done.path]]).findings == ()
    source = read_coco(done.path)
    assert [image.path.name for image in source.images] == ["hc18_000_HC.jpg", "hc18_010_HC.jpg", "hc18_010_2HC.jpg"]
    assert [image.patient for image in source.images] == ["000", "010", "010"]
    mask = source.images[0].annotations[0].mask(432, 640)
    # 800 px became 640: half axes of 120.4 and 88.4 px with the drawn line.
    assert mask.sum() == pytest.approx(np.pi * 120.4 * 88.4, rel=0.005)
    assert mask[200, 320]
    assert source.images[0].annotations[0].bbox == pytest.approx((199.6, 111.6, 240.8, 176.8), abs=1)


def test_records_say_what_is_known_in_a_head(publisher, tmp_path):
    content = json.loads(import_hc18(publisher, tmp_path / "set").path.read_text())

    assert content["images"][2] == {
        "id": 3,
        "file_name": "hc18_010_2HC.jpg",
        "height": 432,
        "width": 640,
        "annotated_category_ids": [1, 4, 5, 6, 7, 8, 9, 10],
        "view": "head",
        "patient": "010",
        "pixel_size_mm": 0.1,  # 0.08 mm a published pixel, 800 of them in 640
        "head_circumference_mm": 67.12,
    }
    assert content["info"]["licence"] == "CC BY 4.0"
    assert "van den Heuvel" in content["info"]["attribution"]


def test_images_keep_their_look(publisher, tmp_path):
    source = read_coco(import_hc18(publisher, tmp_path / "set").path)
    original = cv2.imread(str(publisher / "training_set" / NAMES[0]), cv2.IMREAD_GRAYSCALE)

    pixels = source.images[0].pixels()

    expected = cv2.resize(original, (640, 432), interpolation=cv2.INTER_AREA)
    assert np.abs(pixels.astype(int) - expected).mean() < 2


def test_the_folder_of_images_may_be_named_with_the_table_inside_or_beside(publisher, tmp_path):
    inner = publisher / "training_set"
    assert import_hc18(inner, tmp_path / "a").images == 3
    (publisher / "training_set_pixel_size_and_HC.csv").rename(inner / "training_set_pixel_size_and_HC.csv")
    assert import_hc18(inner, tmp_path / "b").images == 3
    assert import_hc18(publisher, tmp_path / "c").images == 3


def test_an_archive_may_be_unpacked_into_a_folder_of_its_name_beside_the_test_set(publisher, tmp_path):
    (publisher / "training_set").rename(publisher / "inner")
    (publisher / "training_set").mkdir()
    (publisher / "inner").rename(publisher / "training_set" / "training_set")
    (publisher / "test_set").mkdir()
    cv2.imwrite(str(publisher / "test_set" / "000_HC.png"), np.zeros((540, 800), np.uint8))

    source = read_coco(import_hc18(publisher, tmp_path / "set").path)

    assert len(source.images) == 3
    assert source.images[0].pixels().max() > 0


def test_progress_counts_images(publisher, tmp_path):
    seen = []

    import_hc18(publisher, tmp_path / "set", progress=lambda done, total: seen.append((done, total)))

    assert seen == [(1, 3), (2, 3), (3, 3)]


def test_an_outline_that_leaves_the_frame_is_closed_by_its_ellipse():
    outline = draw_outline((750, 250))

    region = filled(outline)

    yy, xx = np.mgrid[:540, :800]
    inside = ((xx - 750) / 150) ** 2 + ((yy - 250) / 110) ** 2 <= 1
    assert (region & inside).sum() / (region | inside).sum() > 0.97


def test_an_empty_annotation_is_left_out_and_said(publisher, tmp_path):
    cv2.imwrite(str(publisher / "training_set" / "010_HC_Annotation.png"), np.zeros((540, 800), np.uint8))

    done = import_hc18(publisher, tmp_path / "set")

    assert done.images == 2
    assert done.left_out == ("010_HC.png: its annotation holds no outline",)


def test_an_image_that_the_table_does_not_list_is_left_out_and_said(publisher, tmp_path):
    write_table(publisher, f"{HEADER}\n000_HC.png,0.08,60\n010_HC.png,0.08,60\n")

    done = import_hc18(publisher, tmp_path / "set")

    assert done.images == 2
    assert done.left_out == ("010_2HC.png: not in training_set_pixel_size_and_HC.csv",)


def write_table(publisher, text):
    (publisher / "training_set_pixel_size_and_HC.csv").write_text(text)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("", "expected the column 'filename', found none"),
        ("filename,pixel size(mm)\n", r"expected the column 'head circumference \(mm\)', found filename, pixel size"),
        (HEADER + "\n", "expected a row for each image, found none"),
        (HEADER + "\n000_HC.png,0.08,wide\n", "line 2: expected lengths in mm, found '0.08' and 'wide'"),
        (HEADER + "\n000_HC.png\n", "line 2: expected lengths in mm, found None and None"),
        (HEADER + "\nhead.png,0.08,60\n", "file name 'head.png', expected one such as 001_HC.png or 010_2HC.png"),
        (HEADER + "\n777_HC.png,0.08,60\n", r"can't read .*777_HC\.png: No such file"),
    ],
)
def test_a_table_that_does_not_fit_is_a_clear_error(publisher, tmp_path, table, message):
    write_table(publisher, table)

    with pytest.raises(DataError, match=message):
        import_hc18(publisher, tmp_path / "set")


def test_another_layout_says_what_was_expected_and_found(publisher, tmp_path):
    with pytest.raises(DataError, match=r"expected training_set_pixel_size_and_HC\.csv .* found no such folder"):
        import_hc18(tmp_path / "nowhere", tmp_path / "set")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"expected training_set_pixel_size_and_HC\.csv .* found an empty folder"):
        import_hc18(tmp_path / "empty", tmp_path / "set")
    for outline in (publisher / "training_set").glob("*_Annotation.png"):
        outline.unlink()
    with pytest.raises(
        DataError, match=r"expected outlines called 001_HC_Annotation\.png .* found training_set/, train"
    ):
        import_hc18(publisher, tmp_path / "set")


def test_an_outline_of_another_size_is_a_clear_error(publisher, tmp_path):
    cv2.imwrite(str(publisher / "training_set" / "000_HC_Annotation.png"), np.zeros((30, 50), np.uint8))

    with pytest.raises(DataError, match=r"000_HC\.png: the outline has 50x30 px, its image 800x540"):
        import_hc18(publisher, tmp_path / "set")


def test_a_set_is_not_written_over_another(publisher, tmp_path):
    import_hc18(publisher, tmp_path / "set")

    with pytest.raises(DataError, match=r"instances\.json exists; expected a folder without a set"):
        import_hc18(publisher, tmp_path / "set")
