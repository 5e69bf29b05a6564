"""`fetalseg export --precision`: what it starts from, which frames it takes, and what it refuses."""

import json

import onnx
import pytest

from fetalseg.cli import main
from fetalseg.export import detection_shift
from fetalseg.model_file import read_facts
from tests.drawn_sets import Rectangle, write_drawn_set


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A set of six frames."""
    return write_drawn_set(
        tmp_path_factory.mktemp("data") / "set", 6, lambda number, _: [Rectangle(1, 10 + 5 * number, 20, 30, 25)]
    )


@pytest.fixture
def lenient(monkeypatch):
    for output in ("scores", "boxes", "masks"):  # what random weights find is noise, and noise moves
        monkeypatch.setitem(detection_shift.SHIFT_TOLERANCES["int8"], output, 1.0)


def activation_types(path):
    graph = onnx.load(path).graph
    tensors = {tensor.name: tensor.data_type for tensor in graph.initializer}
    return {tensors[node.input[2]] for node in graph.node if node.op_type == "QuantizeLinear"}


@pytest.mark.usefixtures("lenient")
def test_int8_of_a_model_by_name_keeps_its_facts_and_prints_how_far_detections_move(
    exported, data, tmp_path, capsys, monkeypatch
):
    monkeypatch.setenv("FETALSEG_MODELS", str(exported[0].parent))
    out = tmp_path / "int8.onnx"
    arguments = ["export", "fetalseg-test", "--precision", "int8", "--name", "quick", "--calibration", str(data)]
    assert main([*arguments, "--out", str(out)]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines[0] == ["output", "detections", "mean", "shift", "tolerance", "largest"]
    assert [line[0] for line in lines[1:]] == ["scores", "boxes", "masks", "wrote"]
    assert len({line[1] for line in lines[1:4]}) == 1
    facts = read_facts(out)
    assert (facts.name, facts.version, facts.candidates, facts.precision) == ("quick", "1.2.3", 60, "int8")
    assert activation_types(out) == {onnx.TensorProto.UINT8}


@pytest.mark.usefixtures("lenient")
def test_symmetric_activations_are_chosen_by_a_word(checkpoint, data, tmp_path):
    out = tmp_path / "int8.onnx"
    arguments = ["export", str(checkpoint), "--precision", "int8", "--activations", "symmetric"]
    assert main([*arguments, "--calibration", str(data), "--out", str(out)]) == 0
    assert activation_types(out) == {onnx.TensorProto.INT8}


def test_fp16_of_a_checkpoint_is_checked_on_synthetic_frames_unless_others_are_given(checkpoint, tmp_path, capsys):
    out = tmp_path / "fp16.onnx"
    assert main(["export", str(checkpoint), "--precision", "fp16", "--candidates", "40", "--out", str(out)]) == 0
    assert "tolerance" in capsys.readouterr().out
    facts = read_facts(out)
    assert (facts.name, facts.version, facts.candidates, facts.precision) == ("fetalseg-test", "0.1.0", 40, "fp16")
    assert facts.postprocess == {"min_score": 0.4}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--calibration", "x"], "--calibration can only be used with --precision fp16 or int8"),
        (["--precision", "fp16", "--activations", "symmetric"], "--activations can only be used with --precision int8"),
        (
            ["--precision", "int8", "--activations", "asymmetric", "--format", "tensorrt"],
            "TensorRT has no zero points; expected --activations symmetric",
        ),
    ],
)
def test_options_of_another_precision_are_refused(options, message, checkpoint, tmp_path, capsys):
    assert main(["export", str(checkpoint), *options, "--out", str(tmp_path / "a.onnx")]) == 1
    assert message in capsys.readouterr().err


def test_an_unknown_precision_lists_the_known_ones(checkpoint, tmp_path, capsys):
    with pytest.raises(SystemExit):
        main(["export", str(checkpoint), "--precision", "int4", "--out", str(tmp_path / "a.onnx")])
    assert "fp32" in (message := capsys.readouterr().err)
    assert "int4" in message


def test_a_set_without_frames_is_refused(checkpoint, tmp_path, capsys):
    (tmp_path / "instances.json").write_text(json.dumps({"images": [], "annotations": [], "categories": []}))
    arguments = ["export", str(checkpoint), "--precision", "int8", "--calibration", str(tmp_path)]
    assert main([*arguments, "--out", str(tmp_path / "a.onnx")]) == 1
    assert "instances.json: no images" in capsys.readouterr().err
    assert not (tmp_path / "a.onnx").exists()


def test_a_model_that_is_not_there_lists_those_that_are(tmp_path, capsys):
    assert main(["export", "fetalseg-xl", "--precision", "fp16", "--out", str(tmp_path / "a.onnx")]) == 1
    assert "no model named 'fetalseg-xl'; known models: " in capsys.readouterr().err
