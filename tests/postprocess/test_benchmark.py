"""The benchmark of post-processing runs, checks itself and writes its figures."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "benchmarks.postprocess", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_it_prints_a_table_and_writes_json(tmp_path: Path) -> None:
    file = tmp_path / "figures.json"
    result = run("--frames", "2", "--json", str(file))
    assert result.returncode == 0, result.stderr
    assert "12 instances, boxes of 1.50 frames of 1024x768" in result.stdout
    written = json.loads(file.read_text())
    assert {"date", "commit", "machine"} <= set(written)
    assert written["machine"]["cores"] >= 1
    assert written["figures"]["candidates to crops and polygons"]["p50_ms"] > 0


def test_a_number_of_frames_below_one_is_refused() -> None:
    result = run("--frames", "0")
    assert result.returncode == 2
    assert "--frames must be at least 1, got 0" in result.stderr
