"""Who may import whom, and what serving must not need."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
GROUND = {"anatomy", "taxonomy", "errors", "frame", "instances", "lazy_crops", "candidates", "encoding"}

# part of fetalseg: parts that it may import, besides its own
MAY_IMPORT: dict[str, set[str]] = {
    "anatomy": set(),
    "taxonomy": {"anatomy"},
    "errors": set(),
    "frame": {"errors"},
    "candidates": {"errors"},
    "encoding": set(),
    "lazy_crops": set(),
    "instances": {"anatomy", "encoding", "lazy_crops"},
    "preprocess": GROUND,
    "model_file": {"errors", "preprocess"},
    "postprocess": GROUND | {"preprocess"},
    "engines": GROUND | {"preprocess", "model_file"},
    "segmenter": GROUND | {"preprocess", "model_file", "postprocess", "engines"},
    "views": GROUND,
    "examination": GROUND | {"views"},
    "examination_report": GROUND | {"examination"},
    "sharpness": set(),
    "tracking": GROUND,
    "render": GROUND,
    "phantom": GROUND,
    "sources": GROUND | {"phantom"},
    "model": GROUND | {"preprocess", "model_file"},
    "data": GROUND | {"preprocess", "render", "sources"},
    "export": GROUND | {"preprocess", "model_file", "model", "postprocess"},
    "training": GROUND | {"preprocess", "model_file", "model", "data", "postprocess"},
    "evaluation": GROUND | {"preprocess", "model_file", "postprocess", "segmenter", "views", "data", "render"},
    "verification": GROUND
    | {"preprocess", "model_file", "postprocess", "engines", "segmenter", "phantom", "sources", "data", "evaluation"},
}
# Files that reach further than their part: only the torch engine reaches the network.
EXCEPTIONS = {"engines/torch_engine.py": {"model", "export"}}
TORCH_PARTS = {"model", "training", "export"}
PACKAGE = ROOT / "fetalseg"

# The same for the server. What the client needs is the protocol alone.
PROTOCOL = {"protocol", "options", "messages"}
SERVER_MAY_IMPORT: dict[str, set[str]] = {
    "error_text": set(),
    "options": {"error_text"},
    "protocol": {"error_text", "options"},
    "messages": {"options", "protocol"},
    "rate_limit": set(),
    "logs": set(),
    "ladder": set(),
    "model_files": PROTOCOL,
    "client": PROTOCOL | {"rate_limit"},
    "settings": PROTOCOL | {"ladder"},
    "health": {"settings"},
    "access": PROTOCOL | {"rate_limit"},
    "transport": PROTOCOL | {"access"},
    "metrics": {"access", "transport"},
    "worker": PROTOCOL | {"ladder", "model_files"},
    "pool": PROTOCOL | {"ladder", "settings", "worker"},
    "shutdown": set(),
    "single_image": PROTOCOL | {"pool", "worker"},
    "live": PROTOCOL | {"access", "metrics", "pool", "rate_limit", "settings", "worker"},
    "service": PROTOCOL
    | {"access", "live", "metrics", "model_files", "pool", "settings", "shutdown", "single_image", "worker"},
    "stream": PROTOCOL | {"access", "live", "logs", "pool", "service", "shutdown"},
    "app": PROTOCOL | {"access", "error_text", "live", "model_files", "pool", "service", "single_image", "stream"},
    "reloading": PROTOCOL | {"pool", "service", "transport"},
    "serving": {"app", "logs", "reloading", "service", "settings", "transport"},
}
SERVER = ROOT / "server/fetalseg_server"


def modules(package: Path = PACKAGE) -> list[Path]:
    return sorted(path for path in package.rglob("*.py") if path.name != "__init__.py" or path.parent != package)


def part_of(path: Path, package: Path = PACKAGE) -> str:
    first = path.relative_to(package).parts[0]
    return first.removesuffix(".py")


def imported_names(path: Path) -> set[str]:
    """Absolute names of everything a file imports, at any depth."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} uses a relative import"
            names.add(node.module or "")
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_only_go_down(path: Path) -> None:
    part = part_of(path)
    names = imported_names(path)
    assert not {"fetalseg_server", "benchmarks"} & {n.split(".")[0] for n in names}, "the library imports the server"
    if part == "cli":
        return
    allowed = MAY_IMPORT[part] | {part} | EXCEPTIONS.get(str(path.relative_to(PACKAGE)), set())
    parts = {n.split(".")[1] for n in names if n.startswith("fetalseg.")}
    parts = {p for p in parts if (PACKAGE / p).is_dir() or (PACKAGE / f"{p}.py").is_file()}
    assert parts <= allowed, f"{part} imports {sorted(parts - allowed)}"


@pytest.mark.parametrize("path", modules(SERVER), ids=lambda path: str(path.relative_to(SERVER)))
def test_imports_of_the_server_only_go_down(path: Path) -> None:
    part = part_of(path, SERVER)
    allowed = SERVER_MAY_IMPORT[part] | {part}
    parts = {n.split(".")[1] for n in imported_names(path) if n.startswith("fetalseg_server.")}
    assert parts <= allowed, f"{part} imports {sorted(parts - allowed)}"


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_torch_is_imported_only_where_networks_are_made(path: Path) -> None:
    names = {n.split(".")[0] for n in imported_names(path)}
    if names & {"torch", "torchvision"}:
        relative = str(path.relative_to(PACKAGE))
        assert part_of(path) in TORCH_PARTS or relative.startswith("engines/torch_")


SERVING = """
import sys
import fetalseg, fetalseg.segmenter, fetalseg.engines, fetalseg.sources
import fetalseg.render, fetalseg.views, fetalseg.phantom
import fetalseg_server.app, fetalseg_server.worker.worker, fetalseg_server.client
from fetalseg.segmenter import Segmenter
import numpy as np
segmenter = Segmenter.load(sys.argv[1])
segmenter.segment(np.zeros((480, 640), np.uint8))
heavy = {"torch", "torchvision", "onnx", "matplotlib", "pycocotools", "scipy"} & set(sys.modules)
assert not heavy, heavy
"""


def test_serving_needs_no_torch(tiny_model: Path) -> None:
    done = subprocess.run([sys.executable, "-c", SERVING, str(tiny_model)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
