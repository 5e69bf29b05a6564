"""`fetalseg models`."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest
from crafted_model import crafted_facts, write_crafted_model

from fetalseg.cli import main


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    facts = replace(crafted_facts(), licence="Apache-2.0", training_data=("phantom",))
    write_crafted_model(tmp_path / "crafted.onnx", facts=facts.to_json())
    monkeypatch.setenv("FETALSEG_MODELS", str(tmp_path))
    return tmp_path


def test_json_says_everything_about_each_model(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "--json"]) == 0
    (model,) = [m for m in json.loads(capsys.readouterr().out) if m["name"] == "crafted"]
    data = (folder / "crafted.onnx").read_bytes()
    assert model == {
        "name": "crafted",
        "version": "1.0.0",
        "input": {"height": 24, "width": 32, "channels": 1},
        "precision": "fp32",
        "size_bytes": len(data),
        "licence": "Apache-2.0",
        "training_data": ["phantom"],
        "sha256": hashlib.sha256(data).hexdigest(),
        "path": str(folder / "crafted.onnx"),
    }


def test_a_person_sees_a_line_for_each_model_its_file_and_its_data(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["models"]) == 0
    shown = capsys.readouterr().out
    line = next(line for line in shown.splitlines() if line.startswith("crafted "))
    digest = hashlib.sha256((folder / "crafted.onnx").read_bytes()).hexdigest()
    for word in ("1.0.0", "32x24 gray", "fp32", digest[:12]):
        assert word in line
    assert f"crafted: {folder / 'crafted.onnx'}" in shown
    assert "licence Apache-2.0" in shown
    assert "trained on phantom" in shown


def test_a_file_that_is_not_ours_is_named_and_the_rest_is_listed(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "foreign.onnx").write_bytes(b"not a model")
    assert main(["models", "--json"]) == 0
    shown = capsys.readouterr()
    assert "foreign.onnx is not an ONNX file" in shown.err
    assert "crafted" in [model["name"] for model in json.loads(shown.out)]
