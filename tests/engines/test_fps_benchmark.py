"""benchmarks/fps.py runs, tells the stages apart and writes its figures."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from crafted_model import write_crafted_model

from benchmarks.fps import main


@pytest.fixture
def arguments(tmp_path: Path) -> list[str]:
    model, source = write_crafted_model(tmp_path / "crafted.onnx"), tmp_path / "frame.png"
    cv2.imwrite(str(source), np.full((48, 64), 60, np.uint8))
    return ["--model", str(model), "--engine", "onnxruntime", "--threads", "1", "--source", str(source)]


def test_it_prints_every_stage_and_writes_json(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    figures = tmp_path / "fps.json"

    code = main([*arguments, "--batch", "1", "2", "--frames", "5", "--budget-ms", "60000", "--json", str(figures)])

    assert code == 0
    assert capsys.readouterr().out.count("against a budget of 60000 ms: pass") == 2
    written = json.loads(figures.read_text())
    assert {"date", "commit", "machine"} <= set(written)
    assert (written["model"], written["source"], written["frame"]) == ("crafted", "frame.png", [48, 64])
    assert [(row["batch"], row["instances"]) for row in written["rows"]] == [(1, 1), (2, 1)]
    for row in written["rows"]:
        stages = {stage: values["max"] for stage, values in row["latency_ms"].items()}
        assert list(stages) == ["preprocess", "infer", "postprocess", "encode", "total"]
        assert 0 < stages["infer"] <= stages["total"]


def test_a_budget_that_nothing_holds_fails(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*arguments, "--frames", "1", "--budget-ms", "0.000001"]) == 1
    assert "against a budget of 1e-06 ms: FAIL" in capsys.readouterr().out


def test_a_model_that_is_not_there_is_said_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--model", "no-such-model"]) == 1
    assert capsys.readouterr().err.startswith("fps: ")
