"""`fetalseg export --format tensorrt` with the real TensorRT-RTX, which builds without a GPU."""

import sys

import pytest

pytest.importorskip("tensorrt_rtx", reason="needs TensorRT-RTX (Linux or Windows on x86-64)")

from fetalseg.cli import main
from fetalseg.engines.tensorrt_file import read_engine
from fetalseg.engines.tensorrt_library import load_library
from fetalseg.model_file import file_digest

FOR_ADA = ["--format", "tensorrt", "--library", "tensorrt_rtx", "--compute-capability", "8.9"]


def test_an_exported_file_becomes_an_engine(exported, tmp_path, capsys):
    model, _ = exported
    out = tmp_path / "new" / "mine.engine"
    assert main(["export", str(model), "--out", str(out), *FOR_ADA, "--max-batch", "2"]) == 0
    built, wrote = capsys.readouterr().out.splitlines()
    version = load_library("tensorrt_rtx").version
    assert built.startswith(f"built with tensorrt_rtx {version} in ")
    assert built.endswith(" s: fp32, batches of 1 to 2, compute capability 8.9")
    assert wrote == f"wrote {out} ({out.stat().st_size / 1e6:.1f} MB)"
    header = read_engine(out).header
    assert (header.facts.version, header.facts.candidates, header.max_batch) == ("1.2.3", 60, 2)
    assert header.model_sha256 == file_digest(model)


def test_a_model_is_found_by_its_name(exported, tmp_path, monkeypatch):
    monkeypatch.setenv("FETALSEG_MODELS", str(exported[0].parent))
    out = tmp_path / "mine.engine"
    assert main(["export", "fetalseg-test", "--out", str(out), *FOR_ADA]) == 0
    assert read_engine(out).header.model_sha256 == file_digest(exported[0])


def test_a_name_that_nothing_has_is_told(tmp_path, capsys):
    assert main(["export", "fetalseg-x", "--out", str(tmp_path / "a.engine"), *FOR_ADA]) == 1
    assert capsys.readouterr().err.startswith("fetalseg export: no model named 'fetalseg-x'; known models: ")


def test_an_exported_file_gets_another_name_on_its_way(exported, tmp_path):
    out = tmp_path / "mine.engine"
    assert main(["export", str(exported[0]), "--out", str(out), "--name", "mine", *FOR_ADA]) == 0
    facts = read_engine(out).header.facts
    assert (facts.name, facts.version, facts.candidates) == ("mine", "1.2.3", 60)


def test_a_checkpoint_becomes_an_engine_and_leaves_nothing_else(checkpoint, tmp_path, capsys):
    out = tmp_path / "mine.engine"
    arguments = ["export", str(checkpoint), "--out", str(out), "--candidates", "30", "--name", "mine", *FOR_ADA]
    assert main(arguments) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["frames", "output", "largest", "difference", "tolerance"]
    assert lines[-1].startswith(f"wrote {out}")
    facts = read_engine(out).header.facts
    assert (facts.name, facts.candidates, facts.weights_sha256) == ("mine", 30, file_digest(checkpoint))
    assert [path.name for path in tmp_path.iterdir()] == ["mine.engine"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--out", "mine.onnx", *FOR_ADA], "the name of an engine file ends with .engine; got mine.onnx"),
        (
            ["--out", "mine.onnx", "--max-batch", "2", "--timing-cache", "times"],
            "--max-batch, --timing-cache can only be used with --format tensorrt",
        ),
        (["--out", "mine.engine", *FOR_ADA, "--max-batch", "0"], "max_batch must be at least 1, got 0"),
        (
            ["--out", "mine.engine", *FOR_ADA, "--timing-cache", "times"],
            "a timing cache is for tensorrt; tensorrt_rtx measures nothing while it builds",
        ),
    ],
)
def test_what_cannot_be_done_is_told_and_nothing_is_written(
    exported, tmp_path, capsys, monkeypatch, arguments, message
):
    monkeypatch.chdir(tmp_path)
    assert main(["export", str(exported[0]), *arguments]) == 1
    assert capsys.readouterr().err == f"fetalseg export: {message}\n"
    assert list(tmp_path.iterdir()) == []


def test_a_missing_package_is_named_with_the_extra_that_brings_it(exported, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    assert main(["export", str(exported[0]), "--out", str(tmp_path / "a.engine"), *FOR_ADA]) == 1
    message = "onnx is not installed; install it with: pip install 'fetalseg[tensorrt]'"
    assert capsys.readouterr().err == f"fetalseg export: {message}\n"
