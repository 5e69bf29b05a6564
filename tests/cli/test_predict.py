"""`fetalseg predict`, run as a user does, on a model whose answer is known: one cranium in the middle of the frame."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from crafted_model import crafted_facts, write_crafted_model
from PIL import Image

from fetalseg.cli import main
from fetalseg.cli.predict import record
from fetalseg.frame import Frame
from fetalseg.instances import Instances
from fetalseg.sources import open_source
from fetalseg.sources.decode import decode_image


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Finds a cranium of score 0.9 in the box 8, 4, 24, 20 of its 32 x 24 input, in every frame."""
    return str(write_crafted_model(tmp_path_factory.mktemp("model") / "crafted.onnx"))


@pytest.fixture
def predict(model: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """Runs the command in an empty folder; the exit code comes back."""
    monkeypatch.chdir(tmp_path)
    return lambda *words: main(["predict", "--model", model, "--threads", "1", *map(str, words)])


def still(path: Path, level: int = 40) -> Path:
    """A gray image of 64 x 48 px, twice the size of the model's input."""
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(cv2.imencode(path.suffix, np.full((48, 64), level, np.uint8))[1].tobytes())
    return path


def cine(path: Path, frames: int = 6) -> Path:
    """20 frames a second of 64 x 48 px."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 20, (64, 48))
    for i in range(frames):
        writer.write(np.full((48, 64, 3), 10 * (i % 10), np.uint8))
    writer.release()
    return path


def lines_of(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_a_still_gives_one_line_with_its_structures_and_view(
    predict: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert predict(still(tmp_path / "head.png")) == 0
    first, last = capsys.readouterr().out.splitlines()
    assert first.startswith("head.png: head view; cranium 0.90; ")
    assert last.startswith("1 frame of 1 source, median ")


def test_json_says_where_everything_is_in_pixels_of_the_frame(
    predict: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = still(tmp_path / "head.png")
    assert predict(path, "--json", "-") == 0
    captured = capsys.readouterr()
    (entry,) = lines_of(captured.out)
    timing = entry.pop("timing_ms")
    assert set(timing) == {"preprocess", "infer", "postprocess"}
    assert all(ms >= 0 for ms in timing.values())
    (instance,) = entry.pop("instances")
    assert entry == {
        "source": str(path),
        "index": 0,
        "timestamp_ms": None,
        "width": 64,
        "height": 48,
        "spacing_mm": None,
        "view": {"name": "head", "score": 0.9},
    }
    (ring,) = instance.pop("polygon")
    # The outline reaches the box's edges; its corners are rounded.
    points = np.reshape(ring, (-1, 2))
    assert (points.min(axis=0).tolist(), points.max(axis=0).tolist()) == ([16, 8], [48, 40])
    assert instance == {"structure": "cranium", "structure_id": 1, "score": 0.9, "box": [16, 8, 48, 40]}
    # What a person reads stays out of the way of what a program reads.
    assert "head view" in captured.err


def test_json_can_go_to_a_file_with_runs_instead_of_polygons(predict: Any, tmp_path: Path) -> None:
    assert predict(still(tmp_path / "a.png"), "--json", "out.jsonl", "--masks", "rle", "--quiet") == 0
    (entry,) = lines_of((tmp_path / "out.jsonl").read_text())
    assert entry["instances"][0]["rle"]["size"] == [48, 64]
    assert "polygon" not in entry["instances"][0]


def test_a_full_disk_is_one_line(
    predict: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str], full_disk: Any
) -> None:
    image = still(tmp_path / "head.png")

    with full_disk(20):
        code = predict(image, "--json", "found.jsonl", "--quiet")

    assert code == 1
    assert capsys.readouterr().err == "fetalseg predict: File too large\n"


def test_masks_can_be_left_out(predict: Any, tmp_path: Path) -> None:
    assert predict(still(tmp_path / "a.png"), "--json", "out.jsonl", "--masks", "none", "--quiet") == 0
    (entry,) = lines_of((tmp_path / "out.jsonl").read_text())
    assert set(entry["instances"][0]) == {"structure", "structure_id", "score", "box"}


def test_areas_come_in_mm2_where_the_spacing_is_known() -> None:
    found = Instances(
        labels=np.array([5]),
        scores=np.array([0.51239], np.float32),
        boxes=np.array([[1, 2, 5, 4.123]], np.float32),
        crops=[np.ones((2, 4), np.bool_)],
        crop_boxes=np.array([[1, 2, 5, 4]]),
        frame_shape=(32, 32),
    )
    frame = Frame(np.zeros((32, 32), np.uint8), spacing_mm=(0.5, 0.25), timestamp_ms=40.0, index=1)
    entry = record(frame, found, source="loop.dcm", masks="polygon")
    (instance,) = entry["instances"]
    assert instance["area_mm2"] == 8 * 0.5 * 0.25
    assert (instance["structure"], instance["structure_id"]) == ("nuchal_translucency", 6)
    assert instance["score"] == 0.5124
    assert entry["view"] == {"name": "neck", "score": 0.5124}
    assert (entry["timestamp_ms"], entry["index"], entry["spacing_mm"]) == (40.0, 1, (0.5, 0.25))


def test_a_model_of_other_structures_is_reported_in_its_own_words(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = ("yolk sac", *(f"part {number}" for number in range(2, 18)))
    model = write_crafted_model(tmp_path / "crafted.onnx", facts=crafted_facts(structures=names).to_json())
    image, lines = still(tmp_path / "a.png"), tmp_path / "out.jsonl"
    assert main(["predict", str(image), "--model", str(model), "--json", str(lines), "--save", str(tmp_path)]) == 0
    (entry,) = lines_of(lines.read_text())
    assert entry["view"] is None
    assert [(found["structure"], found["structure_id"]) for found in entry["instances"]] == [("yolk sac", 1)]
    assert "a.png: no view; yolk sac 0.90; " in capsys.readouterr().out


def test_nothing_found_is_a_line_and_an_empty_list(
    predict: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert predict(still(tmp_path / "a.png"), "--min-score", "0.95", "--json", "out.jsonl") == 0
    assert "a.png: no view; nothing found; " in capsys.readouterr().out
    (entry,) = lines_of((tmp_path / "out.jsonl").read_text())
    assert (entry["view"], entry["instances"]) == (None, [])


def test_every_and_limit_choose_frames(predict: Any, tmp_path: Path) -> None:
    path = cine(tmp_path / "cine.avi")
    assert predict(path, "--every", "2", "--limit", "2", "--json", "out.jsonl", "--quiet") == 0
    entries = lines_of((tmp_path / "out.jsonl").read_text())
    assert [(entry["index"], entry["timestamp_ms"]) for entry in entries] == [(0, 0), (2, 100)]


def test_short_cines_get_a_line_a_frame_and_long_ones_a_digest(
    predict: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert predict(cine(tmp_path / "short.avi", 3), cine(tmp_path / "long.avi", 31)) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines[:3]] == ["short.avi[0]", "short.avi[1]", "short.avi[2]"]
    assert lines[3].startswith("long.avi: 31 frames; views: head 31; cranium 31; median ")
    assert lines[4].startswith("34 frames of 2 sources, median ")


def test_an_overlay_of_a_still_is_a_png_of_its_size(predict: Any, tmp_path: Path) -> None:
    assert predict(still(tmp_path / "head.jpg"), "--save", "out/deep", "--quiet") == 0
    overlay = decode_image((tmp_path / "out/deep/head.png").read_bytes())
    assert overlay.shape == (48, 64, 3)
    assert np.ptp(overlay[24, 32].astype(int)) > 20  # the gray head is tinted
    assert np.ptp(overlay[46, 2].astype(int)) == 0  # the corner isn't


def test_an_overlay_of_a_cine_is_a_video_with_its_pace(predict: Any, tmp_path: Path) -> None:
    odd = [Image.fromarray(np.full((49, 65), 10 * i, np.uint8)) for i in range(6)]
    odd[0].save(tmp_path / "cine.gif", save_all=True, append_images=odd[1:], duration=50)
    assert predict("cine.gif", "--save", "out", "--every", "2", "--quiet") == 0
    with open_source(tmp_path / "out/cine.mp4") as overlay:
        assert overlay.fps == pytest.approx(10)
        frames = list(overlay)
    assert [frame.shape for frame in frames] == [(50, 66)] * 3  # sides are made even


def test_frames_without_a_pace_become_numbered_pngs(predict: Any, tmp_path: Path) -> None:
    assert predict("pydicom:SC_rgb_rle_2frame.dcm", "--save", "out", "--quiet") == 0
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [
        "SC_rgb_rle_2frame_00000.png",
        "SC_rgb_rle_2frame_00001.png",
    ]


def test_files_of_the_same_name_are_kept_apart_and_none_is_overwritten(predict: Any, tmp_path: Path) -> None:
    first, second = still(tmp_path / "a" / "x.png", 10), still(tmp_path / "b" / "x.jpg", 20)
    before = first.read_bytes()
    assert predict(first, second, "--save", tmp_path / "a", "--quiet") == 0
    assert sorted(p.name for p in (tmp_path / "a").iterdir()) == ["x.png", "x_2.png", "x_3.png"]
    assert first.read_bytes() == before


def test_a_folder_names_each_of_its_files(predict: Any, tmp_path: Path) -> None:
    for name in ("f10.png", "f9.png"):
        still(tmp_path / "scan" / name)
    assert predict("scan", "--json", "out.jsonl", "--save", "out", "--quiet") == 0
    assert [entry["source"] for entry in lines_of((tmp_path / "out.jsonl").read_text())] == [
        "scan/f9.png",
        "scan/f10.png",
    ]
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["f10.png", "f9.png"]


def test_bad_files_are_named_and_do_not_stop_the_rest(
    predict: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cut = still(tmp_path / "cut.jpg")
    cut.write_bytes(cut.read_bytes()[:-20])
    (tmp_path / "notes.txt").write_text("no image")
    (tmp_path / "empty").mkdir()
    assert predict(cut, "notes.txt", "nowhere.png", "empty", still(tmp_path / "good.png")) == 1
    captured = capsys.readouterr()
    errors = captured.err.splitlines()
    assert errors[0].startswith("fetalseg predict: cut.jpg: truncated JPEG")
    assert errors[1].startswith("fetalseg predict: notes.txt: a file that starts with 6e 6f 20 69")
    assert errors[2] == "fetalseg predict: no file or folder nowhere.png"
    assert errors[3].startswith("fetalseg predict: folder empty holds no image")
    assert captured.out.startswith("good.png: head view")
    assert captured.out.rstrip().endswith("4 failed")


def test_a_broken_file_in_a_folder_counts_as_failed(predict: Any, tmp_path: Path) -> None:
    still(tmp_path / "scan" / "good.png")
    cut = still(tmp_path / "scan" / "cut.jpg")
    cut.write_bytes(cut.read_bytes()[:-20])
    assert predict("scan", "--json", "out.jsonl") == 1
    assert len(lines_of((tmp_path / "out.jsonl").read_text())) == 1


def test_the_dicom_cine_of_pydicom_goes_through(predict: Any, tmp_path: Path) -> None:
    assert predict("pydicom:examples_ybr_color.dcm", "--limit", "2", "--json", "out.jsonl", "--quiet") == 0
    entries = lines_of((tmp_path / "out.jsonl").read_text())
    assert [entry["source"] for entry in entries] == ["pydicom:examples_ybr_color.dcm"] * 2
    assert [(entry["width"], entry["height"]) for entry in entries] == [(320, 240)] * 2
    assert entries[1]["timestamp_ms"] == pytest.approx(33.333)


def test_quiet_prints_nothing(predict: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert predict(still(tmp_path / "a.png"), "--quiet") == 0
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--min-score", "1.5"], "min_score must be within 0..1, got 1.5"),
        (["--iou-threshold", "-1"], "iou_threshold must be within 0..1"),
        (["--json", "a.png/out.jsonl"], "can't write a.png/out.jsonl: File exists"),
        (["--save", "a.png"], "can't make the folder a.png: File exists"),
        (["--model", "a.png"], "no model named 'a.png'"),
    ],
)
def test_a_wrong_value_is_an_error_of_one_line(
    predict: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    still(tmp_path / "a.png")
    assert predict("a.png", *words) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"fetalseg predict: {message}")
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "known"),
    [
        (["--nms", "best"], "soft_gaussian"),
        (["--engine", "tpu"], "openvino"),
        (["--masks", "png"], "polygon"),
        (["--limit", "0"], "no whole number of at least 1"),
        (["--every", "x"], "no whole number of at least 1"),
    ],
)
def test_an_unknown_word_lists_the_known_ones(
    predict: Any, capsys: pytest.CaptureFixture[str], words: list[str], known: str
) -> None:
    with pytest.raises(SystemExit) as raised:
        predict("a.png", *words)
    assert raised.value.code == 2
    assert known in capsys.readouterr().err
