"""The ablation in miniature: real trainings of the test network, scored, tabled, and resumed."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from drawn_sets import Rectangle, write_drawn_set

from benchmarks.ablation import Arm, ArmError, Recipe, arms, main, run, run_arm, table
from fetalseg.data.augment import AugmentOptions


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten frames with a bright cranium each."""

    def draw(number: int, rng: np.random.Generator) -> list[Rectangle]:
        return [Rectangle(1, int(rng.integers(8, 50)), int(rng.integers(4, 28)), 36, 30)]

    return write_drawn_set(tmp_path_factory.mktemp("sets") / "heads", 10, draw)


def test_the_arms_are_all_without_each_and_none() -> None:
    groups = AugmentOptions().groups
    names = [arm.name for arm in arms()]
    assert names == ["all", *(f"without {group}" for group in groups), "none"]
    without = next(arm for arm in arms() if arm.name == "without speckle")
    assert set(without.words.split(",")) == set(groups) - {"speckle"}
    assert [arm.name for arm in arms(["blur"])] == ["all", "without blur", "none"]


@pytest.mark.parametrize("group", ["mosaic", "colour"])
def test_a_group_that_is_not_on_cannot_be_left_out(group: str) -> None:
    with pytest.raises(ValueError, match=f"nothing to leave out: {group}; groups that are on are flip"):
        arms(["flip", group])


def test_arms_are_trained_scored_and_tabled_once(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, both = tmp_path / "ablation", [Arm("all", "all"), Arm("none", "none")]
    options = ("--steps", "2", "--variant", "fetalseg-test", "--batch", "2", "--validations", "1", "--holdout", "0.3")
    recipe = Recipe((str(data),), (str(data),), options, (0,))
    assert run(recipe, both, out) == 0

    with (out / "ablation.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["arm"], row["set"]) for row in rows] == [
        (arm, name) for arm in ("all", "none") for name in ("heads", "heads (whole)")
    ]
    assert all(row["structure"] == "cranium" and float(row["box_AP50"]) >= 0 for row in rows)
    assert [row["support"] for row in rows if row["set"] == "heads (whole)"] == ["10", "10"]
    written = (out / "ablation.md").read_text()
    lines = written.splitlines()
    assert len(lines) == 4
    assert lines[2].startswith("| all | 0.")
    assert written in capsys.readouterr().out

    # Again: nothing is trained, the same table is printed.
    models = {path: path.stat().st_mtime_ns for path in out.rglob("model.onnx")}
    assert len(models) == 2
    assert run(recipe, both, out) == 0
    assert {path: path.stat().st_mtime_ns for path in out.rglob("model.onnx")} == models
    assert (out / "ablation.md").read_text() == written
    # Another recipe doesn't mix with it.
    with pytest.raises(ValueError, match=r"holds the arms of another recipe: train_options \['--steps', '2'"):
        run(replace(recipe, train_options=("--steps", "3")), both, out)


def test_a_failed_arm_ends_with_the_words_of_its_command(tmp_path: Path) -> None:
    recipe = Recipe((str(tmp_path / "nowhere"),), (), ("--steps", "1"), (0,))
    with pytest.raises(
        ArmError, match=r"fetalseg train ended with 1; the end of .*log.txt:(.|\n)*can't read .*nowhere"
    ):
        run_arm(Arm("all", "all"), 0, recipe, tmp_path / "all")


def test_a_failed_arm_does_not_stop_the_others(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--data", str(tmp_path / "nowhere"), "--out", str(tmp_path / "out"), "--leave-out", "flip"]
    assert main([*arguments, "--steps", "1"]) == 1
    errors = capsys.readouterr().err
    assert [name in errors for name in ("all, seed 0", "without flip, seed 0", "none, seed 0")] == [True] * 3


def test_an_option_that_training_does_not_know_is_reported_in_its_words(data: Path, tmp_path: Path) -> None:
    recipe = Recipe((str(data),), (), ("--steps", "1", "--colour"), (0,))
    with pytest.raises(ArmError, match=r"train ended with 2; (.|\n)*unrecognized arguments: --colour"):
        run_arm(Arm("all", "all"), 0, recipe, tmp_path / "all")


def test_the_table_gives_means_and_their_spread_over_seeds() -> None:
    def row(arm: str, seed: int, structure: str, box: float, dice: float | None) -> dict[str, object]:
        figures = {"box_AP50": box, "centre_hit": 0.5, "mask_AP75": None, "dice": dice}
        return {"arm": arm, "seed": seed, "set": "nt", "structure": structure, **figures}

    rows = [row("none", 0, "palate", 0.5, None), row("all", 0, "palate", 0.8, None), row("all", 1, "palate", 0.9, None)]
    assert table(rows, ["all", "without flip", "none"]).splitlines() == [
        "| augmentation | nt: palate box AP50 | nt: palate centre hit |",
        "|---|---|---|",
        "| all | 0.850 ± 0.071 | 0.500 ± 0.000 |",
        "| none | 0.500 | 0.500 |",
    ]


def test_options_in_which_the_arms_differ_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--data", "a", "--out", str(tmp_path), "--steps", "1", "--augment", "none", "--seed=3"])
    assert "--augment, --seed=3 can't be given" in capsys.readouterr().err
