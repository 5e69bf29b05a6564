"""`fetalseg verify` as a user runs it: engines that agree, and files that don't."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import pytest
from crafted_model import crafted_candidates, crafted_facts, write_crafted_model
from onnx import numpy_helper
from server.live import RunningServer, running

from fetalseg.candidates import Candidates
from fetalseg.cli import main
from fetalseg.engines import ENGINES
from fetalseg.model_file import file_digest
from fetalseg_server.settings import Settings

WORD = "sesame-sesame-sesame"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Finds a cranium of score 0.9 in the box 8, 4, 24, 20 of its 32 x 24 input, in every frame."""
    return write_crafted_model(tmp_path_factory.mktemp("model") / "crafted.onnx")


@pytest.fixture(scope="module")
def frame(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dark image of 64 x 48, twice the size of the model's input."""
    path = tmp_path_factory.mktemp("frame") / "frame.png"
    cv2.imwrite(str(path), np.full((48, 64), 40, np.uint8))
    return path


@pytest.fixture(scope="module")
def server(model: Path) -> Iterator[RunningServer]:
    settings = Settings(
        port=0, model=str(model), threads=1, precision="fp32", drain_grace_s=0.0, tokens=f"console:{WORD}"
    )
    with running(settings) as live:
        yield live


@pytest.fixture
def token(tmp_path: Path) -> Path:
    path = tmp_path / "token.txt"
    path.write_text(WORD)
    return path


def verify(*words: object) -> int:
    return main(["verify", *map(str, words), "--threads", "1"])


def written(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text())
    return content


def changed(path: Path, *, score: float = 0.9, right: float = 24.0, prototype: float = 5.0) -> Path:
    """The crafted model with another score, another right edge of the box or another mask."""
    scores, boxes, coefficients, prototypes = (values.copy() for values in crafted_candidates())
    scores[0, 0, 0] = score
    boxes[0, 0, 2] = right
    prototypes[0, 0, 1:3] *= prototype / 5
    prototypes[0, 1, 1:3] = 5 - prototypes[0, 0, 1:3]
    return write_crafted_model(path, candidates=Candidates(scores, boxes, coefficients, prototypes))


def test_every_engine_that_runs_here_has_a_row_and_every_other_one_a_reason(
    model: Path, frame: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert verify(model, "--source", frame, "--json", tmp_path / "out" / "verify.json") == 0
    content = written(tmp_path / "out" / "verify.json")
    assert content["passed"] is True
    assert content["reference"] | {"device": ""} == {
        "engine": "onnxruntime", "precision": "fp32", "device": "", "instances": 1
    }  # fmt: skip
    ran = {row["engine"] for row in content["rows"]}
    refused = {(entry["engine"], entry["device"], entry["precision"]): entry["reason"] for entry in content["not_run"]}
    assert ran | {engine for engine, _, _ in refused} | {"onnxruntime"} == set(ENGINES)
    assert "openvino" in ran
    assert "doesn't say which network it holds" in refused["torch", "cpu", "fp32"]  # it holds none
    assert "in fp16 on an NVIDIA GPU only" in refused["torch", "cpu", "fp16"]
    output = capsys.readouterr().out
    assert "1 instances in 1 frames, held against onnxruntime fp32" in output
    assert "not run: torch fp32 on cpu: " in output


def test_the_file_says_what_was_compared_where_and_with_what(model: Path, frame: Path, tmp_path: Path) -> None:
    assert verify(model, "--source", frame, "--engine", "openvino", "--json", tmp_path / "verify.json") == 0
    content = written(tmp_path / "verify.json")
    assert content["model"] == {"name": "crafted", "version": "1.0.0", "sha256": file_digest(model)}
    assert {"commit", "date", "processor", "packages", "python"} <= set(content)
    assert "openvino" in content["packages"]
    row = content["rows"][0]
    assert (row["file"], row["engine"], row["precision"], row["device"]) == (
        "crafted.onnx", "openvino", "fp32", "CPU, 1 thread"
    )  # fmt: skip
    assert (row["score"], row["box_px"], row["mask_iou"], row["mean_mask_iou"]) == (0, 0, 1, 1)
    assert (row["missing"], row["extra"], row["passed"], row["faults"]) == (0, 0, True, [])
    assert row["tolerance"]["precision"] == "fp32"
    assert str(tmp_path) not in (tmp_path / "verify.json").read_text()


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"score": 0.85}, "allowed 0%: the score by up to 0.05, "),
        ({"right": 25.0}, "the box by 2 px, "),  # of a frame of twice the size
        ({"prototype": -5.0}, "the box by 0 px, mask IoU 0."),
        ({"score": 0.0}, "1 instances of the reference are missing"),
    ],
)
def test_a_file_that_computes_something_else_fails(
    model: Path, frame: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], change: dict[str, float], fault: str
) -> None:
    other = changed(tmp_path / "other.onnx", **change)
    assert verify(model, "--also", other, "--source", frame, "--engine", "openvino") == 1
    failed = [line for line in capsys.readouterr().out.splitlines() if line.startswith("FAIL ")]
    assert any(line.startswith("FAIL other.onnx on openvino fp32: ") and fault in line for line in failed), failed
    assert not any("crafted.onnx" in line for line in failed)


def test_a_network_with_one_weight_changed_fails_and_the_same_in_another_engine_passes(
    tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    proto = onnx.load(tiny_model)
    tensor = next(t for t in proto.graph.initializer if t.name.endswith("classes.bias"))
    values = numpy_helper.to_array(tensor).copy()
    values[0] += 0.2
    tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    wrong = tmp_path / "wrong.onnx"
    onnx.save(proto, wrong)
    out = tmp_path / "verify.json"
    assert verify(tiny_model, "--also", wrong, "--frames", 2, "--engine", "openvino", "--json", out) == 1
    passed = {(row["file"], row["precision"]): row["passed"] for row in written(out)["rows"]}
    assert passed[tiny_model.name, "fp32"]
    assert not passed["wrong.onnx", "fp32"]
    capsys.readouterr()
    assert verify(tiny_model, "--frames", 2, "--reference", "torch", "--engine", "onnxruntime") == 0
    assert "held against torch fp32" in capsys.readouterr().out


def test_an_engine_that_returns_no_numbers_fails_with_its_reason(
    model: Path, frame: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = write_crafted_model(tmp_path / "broken.onnx", flaw="nan", flaw_above=20)
    assert verify(model, "--also", broken, "--source", frame, "--engine", "openvino") == 1
    assert "FAIL broken.onnx on openvino fp32: the network returned scores" in capsys.readouterr().out


def test_a_server_is_held_against_the_reference_over_the_wire(
    server: RunningServer, model: Path, frame: Path, token: Path, tmp_path: Path
) -> None:
    out = tmp_path / "verify.json"
    words = (model, "--source", frame, "--engine", "openvino", "--server", server.url, "--token-file", token)
    assert verify(*words, "--json", out) == 0
    row = written(out)["rows"][-1]
    assert (row["engine"], row["precision"]) == ("openvino", "fp32")
    assert row["device"] == "CPU, 1 thread, served"
    assert row["tolerance"]["precision"] == "fp32"
    assert row["score"] == pytest.approx(0, abs=5e-5)  # four digits travel
    assert (row["box_px"], row["mask_iou"], row["missing"], row["extra"]) == (0, 1, 0, 0)


def test_a_server_that_serves_another_model_or_does_not_let_in_is_an_error(
    server: RunningServer, model: Path, frame: Path, token: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = changed(tmp_path / "other.onnx", score=0.8)
    words = ("--source", frame, "--engine", "openvino", "--server", server.url)
    assert verify(other, *words, "--token-file", token) == 1
    said = capsys.readouterr().err
    assert f"serves crafted 1.0.0 (sha256 {file_digest(model)[:12]})" in said
    assert f"expected the file of sha256 {file_digest(other)[:12]}" in said
    assert verify(model, *words) == 1
    assert "the server does not accept the token: a token is required" in capsys.readouterr().err
    wrong = tmp_path / "wrong.txt"
    wrong.write_text("open-open-open-open")
    assert verify(model, *words, "--token-file", wrong) == 1
    assert "the server does not accept the token: this token is not known" in capsys.readouterr().err
    assert verify(model, *words[:-1], "ws://127.0.0.1:9/v1/stream") == 1
    assert "ws://127.0.0.1:9" in capsys.readouterr().err


def test_a_frame_that_the_server_does_not_answer_is_an_error(
    model: Path, frame: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = Settings(port=0, model=str(model), threads=1, drain_grace_s=0.0, max_pixels=32 * 24)
    with running(settings) as small:
        assert verify(model, "--source", frame, "--engine", "openvino", "--server", small.url) == 1
    assert "the server did not answer frame 1: too_large" in capsys.readouterr().err


def test_a_file_of_other_structures_or_another_input_is_refused(
    model: Path, frame: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = ("yolk_sac", *(f"part {number}" for number in range(2, 18)))
    other = write_crafted_model(tmp_path / "other.onnx", facts=crafted_facts(structures=names).to_json())
    assert verify(model, "--also", other, "--source", frame, "--engine", "openvino") == 1
    assert "other.onnx finds yolk_sac, part 2" in capsys.readouterr().err
    facts = crafted_facts()
    padded = replace(facts, input=replace(facts.input, pad_value=9))
    other = write_crafted_model(tmp_path / "other.onnx", facts=padded.to_json())
    assert verify(model, "--also", other, "--source", frame, "--engine", "openvino") == 1
    assert "other.onnx takes InputRule(" in capsys.readouterr().err


def test_what_can_not_be_compared_is_an_error(
    model: Path, frame: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for words, text in (
        (("no-such-model",), "no model named 'no-such-model'"),
        ((model, "--reference", "abacus"), "unknown engine 'abacus' as the reference"),
        ((model, "--source", tmp_path), "holds no image"),
        ((model, "--source", frame, "--min-score", 0.95), "there is nothing to compare"),
        ((model, "--source", frame, "--engine", "torch"), "nothing to hold against the reference: torch fp32"),
        ((model, "--source", frame, "--reference", "onnxruntime:fp8"), "'fp8' can't be chosen"),
    ):
        assert verify(*words) == 1
        assert text in capsys.readouterr().err


def test_an_engine_that_was_asked_for_and_can_not_run_fails(model: Path, frame: Path) -> None:
    words = (model, "--source", frame, "--engine", "openvino")
    assert verify(*words) == 0
    assert verify(*words, "--engine", "torch") == 1


def test_average_precision_is_compared_on_a_data_set(
    model: Path, frame: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The cranium is annotated where the model finds it; the other file puts it 8 px too far to the right."""
    box = [16, 8, 32, 32]
    images = [{"id": 1, "file_name": frame.name, "width": 64, "height": 48}]
    truth = {"id": 1, "image_id": 1, "category_id": 1, "bbox": box, "area": 1024, "iscrowd": 0}
    truth["segmentation"] = [[16, 8, 48, 8, 48, 40, 16, 40]]
    content = {"images": images, "annotations": [truth], "categories": [{"id": 1, "name": "cranium"}]}
    (tmp_path / "instances.json").write_text(json.dumps(content))
    out = tmp_path / "verify.json"
    wide = changed(tmp_path / "wide.onnx", right=32.0)
    words = (model, "--also", wide, "--source", frame, "--engine", "openvino", "--images", frame.parent)
    assert verify(*words, "--data", tmp_path, "--json", out) == 1
    report = written(out)
    assert report["reference"]["box AP50"] == pytest.approx(1)
    changes = {row["file"]: row["average_precision_change"] for row in report["rows"] if row["precision"] == "fp32"}
    assert changes["crafted.onnx"]["box AP"] == 0
    assert changes["wide.onnx"]["box AP"] == pytest.approx(-0.6)  # an IoU of 2/3 is found at 4 of 10 thresholds
    tolerances = {row["precision"]: row["average_precision_tolerance"]["box AP"] for row in report["rows"]}
    assert tolerances["fp32"] == 0.001
    if "bf16" in tolerances:  # where the processor has units for it
        assert tolerances["bf16"] == pytest.approx(1.005)  # of one annotation
    output = capsys.readouterr().out
    assert "box AP50" in output
    assert "with so many annotations: 1.0000 by box, 1.0000 by mask\n" in output
    assert "FAIL wide.onnx on openvino fp32: box AP changes by -0.6000, tolerance" in output


def test_a_data_set_of_other_structures_is_refused(
    model: Path, frame: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = {"images": [{"id": 1, "file_name": frame.name, "width": 64, "height": 48}], "annotations": []}
    (tmp_path / "instances.json").write_text(json.dumps({**content, "categories": [{"id": 1, "name": "yolk_sac"}]}))
    assert verify(model, "--source", frame, "--images", frame.parent, "--data", tmp_path) == 1
    assert "nothing to evaluate: the set has yolk_sac" in capsys.readouterr().err


def test_a_data_set_without_annotations_is_refused(
    model: Path, frame: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = {"images": [{"id": 1, "file_name": frame.name, "width": 64, "height": 48}], "annotations": []}
    (tmp_path / "instances.json").write_text(json.dumps({**content, "categories": [{"id": 1, "name": "cranium"}]}))
    assert verify(model, "--source", frame, "--images", frame.parent, "--data", tmp_path) == 1
    assert "nothing that the model finds is annotated in 1 images" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "refusal"),
    [
        (("--images", ".", "--limit", "5"), "--images, --limit can't be used without --data"),
        (("--token-file", "token.txt"), "--token-file can't be used without --server"),
        (("--data", ".", "--key", "key.pem"), "--key can't be used without --server"),
    ],
)
def test_an_option_that_would_go_unused_is_refused(
    words: tuple[str, ...], refusal: str, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert verify(model, *words) == 1
    assert refusal in capsys.readouterr().err


def test_without_the_torch_engine_torch_is_not_imported(model: Path, frame: Path) -> None:
    program = (
        "import sys; from fetalseg.cli import main; code = main(sys.argv[1:]); "
        "sys.exit(code or bool({'torch', 'pycocotools', 'fetalseg_server'} & set(sys.modules)))"
    )
    words = ["verify", str(model), "--source", str(frame), "--engine", "openvino", "--threads", "1"]
    done = subprocess.run([sys.executable, "-c", program, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
