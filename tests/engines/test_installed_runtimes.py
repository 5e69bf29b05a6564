"""Which runtimes are installed, and what is said of those that aren't."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import logging
import sys
from pathlib import Path

import pytest

from fetalseg.engines import ENGINES, available_engines, load_engine
from fetalseg.errors import EngineError, MissingExtraError


def need(kind: str) -> str:
    if kind not in available_engines():
        pytest.skip(f"{kind} is not installed")
    return kind


@pytest.mark.parametrize(
    ("installed", "expected"),
    [
        (("torch", "onnxruntime", "openvino"), "openvino"),
        (("torch", "onnxruntime"), "onnxruntime"),
        (("torch",), "torch"),
    ],
)
def test_auto_takes_the_first_installed(
    installed: tuple[str, ...], expected: str, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    need(expected)
    pretend_installed(monkeypatch, installed)
    with load_engine(tiny_model) as engine:
        assert engine.name == expected


def test_auto_without_any_runtime_names_the_extra(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend_installed(monkeypatch, ())
    assert available_engines() == ()
    with pytest.raises(MissingExtraError, match=r"pip install 'fetalseg\[cpu\]'"):
        load_engine(tiny_model)


def pretend_installed(monkeypatch: pytest.MonkeyPatch, packages: tuple[str, ...]) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name if name in packages else None)


@pytest.mark.parametrize(("word", "extra"), [("openvino", "cpu"), ("onnxruntime", "cpu"), ("torch", "train")])
def test_an_absent_runtime_names_the_extra(
    word: str, extra: str, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # None in sys.modules makes an import fail as if the package weren't there.
    monkeypatch.setitem(sys.modules, word, None)
    for module in (ENGINES[word].partition(":")[0], "fetalseg.engines.silent_openvino"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    with pytest.raises(MissingExtraError, match=rf"{word} is not installed; .*fetalseg\[{extra}\]"):
        load_engine(tiny_model, word)


def test_two_distributions_of_onnxruntime_are_refused_with_the_remedy(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("onnxruntime", "onnxruntime_gpu"):
        metadata = tmp_path / f"{name}-1.20.0.dist-info" / "METADATA"
        metadata.parent.mkdir()
        metadata.write_text(f"Metadata-Version: 2.1\nName: {name.replace('_', '-')}\nVersion: 1.20.0\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert importlib.metadata.version("onnxruntime-gpu") == "1.20.0"
    with pytest.raises(EngineError, match="pip uninstall -y onnxruntime onnxruntime-gpu"):
        load_engine(tiny_model)


def test_a_runtime_that_is_broken_is_told_and_the_next_taken(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    need("onnxruntime")
    (tmp_path / "openvino.py").write_text("raise ImportError('libopenvino.so: cannot open shared object file')")
    monkeypatch.syspath_prepend(str(tmp_path))
    for module in [name for name in sys.modules if name.partition(".")[0] == "openvino"]:
        monkeypatch.delitem(sys.modules, module)
    for module in (ENGINES["openvino"].partition(":")[0], "fetalseg.engines.silent_openvino"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    with pytest.raises(EngineError, match=r"openvino is installed but can't be imported: libopenvino\.so: cannot open"):
        load_engine(tiny_model, "openvino")
    with caplog.at_level(logging.WARNING, logger="fetalseg"), load_engine(tiny_model, device="cpu") as engine:
        assert engine.name == "onnxruntime"
    assert caplog.messages[0].startswith("onnxruntime runs, not openvino on cpu: openvino is installed but")
