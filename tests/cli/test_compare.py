"""`fetalseg compare` on evaluations whose figures are known: what is printed and written, and the exit codes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from crafted_model import write_crafted_model
from drawn_sets import Rectangle, write_drawn_set

from fetalseg.cli import main

FRAMES = 6


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two evaluations of one set: "base" is what `fetalseg eval` wrote, "new" finds half of the craniums.

    The model finds in every frame of 96 x 64 px a cranium at 24, 10.67 to 72, 53.33.
    """
    folder = tmp_path_factory.mktemp("runs")
    data = write_drawn_set(
        folder / "set",
        FRAMES,
        lambda number, rng: [Rectangle(1, 24, 11, 48, 42)],
        facts=lambda number: {"patient": f"p{number}"},
    )
    model = write_crafted_model(folder / "crafted.onnx")
    base, new = folder / "base", folder / "new"
    words = ["eval", "--data", str(data), "--model", str(model), "--out", str(base), "--threads", "1"]
    assert main([*words, "--engine", "onnxruntime"]) == 0
    new.mkdir()
    for path in base.glob("*.json"):
        content = json.loads(path.read_text())
        if path.name.startswith("detections"):
            content = [entry for entry in content if entry["image_id"] <= FRAMES // 2]
        (new / path.name).write_text(json.dumps(content))
    return base, new


def compare(base: Path, new: Path, *options: str) -> int:
    return main(["compare", str(base), str(new), "--resamples", "199", *options])


def test_a_model_is_not_worse_than_itself(runs: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    base, _ = runs
    rules = ["--fail-if", "cranium.mask.AP50 drop > 0", "--fail-if", "mean.box.AP50 below 0.9"]
    assert compare(base, base, *rules, "--non-inferiority", "0.01") == 0
    printed = capsys.readouterr().out
    assert "base: crafted 1.0.0" in printed
    assert "6 images; intervals of 95 % by patient, 6 units, 199 resamples, seed 0" in printed
    assert "pass  cranium.mask.AP50 drop > 0: 1.0000 -> 1.0000 (+0.0000)" in printed
    assert "pass  mean.box.AP50 0.01: difference +0.0000, 95 % +0.0000 to +0.0000" in printed
    assert "pass  mean.mask.AP50 0.01" in printed


def test_a_model_that_got_worse_is_held_back(
    runs: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "new" / "comparison.json"
    assert compare(*runs, "--fail-if", "cranium.box.AP50 drop > 0.02", "--out", str(out)) == 1
    # Three of six are found: 51 of 101 recall points.
    assert "FAIL  cranium.box.AP50 drop > 0.02: 1.0000 -> 0.5050 (-0.4950)" in capsys.readouterr().out
    written: dict[str, Any] = json.loads(out.read_text())
    assert (written["schema"], written["passed"], written["base"]["system"]) == (1, False, "crafted 1.0.0")
    assert written["bootstrap"] == {"unit": "by patient", "units": 6, "resamples": 199, "seed": 0}
    row = written["figures"]["cranium.box.AP50"]
    assert (row["base"], row["new"], row["difference"]) == pytest.approx((1, 51 / 101, 51 / 101 - 1))
    assert -1 <= row["interval"]["low"] < row["difference"] < row["interval"]["high"] <= 0
    assert row["p"] == row["adjusted_p"] < 0.1
    assert written["figures"]["heart.box.AP50"]["base"] is None
    assert [rule["passed"] for rule in written["rules"]] == [False]


def test_centre_hits_dice_and_table_3_are_compared_as_well(
    runs: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base, new = runs
    out = tmp_path / "comparison.json"
    assert compare(base, new, "--fail-if", "cranium.centre_hit drop > 0.02", "--out", str(out)) == 1
    printed = capsys.readouterr().out
    # Three of six are found.
    assert "FAIL  cranium.centre_hit drop > 0.02: 1.0000 -> 0.5000 (-0.5000)" in printed
    assert "Centre-hit rate" in printed
    assert "Mean Dice" in printed
    figures = json.loads(out.read_text())["figures"]
    stored = json.loads((base / "metrics.json").read_text())["structures"]["cranium"]
    dice = figures["cranium.overlap.dice"]
    assert (dice["base"], dice["new"]) == pytest.approx((stored["dice"], stored["dice"] / 2))
    assert figures["cranium.overlap.centre_hit"]["base"] == stored["centre_hit"] == 1
    # The frames name no view, so that Table 3 has no shares.
    assert figures["cranium.centre.recall"]["base"] is None
    row = figures["cranium.overlap.centre_hit"]
    assert row["interval"]["low"] < -0.5 < row["interval"]["high"]
    assert row["p"] == row["adjusted_p"] < 0.1


def test_a_model_that_is_not_shown_to_be_as_good_is_held_back(runs: tuple[Path, Path]) -> None:
    assert compare(*runs, "--non-inferiority", "cranium.box.AP50 0.2") == 1
    assert compare(*runs, "--non-inferiority", "cranium.box.AP50 1") == 0
    # Without a rule nothing holds it back.
    assert compare(*runs) == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--fail-if", "nose.mask.AP50 drop > 0.02"], "no figure 'nose.mask.AP50'; expected STRUCTURE.KIND.MEASURE"),
        (["--fail-if", "cranium.mask.AP50 falls"], "can't read the rule"),
        (["--fail-if", "heart.mask.AP50 below 0.5"], "can't be judged: this data has no ground truth for heart.mask"),
        (["--non-inferiority", "-1"], "expected a number from 0 on"),
        (["--seed", "-1"], "a seed from 0 on"),
        (["--data", "nowhere.json"], "can't read nowhere.json"),
    ],
)
def test_an_error_is_no_verdict(
    options: list[str], message: str, runs: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert compare(*runs, *options) == 2
    told = capsys.readouterr().err
    assert told.startswith("fetalseg compare: ")
    assert message in told


def test_a_file_that_cannot_be_written_is_an_error(runs: tuple[Path, Path], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert compare(*runs, "--out", str(tmp_path / "file" / "comparison.json")) == 2
