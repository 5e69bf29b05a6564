"""What a user installs is what is tested: source archive, wheel made from it, an empty environment elsewhere."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest

ROOT = Path(__file__).resolve().parent.parent


def run(*command: str | Path, cwd: Path) -> str:
    environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "FETALSEG_MODELS", "VIRTUAL_ENV")}
    done = subprocess.run(
        [str(part) for part in command], cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from the source archive, as an index would get it."""
    out = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--outdir", out, ROOT, cwd=out)
    (archive,) = out.glob("*.tar.gz")
    with tarfile.open(archive) as tar:
        names = tar.getnames()
    assert any(name.endswith("models/fetalseg-s.onnx") for name in names), "the source archive lacks the model"
    (path,) = out.glob("*.whl")
    return path


def test_wheel_holds_both_packages_the_models_the_viewer_and_the_report(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    for name in (
        "fetalseg/py.typed",
        "fetalseg/evaluation/html_report/filter.js",
        "fetalseg/evaluation/html_report/page.html.jinja",
        "fetalseg/evaluation/html_report/style.css",
        "fetalseg/evaluation/metrics_schema.json",
        "fetalseg/shipped_models/fetalseg-m.onnx",
        "fetalseg/shipped_models/fetalseg-s.onnx",
        "fetalseg/shipped_models/fetalseg-s-int8.onnx",
        "fetalseg_server/py.typed",
        "fetalseg_server/static/index.html",
    ):
        assert name in names
    assert not [name for name in names if name.startswith(("tests/", "benchmarks/"))]


@pytest.mark.timeout(400)  # it installs a runtime from the package index
def test_wheel_predicts_in_an_empty_environment(wheel: Path, tmp_path: Path) -> None:
    environment = tmp_path / "environment"
    run(sys.executable, "-m", "venv", environment, cwd=tmp_path)
    python = environment / "bin" / "python"
    constraints = ROOT / "constraints.txt"
    run(python, "-m", "pip", "install", "-q", "-c", constraints, f"{wheel}[cpu]", cwd=tmp_path)
    image = tmp_path / "frame.png"
    cv2.imwrite(str(image), np.random.default_rng(0).integers(0, 255, (432, 640), dtype=np.uint8))
    fetalseg = environment / "bin" / "fetalseg"
    run(fetalseg, "predict", image, "--json", "found.jsonl", "--save", "overlays", cwd=tmp_path)
    (line,) = (tmp_path / "found.jsonl").read_text().splitlines()
    assert json.loads(line)["width"] == 640
    assert list((tmp_path / "overlays").iterdir())
    models = json.loads(run(fetalseg, "models", "--json", cwd=tmp_path))
    assert str(environment) in json.dumps(models), "the model comes from the installed package"
    packages = run(python, "-m", "pip", "list", "--format=freeze", cwd=tmp_path)
    assert "torch" not in {line.split("==")[0] for line in packages.splitlines()}
