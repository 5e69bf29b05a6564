from dataclasses import asdict
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from fetalseg.anatomy import structure_names
from fetalseg.candidates import Candidates
from fetalseg.errors import EngineError
from fetalseg.export import export_network, verify
from fetalseg.export.graph import CandidateGraph
from fetalseg.export.onnx import describe
from fetalseg.model_file import read_facts


def test_the_file_says_everything_that_serving_needs(exported, network):
    path, _ = exported
    facts = read_facts(path)
    assert (facts.name, facts.version) == ("fetalseg-test", "1.2.3")
    assert facts.structures == structure_names()
    assert facts.input == network.variant.input
    assert facts.candidates == 60
    assert facts.prototypes == (8, 16, 24)


def test_the_export_reports_differences_far_below_the_tolerances(exported):
    _, differences = exported
    assert {d.frames for d in differences} == {"noise", "structured"}
    assert {d.output for d in differences} == {"scores", "boxes", "coefficients", "prototypes", "ranks"}
    assert all(d.largest <= verify.TOLERANCES[d.output] / 10 for d in differences)


@pytest.mark.parametrize("batch", [1, 3])
def test_any_batch_gives_what_the_network_gives(batch, exported, network):
    path, _ = exported
    frames = verify.structured_frames(network.variant.input, batch)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    actual = Candidates(*session.run(list(Candidates._fields), {"images": frames}))
    assert actual.scores.shape == (batch, 60, 17)
    with torch.inference_mode():
        outputs = CandidateGraph(network, len(network.anchors))(torch.from_numpy(frames))
    differences = verify.compare(Candidates(*(output.numpy() for output in outputs)), actual, "structured")
    verify.check_differences(differences)


def test_only_the_batch_is_dynamic(exported):
    path, _ = exported
    graph = onnx.load(path).graph
    shapes = {
        value.name: [dim.dim_param or dim.dim_value for dim in value.type.tensor_type.shape.dim]
        for value in (*graph.input, *graph.output)
    }
    assert shapes == {
        "images": ["batch", 64, 96, 1],
        "scores": ["batch", 60, 17],
        "boxes": ["batch", 60, 4],
        "coefficients": ["batch", 60, 8],
        "prototypes": ["batch", 8, 16, 24],
    }


def test_every_weight_keeps_its_name_but_the_training_branch(exported, network):
    path, _ = exported
    names = {tensor.name for tensor in onnx.load(path).graph.initializer}
    convolutions = {name for name, module in network.named_modules() if isinstance(module, torch.nn.Conv2d)}
    missing = {name for name in convolutions if f"network.{name}.weight" not in names}
    assert missing == {"semantic"}


def test_the_file_tells_nothing_of_the_machine_that_wrote_it(exported):
    path, _ = exported
    content = path.read_bytes()
    assert str(Path(__file__).resolve().parents[2]).encode() not in content
    assert b"site-packages" not in content


def test_exporting_leaves_the_network_as_it_is(exported, network):
    assert [module for module in network.modules() if isinstance(module, torch.nn.BatchNorm2d)]


def test_a_file_that_computes_something_else_is_never_left_behind(network, tmp_path, monkeypatch):
    monkeypatch.setitem(verify.TOLERANCES, "scores", -1.0)  # what no file can meet
    with pytest.raises(EngineError, match="the exported scores differ"):
        export_network(network, tmp_path / "a.onnx", describe(network, candidates=20))
    assert list(tmp_path.iterdir()) == []


def test_the_variant_is_in_the_facts(exported, network):
    path, _ = exported
    architecture = read_facts(path).architecture
    assert architecture.keys() == asdict(network.variant).keys()
    assert np.isclose(architecture["anchors"][0][0]["width"], 12)
