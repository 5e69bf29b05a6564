"""Where an evaluation comes from: model, engine, data, options, and the versions of what computed it."""

from __future__ import annotations

import platform
import subprocess
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import fetalseg
from fetalseg.data.records import CocoSet
from fetalseg.evaluation.scored_frames import ScoredFrame
from fetalseg.model_file import file_digest
from fetalseg.postprocess.options import PostprocessOptions
from fetalseg.segmenter import Segmenter

__all__ = ["describe_detections", "describe_run", "provenance"]

# What figures may depend on; those that aren't installed are left out.
_PACKAGES = ("numpy", "opencv-python-headless", "pycocotools", "onnxruntime", "onnxruntime-gpu", "openvino", "torch")


def describe_run(segmenter: Segmenter, model_path: Path, truth: CocoSet, options: PostprocessOptions) -> dict[str, Any]:
    """Model, engine, data and options, as they go into `metrics.json`."""
    facts, engine = segmenter.facts, segmenter.engine
    return {
        "model": {"name": facts.name, "version": facts.version, "sha256": file_digest(model_path)},
        "engine": {"name": engine.name, "precision": engine.precision, "device": engine.device},
        "data": _describe_data(truth),
        "options": asdict(options),
    }


def describe_detections(path: Path, frames: Sequence[ScoredFrame], truth: CocoSet) -> dict[str, Any]:
    """File and data, as they go into `metrics.json` where another system was run elsewhere.

    Args:
        path: of the detections.
        frames: as read from it.
        truth: the set.
    """
    results = sum(len(frame.found) for frame in frames)
    return {
        "detections": {"path": str(path), "sha256": file_digest(path), "results": results},
        "data": _describe_data(truth),
    }


def provenance() -> dict[str, Any]:
    """Versions, commit, time and processor of this run."""
    return {
        "fetalseg": fetalseg.__version__,
        "commit": _commit(),
        "python": platform.python_version(),
        "packages": _versions(),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "processor": _processor(),
    }


def _describe_data(truth: CocoSet) -> dict[str, Any]:
    return {"path": str(truth.path), "sha256": truth.sha256, "images": len(truth.images)}


def _versions() -> dict[str, str]:
    versions = {}
    for name in _PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions


def _commit() -> str | None:
    """Of the checkout that this code lies in, with "+" where files differ from it; None outside of one."""
    root = Path(fetalseg.__file__).resolve().parent.parent
    if not (root / ".git").exists():
        return None  # installed; a checkout that happens to lie around it is another project's
    commit = _git(root, "rev-parse", "--short=12", "HEAD")
    if not commit:
        return None
    return commit + ("+" if _git(root, "status", "--porcelain", "--untracked-files=no") else "")


def _git(folder: Path, *words: str) -> str:
    try:
        done = subprocess.run(["git", "-C", str(folder), *words], capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def _processor() -> str:
    """Its name, as far as the system tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
