"""What benchmarks/fps.py tells of an engine whose device has memory of its own."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from crafted_model import write_crafted_model

pytest.importorskip("tensorrt_rtx", reason="needs TensorRT-RTX (Linux or Windows on x86-64)")

from simulated_gpu import as_plan, simulate

from benchmarks.fps import main

STAGES = ["preprocess", "upload", "infer", "copy_back", "nms", "masks", "encode", "total"]


@pytest.fixture
def source(tmp_path: Path) -> list[str]:
    path = tmp_path / "frame.png"
    cv2.imwrite(str(path), np.full((48, 64), 60, np.uint8))
    return ["--source", str(path)]


def test_upload_and_copy_back_are_stages(
    source: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    simulate(monkeypatch, "tensorrt")
    crafted = write_crafted_model(tmp_path / "crafted.onnx")
    engine = as_plan(crafted, tmp_path / "crafted.engine", "tensorrt")
    figures = tmp_path / "fps.json"

    code = main(
        ["--model", str(engine), *source, "--batch", "1", "4", "--frames", "8", "--pipelined", "--json", str(figures)]
    )

    assert code == 0
    rows = json.loads(figures.read_text())["rows"]
    assert [(row["setup"]["engine"], row["setup"]["batch"], row["instances"]) for row in rows] == [
        ("tensorrt", 1, 1),
        ("tensorrt", 4, 1),
    ]
    for row in rows:
        assert list(row["latency_ms"]) == list(row["block_medians_ms"]) == STAGES
        assert all(values["max"] > 0 for values in row["latency_ms"].values())
        assert row["pipelined_fps"] > 0
    assert "\ncopy back " in capsys.readouterr().out


def test_a_gpu_tells_name_memory_and_power(
    source: list[str], tmp_path: Path, tiny_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch = pytest.importorskip("torch", reason="the engine torch needs the extra train")
    if not torch.cuda.is_available():
        pytest.skip("needs an NVIDIA GPU")
    pytest.importorskip("pynvml", reason="memory and power of a GPU need the extra gpu")
    figures = tmp_path / "fps.json"
    words = ["--model", str(tiny_model), "--engine", "torch", "--device", "cuda", *source]

    assert main([*words, "--frames", "20000", "--json", str(figures)]) == 0

    content = json.loads(figures.read_text())
    assert content["gpu"].startswith("NVIDIA")
    assert content["rows"][0]["gpu_memory_mb"] > 0
    assert content["rows"][0]["watts"] > 0
    assert "power of the GPU: " in capsys.readouterr().out
