import json
from pathlib import Path

import pytest

from fetalseg.cli import main


def test_the_command_writes_images_and_annotations(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "set"
    arguments = ["phantom", "--out", str(out), "--frames", "3", "--seed", "7", "--size", "160x112"]
    assert main([*arguments, "--views", "head", "neck"]) == 0
    assert len(list((out / "images").glob("*.png"))) == 3
    images = json.loads((out / "instances.json").read_text())["images"]
    assert {image["view"] for image in images} <= {"head", "neck"}
    assert capsys.readouterr().out == f"3 frames: {out / 'instances.json'}\n"


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (["--frames", "0"], "the number of frames must be at least 1, got 0"),
        (["--views", "kidney"], "unknown view 'kidney'; expected one of head"),
        (["--seed", "-3"], "the seed must be 0 or more, got -3"),
        (["--size", "20x20"], "64 to 4096 px a side, got 20x20"),
    ],
)
def test_bad_values_end_with_a_clear_message(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], changed: list[str], message: str
) -> None:
    assert main(["phantom", "--out", str(tmp_path / "set"), "--frames", "1", *changed]) == 1
    assert message in capsys.readouterr().err


def test_a_file_in_the_place_of_the_folder_ends_with_a_clear_message(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    taken = tmp_path / "taken"
    taken.write_text("")
    assert main(["phantom", "--out", str(taken), "--frames", "1"]) == 1
    assert f"can't write to {taken}" in capsys.readouterr().err


def test_a_second_set_in_the_same_folder_ends_with_a_clear_message(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["phantom", "--out", str(tmp_path), "--frames", "1", "--size", "96x64", "--cine"]
    assert main(arguments) == 0
    assert main(arguments) == 1
    assert f"{tmp_path} holds a data set; choose another folder" in capsys.readouterr().err


def test_a_size_that_is_no_size_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["phantom", "--out", "x", "--frames", "1", "--size", "big"])
    assert stopped.value.code == 2
    assert "expected WIDTHxHEIGHT such as 640x432, got 'big'" in capsys.readouterr().err
