"""A hospital's own labels, from its COCO file to predictions: train, export, predict, evaluate, by the command line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from drawn_sets import Rectangle, write_drawn_set

from fetalseg.cli import main
from fetalseg.model_file import read_facts

NAMES = ("cord cyst", "yolk_sac")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight frames, each with a cyst (mask) and a yolk sac (box alone); ids in no particular order."""
    pytest.importorskip("torch", reason="training needs the extra train")

    def draw(number: int, rng: np.random.Generator) -> list[Rectangle]:
        x, y = int(rng.integers(8, 40)), int(rng.integers(4, 20))
        return [Rectangle(12, x, y, 24, 20), Rectangle(30, x, 50, 30, 8, grey=120, mask=False)]

    categories = [{"id": 30, "name": NAMES[1]}, {"id": 12, "name": NAMES[0]}]
    return write_drawn_set(tmp_path_factory.mktemp("sets") / "hospital", 8, draw, categories=categories)


@pytest.fixture(scope="module")
def model(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("own")
    options = ["--variant", "fetalseg-test", "--batch", "2", "--steps", "3", "--holdout", "0.3", "--threads", "1"]
    assert main(["train", "--data", str(data), "--out", str(folder / "run"), *options, "--validations", "1"]) == 0
    assert main(["export", str(folder / "run" / "best.safetensors"), "--out", str(folder / "own.onnx")]) == 0
    return folder / "own.onnx"


def test_the_model_carries_the_names_of_the_file_in_the_order_of_its_ids(model: Path) -> None:
    facts = read_facts(model)
    assert facts.structures == NAMES
    assert facts.architecture["structures"] == 2


def test_validation_during_training_speaks_of_the_same_names(model: Path) -> None:
    scores = (model.parent / "run" / "validation.csv").read_text()
    assert all(name in scores for name in NAMES)


def test_predictions_and_pictures_use_the_names(model: Path, data: Path, tmp_path: Path) -> None:
    lines = tmp_path / "found.jsonl"
    arguments = ["--model", str(model), "--min-score", "0", "--json", str(lines), "--save", str(tmp_path / "pictures")]
    assert main(["predict", str(data / "images" / "1.png"), *arguments, "--threads", "1", "--quiet"]) == 0
    entry = json.loads(lines.read_text())
    assert entry["view"] is None
    assert entry["instances"]
    assert {(f["structure"], f["structure_id"]) for f in entry["instances"]} <= set(zip(NAMES, (1, 2), strict=True))
    assert list((tmp_path / "pictures").iterdir())


def test_the_evaluation_scores_each_name(model: Path, data: Path, tmp_path: Path) -> None:
    assert main(["eval", "--data", str(data), "--model", str(model), "--out", str(tmp_path), "--threads", "1"]) == 0
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert list(metrics["structures"]) == list(NAMES)
    assert [metrics["structures"][name]["support"] for name in NAMES] == [8, 8]
    assert [metrics["structures"][name]["mask_support"] for name in NAMES] == [8, 0]
    assert metrics["unknown_to_model"] == []


def test_a_set_that_the_model_has_nothing_of_is_an_error_in_plain_words(
    model: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = json.loads((data / "instances.json").read_text())
    content["categories"] = [{"id": 12, "name": "cranium"}, {"id": 30, "name": "spine"}]
    other = tmp_path / "other.json"
    other.write_text(json.dumps(content))
    arguments = ["eval", "--data", str(other), "--images", str(data / "images"), "--model", str(model)]
    assert main([*arguments, "--out", str(tmp_path / "out"), "--threads", "1"]) == 1
    words = "nothing to evaluate: the set has cranium, spine; the model finds cord cyst, yolk_sac"
    assert words in capsys.readouterr().err


def test_sets_with_different_structures_are_not_trained_together(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = json.loads((data / "instances.json").read_text())
    content["categories"][0]["name"] = "amnion"
    (tmp_path / "instances.json").write_text(json.dumps(content))
    (tmp_path / "images").symlink_to(data / "images")
    options = ["--variant", "fetalseg-test", "--steps", "1", "--out", str(tmp_path / "run")]
    assert main(["train", "--data", str(data), "--data", str(tmp_path), *options]) == 1
    assert "must have the same structures: hospital has cord cyst, yolk_sac; " in capsys.readouterr().err
