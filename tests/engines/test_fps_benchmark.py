"""benchmarks/fps.py runs, tells the stages apart, writes its figures and compares them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from crafted_model import crafted_facts, write_crafted_model

from benchmarks.fps import main
from benchmarks.speed.command import exit_code_of
from benchmarks.speed.networks import find_network
from fetalseg.engines.tensorrt_file import EngineFile, EngineHeader, write_engine
from fetalseg.errors import MissingExtraError, ModelFileError

ROOT = Path(__file__).resolve().parent.parent.parent
STAGES = ["preprocess", "infer", "nms", "masks", "encode", "total"]  # of an engine on the processor


@pytest.fixture
def source(tmp_path: Path) -> list[str]:
    path = tmp_path / "frame.png"
    cv2.imwrite(str(path), np.full((48, 64), 60, np.uint8))
    return ["--source", str(path)]


@pytest.fixture
def arguments(tmp_path: Path, source: list[str]) -> list[str]:
    model = write_crafted_model(tmp_path / "crafted.onnx")
    return ["--model", str(model), "--engine", "onnxruntime", "--device", "cpu", "--threads", "1", *source]


def test_it_prints_every_stage_and_writes_json(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    figures = tmp_path / "fps.json"

    code = main([*arguments, "--batch", "1", "2", "--frames", "5", "--budget-ms", "60000", "--json", str(figures)])

    assert code == 0
    printed = capsys.readouterr().out
    assert printed.count("against a budget of 60000 ms: pass") == 2
    assert "largest of 5 (too few for a p95), " in printed
    assert "a frame of 64x48 in memory (1 from " in printed
    assert "reading and decoding are outside, and warm-up of 10 batches and 0.5 s at least" in printed
    written = json.loads(figures.read_text())
    assert {"date", "commit", "machine"} <= set(written)
    assert (written["source"], written["frame"], written["gpu"]) == ("frame.png", [48, 64], None)
    assert [(row["setup"]["batch"], row["batches"], row["instances"]) for row in written["rows"]] == [
        (1, 5, 1),
        (2, 3, 1),
    ]
    for row in written["rows"]:
        assert (row["setup"]["model"], row["setup"]["weights"]) == ("crafted", "as in the file")
        assert row["setup"]["runtime"].startswith("onnxruntime")
        assert [row["latency_ms"]["total"][name] for name in ("p95", "p99")] == [None, None], "of 5 or 3 batches"
        longest = {stage: values["max"] for stage, values in row["latency_ms"].items()}
        assert list(longest) == STAGES
        assert 0 < longest["infer"] <= longest["total"]


def test_a_budget_that_nothing_holds_fails(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*arguments, "--frames", "1", "--budget-ms", "0.000001"]) == 1
    assert "against a budget of 1e-06 ms: FAIL" in capsys.readouterr().out


def test_twenty_frames_are_held_against_a_budget_by_their_p95(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*arguments, "--frames", "20", "--budget-ms", "60000"]) == 0
    printed = capsys.readouterr().out
    assert "\np95 " in printed
    assert "\n-: too few batches (20)\n" in printed


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("--frames", "0", "expected a whole number from 1 on, got '0'"),
        ("--frames", "-3", "expected a whole number from 1 on, got '-3'"),
        ("--frames", "many", "expected a whole number from 1 on, got 'many'"),
        ("--batch", "0", "expected a whole number from 1 on, got '0'"),
        ("--threads", "0", "expected a whole number from 1 on, got '0'"),
        ("--budget-ms", "0", "expected milliseconds above 0, got '0'"),
        ("--budget-ms", "nan", "expected milliseconds above 0, got 'nan'"),
        ("--budget-ms", "soon", "expected milliseconds above 0, got 'soon'"),
        ("--input", "550x", "expected a size as 550 or 416x288 (width x height), sides up to 4096, got '550x'"),
        ("--input", "100000", "sides up to 4096, got '100000'"),
        ("--engine", "caffe", "invalid choice: 'caffe'"),
        ("--compare", "no-such-file.json", "no file no-such-file.json"),
        ("--plot", "curve.doc", "expected a name that ends in .png, .svg, .pdf, got 'curve.doc'"),
        ("--json", ".", "can't write .: Is a directory"),
        ("--json", __file__ + "/below/a/file.json", "Not a directory"),
        ("--plot", __file__ + "/below/a/file.png", "Not a directory"),
    ],
)
def test_a_bad_argument_is_wrong_usage_before_anything_is_measured(
    option: str, value: str, said: str, arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as exit_code:
        main([*arguments, option, value])

    assert exit_code.value.code == 2
    printed = capsys.readouterr()
    assert f"argument {option}: " in printed.err
    assert said in printed.err
    assert not printed.out


def test_folders_of_files_to_write_are_made(arguments: list[str], tmp_path: Path) -> None:
    figures = tmp_path / "new/folder/fps.json"

    assert main([*arguments, "--frames", "1", "--json", str(figures)]) == 0

    assert figures.is_file()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--source", "no-such-folder"], "no file or folder no-such-folder"),
        (["--source", "phantom:frames=0"], "expected seed >= 0, frames >= 1"),
        (["--device", "abacus"], "unknown device 'abacus'"),
        (["--precision", "fp99"], "'fp99' can't be chosen"),
    ],
)
def test_what_cannot_be_measured_is_said_in_one_line(
    words: list[str], said: str, arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*arguments, *words]) == 1
    printed = capsys.readouterr().err
    assert printed.startswith("fps: ")
    assert printed.count("\n") == 1
    assert said in printed


def test_a_full_disk_is_said_in_one_line(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("a device that is always full needs Linux")
    figures = tmp_path / "fps.json"
    figures.symlink_to(full)

    assert main([*arguments, "--frames", "1", "--json", str(figures)]) == 1
    assert "fps: " in capsys.readouterr().err


def test_an_empty_folder_is_said(arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty").mkdir()

    assert main([*arguments, "--source", str(tmp_path / "empty")]) == 1
    assert "fps: folder" in capsys.readouterr().err


def test_frames_of_several_sizes_are_said_to_be(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "frames"
    folder.mkdir()
    for side in (32, 48):
        cv2.imwrite(str(folder / f"{side}.png"), np.full((side, side), 60, np.uint8))

    assert main([*arguments, "--source", str(folder), "--frames", "2"]) == 0
    assert "a frame of several sizes in memory (2 from " in capsys.readouterr().out


def test_a_model_that_is_not_there_is_said_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--model", "no-such-model"]) == 1
    said = capsys.readouterr().err
    assert said.startswith("fps: ")
    assert "variants without weights: yolact-r50" in said


def test_configurations_take_turns_and_stand_beside_the_first(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = tmp_path / "fps.png"

    code = main([*arguments, "--engine", "onnxruntime", "openvino", "--frames", "12", "--plot", str(picture)])

    assert code == 0
    table = [line for line in capsys.readouterr().out.splitlines() if line.startswith("| crafted")]
    assert [("onnxruntime fp32" in line, "openvino" in line) for line in table] == [(True, False), (False, True)]
    assert "(" in table[1].split("|")[-2], "the second has its interval against the first"
    drawn = cv2.imread(str(picture))
    assert drawn is not None
    assert len(np.unique(drawn)) > 10


def test_a_precision_that_an_engine_has_not_got_is_left_out_only_beside_others(
    arguments: list[str], caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*arguments, "--frames", "2", "--precision", "fp32", "bf16"]) == 0
    assert "left out: onnxruntime computes crafted.onnx in fp32" in caplog.text
    assert main([*arguments, "--frames", "2", "--precision", "bf16"]) == 1
    assert "'bf16' can't be chosen" in capsys.readouterr().err


def test_pipelined_frames_stand_beside_those_one_after_another(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    figures = tmp_path / "fps.json"

    assert main([*arguments, "--frames", "20", "--batch", "2", "--pipelined", "--json", str(figures)]) == 0

    assert "pipelined: " in capsys.readouterr().out
    assert json.loads(figures.read_text())["rows"][0]["pipelined_fps"] > 0


def test_a_variant_without_weights_is_measured_with_random_ones_and_says_so(
    source: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("torch", reason="exporting a network needs the extra train")
    figures = tmp_path / "fps.json"

    code = main(["--model", "fetalseg-test", "--input", "64x48", *source, "--frames", "3", "--json", str(figures)])

    assert code == 0
    printed = capsys.readouterr().out
    assert "weights: random weights: speed only" in printed
    assert "12.0 instances a frame (made up)" in printed
    setup = json.loads(figures.read_text())["rows"][0]["setup"]
    assert (setup["model"], setup["input"]) == ("fetalseg-test", [64, 48])


@pytest.mark.parametrize("kind", ["exported", "checkpoint"])
def test_a_model_is_measured_at_another_input(
    kind: str, source: list[str], tiny_checkpoint: Path, tiny_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = tiny_model if kind == "exported" else tiny_checkpoint

    assert main(["--model", str(model), "--input", "64x48", *source, "--frames", "2"]) == 0

    printed = capsys.readouterr().out
    assert "fetalseg-test 64x48, " in printed
    assert "at an input they weren't trained for: speed only" in printed


def test_an_input_that_a_model_cannot_have_is_said(
    source: list[str], tiny_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--model", str(tiny_model), "--input", "61", *source]) == 1
    assert "fetalseg-test can't have an input of 61x61: features of stride 4" in capsys.readouterr().err


def test_an_engine_file_keeps_the_input_that_it_was_built_for(tmp_path: Path) -> None:
    engine = tmp_path / "crafted.engine"
    header = EngineHeader(
        facts=crafted_facts(),  # whose input is 32x24
        model_sha256="ab" * 32,
        library="tensorrt_rtx",
        library_version="1.7.1.116",
        compute_capability="8.9",
        gpu="NVIDIA GeForce RTX 4090",
        max_batch=4,
    )
    write_engine(engine, EngineFile(header, b"plan"))

    assert find_network(str(engine), None, tmp_path) == find_network(str(engine), (24, 32), tmp_path)
    with pytest.raises(ModelFileError, match=r"crafted\.engine was built for an input of 32x24"):
        find_network(str(engine), (64, 64), tmp_path)


def test_runs_are_compared_stage_by_stage(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    figures = tmp_path / "before.json"
    assert main([*arguments, "--frames", "20", "--json", str(figures)]) == 0

    assert main([*arguments, "--frames", "20", "--compare", str(figures)]) == 0

    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("| crafted")]
    assert [line.split("|")[1].rpartition(": ")[2].strip() for line in lines] == STAGES
    assert all(line.split("|")[-2].strip() in ("faster", "slower", "no change") for line in lines)


def test_runs_of_other_machines_are_compared_only_on_demand(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    figures = tmp_path / "before.json"
    assert main([*arguments, "--frames", "6", "--json", str(figures)]) == 0
    content = json.loads(figures.read_text())
    content["machine"]["cores"] += 1000
    figures.write_text(json.dumps(content))
    capsys.readouterr()

    assert main([*arguments, "--frames", "6", "--compare", str(figures)]) == 1
    assert "can't be compared: cores: 10" in capsys.readouterr().err
    assert main([*arguments, "--frames", "6", "--compare", str(figures), "--compare-anyway"]) == 0
    assert "NOT THE SAME: cores: 10" in capsys.readouterr().out


def test_a_configuration_that_one_run_alone_has_is_named(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    figures = tmp_path / "before.json"
    assert main([*arguments, "--batch", "1", "2", "--frames", "8", "--json", str(figures)]) == 0
    assert main([*arguments, "--batch", "1", "4", "--frames", "8", "--compare", str(figures)]) == 0

    lines = capsys.readouterr().out.splitlines()
    alone = [line for line in lines if line.startswith("not in")]
    assert [line.partition(":")[0] + line[-9:] for line in alone] == [
        "not in this run, batch 2",
        "not in the earlier run, batch 4",
    ]


def test_models_of_one_name_are_compared_with_themselves(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    figures = tmp_path / "before.json"
    models = ["--model", arguments[1], arguments[1]]
    assert main([*arguments, *models, "--frames", "8", "--json", str(figures)]) == 0
    content = json.loads(figures.read_text())
    for row, ms in zip(content["rows"], (1000.0, 2000.0), strict=True):
        row["block_medians_ms"]["total"] = [ms] * 8
    figures.write_text(json.dumps(content))
    capsys.readouterr()

    assert main([*arguments, *models, "--frames", "8", "--compare", str(figures)]) == 0

    totals = [line for line in capsys.readouterr().out.splitlines() if ": total" in line]
    assert [line.split("|")[2].strip() for line in totals] == ["1000.00", "2000.00"]


def test_a_damaged_file_of_figures_is_said_before_anything_is_measured(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    figures = tmp_path / "before.json"
    assert main([*arguments, "--frames", "2", "--json", str(figures)]) == 0
    whole = figures.read_text()
    for damage in (
        {"gpu": ...},
        {"machine": "fast"},
        {"rows": [{}]},
        {"rows": None},
        {"rows": [json.loads(whole)["rows"][0] | {"block_medians_ms": {"total": ["slow"]}}]},
        {"rows": [json.loads(whole)["rows"][0] | {"block_medians_ms": {"total": []}}]},
    ):
        content = json.loads(whole) | damage
        figures.write_text(json.dumps({name: value for name, value in content.items() if value is not ...}))
        capsys.readouterr()

        assert main([*arguments, "--compare", str(figures)]) == 1

        printed = capsys.readouterr()
        assert "before.json is damaged" in printed.err
        assert not printed.out


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"tool": "stream", "schema": 1}', '{"tool": "fps", "schema": 1}'])
def test_a_file_that_holds_no_such_figures_is_said(
    text: str, arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    figures = tmp_path / "before.json"
    figures.write_text(text)

    assert main([*arguments, "--compare", str(figures)]) == 1
    assert "before.json" in capsys.readouterr().err


def test_a_comparison_anyway_needs_something_to_compare_with(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main([*arguments, "--compare-anyway"])
    assert "--compare-anyway needs --compare JSON" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (MemoryError("Unable to allocate 335. GiB"), 1, "any: not enough memory: Unable to allocate 335. GiB; remedy"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), 1, "any: not enough memory: DefaultCPUAllocator"),
        (ModuleNotFoundError("No module named 'torch'", name="torch"), 1, str(MissingExtraError("torch", "train"))),
        (KeyboardInterrupt(), 130, ""),
    ],
)
def test_what_ends_a_tool_is_told_in_one_line(
    error: BaseException, code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def run() -> int:
        raise error

    assert exit_code_of("any", run) == code
    assert said in capsys.readouterr().err


def test_a_fault_of_our_own_keeps_its_trace() -> None:
    def faulty() -> int:
        raise RuntimeError("a fault")

    with pytest.raises(RuntimeError, match="a fault"):
        exit_code_of("any", faulty)


def test_it_runs_as_a_script_and_as_a_module(arguments: list[str]) -> None:
    for way in (["benchmarks/fps.py"], ["-m", "benchmarks.fps"]):
        command = [sys.executable, *way, *arguments, "--frames", "1"]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert "1.0 instances a frame" in done.stdout
