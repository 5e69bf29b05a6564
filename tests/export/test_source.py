"""What an export starts from: a checkpoint, or a file exported before."""

import json

import onnx
import pytest
import torch

from fetalseg.errors import ModelFileError
from fetalseg.export import export_onnx
from fetalseg.export.source import load_source
from fetalseg.model_file import METADATA_KEY, file_digest, freeze_thresholds, read_facts


def test_an_exported_file_gives_its_weights_and_all_its_facts_back(exported, network, tmp_path):
    path = tmp_path / "frozen.onnx"
    facts = freeze_thresholds(exported[0], path, {"cranium": 0.25}, "by hand")
    found, carried = load_source(path)
    assert carried == facts
    assert carried.thresholds == {"cranium": 0.25}
    torch.testing.assert_close(found.heads[0].classes.weight, network.heads[0].classes.weight)


def test_what_is_given_replaces_a_fact(exported):
    _, facts = load_source(exported[0], candidates=20, name="other", version="9", licence="MIT")
    assert (facts.candidates, facts.name, facts.version, facts.licence) == (20, "other", "9", "MIT")


def test_a_checkpoint_has_the_facts_of_its_header_and_the_usual_version(checkpoint):
    _, facts = load_source(checkpoint)
    assert (facts.name, facts.version, facts.candidates) == ("fetalseg-test", "0.1.0", 300)
    assert facts.training_data == ("phantom, seed 0",)
    assert facts.weights_sha256 == file_digest(checkpoint)


def test_a_file_exported_from_an_exported_file_holds_the_same_weights(exported, tmp_path):
    export_onnx(exported[0], tmp_path / "again.onnx", name="again")
    assert read_facts(tmp_path / "again.onnx").name == "again"

    def weights(path):
        return {t.name: t.raw_data for t in onnx.load(path).graph.initializer if t.name.startswith("network.")}

    assert weights(tmp_path / "again.onnx") == weights(exported[0])


def test_only_a_file_in_fp32_can_be_exported_again(exported, tmp_path):
    model = onnx.load(exported[0])
    facts = json.loads(model.metadata_props[0].value)
    del model.metadata_props[:]
    model.metadata_props.add(key=METADATA_KEY, value=json.dumps({**facts, "precision": "int8"}))
    onnx.save(model, tmp_path / "int8.onnx")
    with pytest.raises(ModelFileError, match=r"int8\.onnx holds int8 weights; a network is read back from .* fp32"):
        load_source(tmp_path / "int8.onnx")
