"""`fetalseg data` as a user calls it: what is printed, what is written, and the exit codes."""

import json

import cv2
import numpy as np
import pytest

from fetalseg.anatomy import coco_categories
from fetalseg.cli import main
from fetalseg.data.coco import read_coco


@pytest.fixture(scope="module")
def hospital(tmp_path_factory):
    """24 frames of four patients, heads and profiles in turn, with a mask and a scale in each."""
    folder = tmp_path_factory.mktemp("data") / "hospital"
    (folder / "images").mkdir(parents=True)
    rng = np.random.default_rng(0)
    images, annotations = [], []
    for i in range(24):
        pixels = cv2.resize(rng.integers(0, 256, (6, 9)).astype(np.uint8), (96, 64), interpolation=cv2.INTER_CUBIC)
        cv2.imwrite(str(folder / "images" / f"{i}.png"), pixels)
        image = {"id": i, "file_name": f"{i}.png", "width": 96, "height": 64, "pixel_size_mm": 0.2}
        images.append({**image, "patient": f"p{i // 6}", "view": ("head", "neck")[i % 2], "probe": f"probe {i // 8}"})
        x, y, w, h = (20 + i, 10, 30, 40) if i % 2 == 0 else (10, 20 + i, 40, 8)
        annotation = {"id": i + 1, "image_id": i, "category_id": (1, 6)[i % 2], "iscrowd": 0, "bbox": [x, y, w, h]}
        annotations.append({**annotation, "segmentation": [[x, y, x + w, y, x + w, y + h, x, y + h]]})
    content = {"categories": coco_categories(), "images": images, "annotations": annotations}
    (folder / "instances.json").write_text(json.dumps(content))
    return folder


@pytest.fixture
def broken(hospital, tmp_path):
    """A set with three mistakes beside the images of the sound one."""
    content = json.loads((hospital / "instances.json").read_text())
    content["images"][0]["view"] = "side"
    content["images"][1]["file_name"] = "gone.png"
    content["annotations"][0]["bbox"] = [90, 5, 30, 6]
    for image in content["images"]:
        image["file_name"] = str(hospital / "images" / image["file_name"])
    (tmp_path / "instances.json").write_text(json.dumps(content))
    return tmp_path


def test_a_clean_set_passes_the_check(hospital, capsys):
    assert main(["data", "check", str(hospital)]) == 0

    file = hospital / "instances.json"
    assert capsys.readouterr().out == f"{file}: 24 images, 24 annotations\nnothing wrong\n"


def test_the_check_lists_problems_and_fails(broken, capsys):
    assert main(["data", "check", str(broken)]) == 1

    out = capsys.readouterr().out
    assert "view is 'side', expected one of head, neck" in out
    assert "there is no file" in out
    assert "annotation 1 " in out
    assert "reaches outside the 96x64 image" in out
    assert out.splitlines()[-1] == "3 problems, 0 notes"


def test_the_check_speaks_json(broken, capsys):
    assert main(["data", "check", str(broken), "--json"]) == 1

    report = json.loads(capsys.readouterr().out)
    problems = [finding["rule"] for finding in report["findings"] if finding["level"] == "problem"]
    assert sorted(problems) == ["box-outside", "file-missing", "view"]


def test_long_lists_are_cut_and_the_rest_is_counted(hospital, tmp_path, capsys):
    content = json.loads((hospital / "instances.json").read_text())
    for image in content["images"]:
        image["view"] = "side"
    (tmp_path / "instances.json").write_text(json.dumps(content))

    assert main(["data", "check", str(tmp_path), "--images", str(hospital / "images"), "--show", "3"]) == 1

    out = capsys.readouterr().out
    assert out.count("view is 'side'") == 3
    assert "21 more problems of the kind view: --show 24 or --json lists them" in out


def test_a_set_checked_against_itself_shares_its_patients_and_images(hospital, tmp_path, capsys):
    content = json.loads((hospital / "instances.json").read_text())
    (tmp_path / "copy").mkdir()
    (tmp_path / "copy" / "instances.json").write_text(json.dumps(content))
    (tmp_path / "copy" / "images").symlink_to(hospital / "images")

    assert main(["data", "check", str(hospital), str(tmp_path / "copy"), "--json"]) == 1

    findings = json.loads(capsys.readouterr().out)["findings"]
    shared = [finding["where"] for finding in findings if finding["rule"] == "patient-in-two"]
    assert len(shared) == 4
    between = [finding for finding in findings if finding["rule"] == "duplicate" and finding["level"] == "problem"]
    assert len(between) == 24


@pytest.mark.parametrize("action", ["check", "stats"])
def test_what_is_no_set_is_a_clear_error(action, tmp_path, capsys):
    (tmp_path / "notes.json").write_text("no JSON")

    assert main(["data", action, str(tmp_path / "notes.json")]) == 1

    assert f"fetalseg data: {tmp_path / 'notes.json'} is not JSON" in capsys.readouterr().err


def test_stats_print_a_table_and_write_charts(hospital, tmp_path, capsys):
    pytest.importorskip("matplotlib", reason="charts need the extra data")
    assert main(["data", "stats", str(hospital), "--out", str(tmp_path / "out")]) == 0

    out = capsys.readouterr().out
    assert "hospital: 24 images, 4 patients, 24 with a scale in mm" in out
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "stats.json",
        "images.png",
        "structures.png",
        "sizes.png",
    }
    (figures,) = json.loads((tmp_path / "out" / "stats.json").read_text())["sets"]
    assert sum(figures["views"].values()) == 24


def test_stats_speak_json(hospital, capsys):
    assert main(["data", "stats", str(hospital), "--json"]) == 0

    assert json.loads(capsys.readouterr().out)["sets"][0]["patients"] == 4


def test_a_split_passes_the_check_and_its_parts_are_sets(hospital, tmp_path, capsys):
    out = tmp_path / "out"
    assert main(["data", "split", str(hospital), "--out", str(out), "--repeats", "2", "--seed", "1"]) == 0

    text = capsys.readouterr().out
    assert "No patient is in two parts." in text
    assert f"wrote {out / 'splits.json'}" in text
    parts = [read_coco(out / name).images for name in ("hospital-test", "hospital-train-1", "hospital-validation-1")]
    assert sum(map(len, parts)) == 24
    assert main(["data", "check", str(out)]) == 0
    assert capsys.readouterr().out.endswith("nothing wrong\n")


def test_a_split_without_patients_says_that_it_is_by_image(hospital, tmp_path, capsys):
    content = json.loads((hospital / "instances.json").read_text())
    for image in content["images"]:
        del image["patient"]
        image["file_name"] = str(hospital / "images" / image["file_name"])
    (tmp_path / "instances.json").write_text(json.dumps(content))

    assert main(["data", "split", str(tmp_path), "--out", str(tmp_path / "out")]) == 0

    assert "By image: no image names a patient" in capsys.readouterr().out


def test_a_split_says_that_images_without_a_patient_may_be_on_two_sides(hospital, tmp_path, capsys):
    content = json.loads((hospital / "instances.json").read_text())
    for image in content["images"]:
        image["file_name"] = str(hospital / "images" / image["file_name"])
        if image["id"] >= 12:
            del image["patient"]
    (tmp_path / "instances.json").write_text(json.dumps(content))

    assert main(["data", "split", str(tmp_path), "--out", str(tmp_path / "out")]) == 0

    out = capsys.readouterr().out
    assert "No patient that is named is in two parts; images that name none were split one by one" in out


def test_a_split_may_keep_another_field_together(hospital, tmp_path, capsys):
    assert main(["data", "split", str(hospital), "--out", str(tmp_path / "out"), "--group", "probe"]) == 0
    assert "No group is in two parts." in capsys.readouterr().out
    assert (
        sorted(len(read_coco(path.parent).images) for path in (tmp_path / "out").glob("*/instances.json")) == [8] * 11
    )

    assert main(["data", "split", str(hospital), "--out", str(tmp_path / "other"), "--group", "ward"]) == 1
    assert "no image has the field 'ward'" in capsys.readouterr().err


def test_view_writes_a_contact_sheet(hospital, tmp_path, capsys):
    sheet = tmp_path / "new" / "sheet.jpg"
    assert main(["data", "view", str(hospital), "--out", str(sheet), "--frames", "4"]) == 0

    assert capsys.readouterr().out.startswith(f"wrote {sheet}: 4 of 24 frames, 818x")
    assert np.ptp(cv2.imread(str(sheet)).astype(int), axis=2).max() > 60


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--out", "sheet.gif"], "--out must end in .jpg, .jpeg, .png, got sheet.gif"),
        (["--out", "sheet.png", "--view", "side"], "no image of view side; there are 24, of the views: head, neck"),
        (["--out", "sheet.png", "--structure", "skull"], "unknown structure 'skull'; the set has cranium"),
    ],
)
def test_view_refuses_what_it_cannot_show(hospital, options, message, capsys):
    assert main(["data", "view", str(hospital), *options]) == 1

    assert message in capsys.readouterr().err


def test_import_writes_a_set_and_says_what_was_left_out(tmp_path, capsys):
    images = tmp_path / "training_set"
    images.mkdir()
    outline = np.zeros((108, 160), np.uint8)
    for name in ("001_HC", "002_HC"):
        cv2.imwrite(str(images / f"{name}.png"), np.full((108, 160), 40, np.uint8))
        cv2.imwrite(str(images / f"{name}_Annotation.png"), outline)
        cv2.ellipse(outline, (80, 54), (50, 35), 0, 0, 360, 255, 1)
    table = "filename,pixel size(mm),head circumference (mm)\n001_HC.png,0.1,60\n002_HC.png,0.1,61\n"
    (tmp_path / "training_set_pixel_size_and_HC.csv").write_text(table)

    assert main(["data", "import", "hc18", str(tmp_path), "--out", str(tmp_path / "set")]) == 0

    assert capsys.readouterr().out == (
        "left out: 001_HC.png: its annotation holds no outline\n"
        f"1 images, 1 annotations: {tmp_path / 'set' / 'instances.json'}\n"
    )


def test_anchors_are_measured_and_fitted(hospital, capsys):
    pytest.importorskip("torch", reason="networks need the extra train")

    assert main(["data", "anchors", str(hospital), "--variant", "fetalseg-test", "--count", "2"]) == 0

    lines = capsys.readouterr().out.splitlines()
    total = next(line.split() for line in lines if line.startswith("all "))
    # 12 crania of 30 x 40 px and 12 translucencies of 40 x 8 px, and shapes enough for both: every box has its own.
    assert (total[1], total[4], total[5]) == ("24", "1.000", "1.000")
    assert {tuple(line.split()[2:4]) for line in lines if line.startswith("P")} == {("30.0", "40.0"), ("40.0", "8.0")}


def test_anchors_name_the_variants_there_are(hospital, capsys):
    pytest.importorskip("torch", reason="networks need the extra train")

    assert main(["data", "anchors", str(hospital), "--variant", "big"]) == 1

    assert "unknown variant 'big'; expected one of yolact-r50" in capsys.readouterr().err


def test_the_actions_are_listed(capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["data", "--help"])

    assert stopped.value.code == 0
    listed = capsys.readouterr().out
    assert all(f"    {word} " in listed for word in ("check", "stats", "split", "view", "import", "anchors"))


def test_a_part_is_selected_by_what_the_records_say(hospital, tmp_path, capsys):
    words = ["data", "select", str(hospital), "--where", "view=neck", "--where", "probe=probe 2", "--out"]

    assert main([*words, str(tmp_path / "part")]) == 0

    part = read_coco(tmp_path / "part")
    # Frames 16 to 23 are of probe 2, every second of them a neck.
    assert [image.id for image in part.images] == [17, 19, 21, 23]
    assert part.images[0].pixels().shape == (64, 96)
    assert f"wrote {tmp_path / 'part' / 'instances.json'}: 4 of 24 images" in capsys.readouterr().out
    assert main([*words, str(tmp_path / "part")]) != 0
    assert "exists; expected a folder without a set" in capsys.readouterr().err


def test_a_selection_without_an_image_is_refused(hospital, tmp_path, capsys):
    assert main(["data", "select", str(hospital), "--where", "pixel_size_mm>1", "--out", str(tmp_path / "part")]) != 0
    assert "no image of" in capsys.readouterr().err
    assert not (tmp_path / "part").exists()
