"""Checkpoints whose structures are not the seventeen: the names travel into the model file and back out."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from fetalseg.anatomy import structure_names
from fetalseg.errors import ModelFileError
from fetalseg.export.onnx import describe, export_onnx
from fetalseg.model import Yolact, variant
from fetalseg.model.checkpoint import load_checkpoint, save_checkpoint
from fetalseg.model_file import read_facts
from fetalseg.segmenter import Segmenter

NAMES = ["yolk sac", "cord cyst"]


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """Checkpoint and exported file of a network with two structures."""
    torch.manual_seed(0)
    network = Yolact(replace(variant("fetalseg-test"), structures=2)).eval()
    folder = tmp_path_factory.mktemp("two")
    save_checkpoint(folder / "two.safetensors", network, {"structures": NAMES})
    export_onnx(folder / "two.safetensors", folder / "two.onnx", candidates=40)
    return folder / "two.safetensors", folder / "two.onnx"


def test_a_checkpoint_keeps_the_number_of_its_structures_and_their_names(two):
    network, facts = load_checkpoint(two[0])
    assert network.variant.structures == 2
    assert facts["structures"] == NAMES


def test_the_names_of_a_checkpoint_become_those_of_the_model(two):
    assert read_facts(two[1]).structures == tuple(NAMES)


@pytest.mark.parametrize("engine", ["onnxruntime", "torch"])
def test_what_is_found_carries_the_models_names(two, engine):
    with Segmenter.load(two[1], engine, threads=1) as segmenter:
        options = replace(segmenter.default_options, min_score=0.0)
        found = segmenter.segment(np.random.default_rng(0).integers(0, 256, (64, 96), np.uint8), options)
    assert len(found)
    assert set(found.names) <= set(NAMES)


def test_a_checkpoint_without_names_has_the_seventeen():
    network = Yolact(variant("fetalseg-test"))
    assert describe(network, {}).structures == structure_names()


def test_a_network_of_another_size_must_name_its_structures():
    network = Yolact(replace(variant("fetalseg-test"), structures=2))
    with pytest.raises(ModelFileError, match="tells 2 structures apart, the checkpoint names 17: cranium, "):
        describe(network, {})
    with pytest.raises(ModelFileError, match="the checkpoint's structures: structure 'cord' is named twice"):
        describe(network, {"structures": ["cord", "cord"]})
