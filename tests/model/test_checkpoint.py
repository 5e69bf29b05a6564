import pickle
from dataclasses import asdict, replace

import pytest
import torch
from safetensors.torch import load_file, save_file

from fetalseg.errors import ModelFileError
from fetalseg.model import Yolact, variant
from fetalseg.model.checkpoint import load_checkpoint, save_checkpoint


@pytest.fixture
def network():
    torch.manual_seed(0)
    return Yolact(variant("fetalseg-test"))


def test_a_checkpoint_brings_back_network_and_facts(network, tmp_path):
    path = tmp_path / "best.safetensors"
    save_checkpoint(path, network.to(memory_format=torch.channels_last), {"epoch": 3, "training_data": ["a"]})
    loaded, facts = load_checkpoint(path)
    assert facts == {"epoch": 3, "training_data": ["a"]}
    assert loaded.variant == network.variant
    assert not loaded.training
    state = network.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in loaded.state_dict().items())


def test_nothing_but_the_checkpoint_is_left_in_the_folder(network, tmp_path):
    save_checkpoint(tmp_path / "best.safetensors", network, {})
    assert [path.name for path in tmp_path.iterdir()] == ["best.safetensors"]


@pytest.mark.parametrize("name", ["model.pth", "model.pt", "model.ckpt"])
def test_a_pickle_is_never_opened(name, tmp_path):
    path = tmp_path / name
    path.write_bytes(pickle.dumps({"weights": 1}))
    with pytest.raises(ModelFileError, match=f"pickles are never opened; got {name}"):
        load_checkpoint(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ModelFileError, match=r"no checkpoint at .*gone\.safetensors"):
        load_checkpoint(tmp_path / "gone.safetensors")


def test_bytes_that_are_no_safetensors_are_refused(tmp_path):
    path = tmp_path / "a.safetensors"
    path.write_bytes(b"\x80\x04 not safetensors")
    with pytest.raises(ModelFileError, match=r"a\.safetensors is not a safetensors file"):
        load_checkpoint(path)


def test_a_file_of_another_project_is_refused(tmp_path):
    path = tmp_path / "a.safetensors"
    save_file({"weight": torch.zeros(1)}, path)
    with pytest.raises(ModelFileError, match="not a checkpoint of fetalseg with schema 1"):
        load_checkpoint(path)


def test_a_header_that_describes_no_network_is_refused(tmp_path):
    path = tmp_path / "a.safetensors"
    save_file({"weight": torch.zeros(1)}, path, {"fetalseg": '{"schema": 1, "architecture": null, "facts": {}}'})
    with pytest.raises(ModelFileError, match=r"a\.safetensors doesn't say which network it holds"):
        load_checkpoint(path)


def test_weights_of_another_variant_are_refused(network, tmp_path):
    path = tmp_path / "a.safetensors"
    network.variant = replace(network.variant, prototypes=4)  # the header now says something else
    save_checkpoint(path, network, {})
    with pytest.raises(
        ModelFileError, match=r"a\.safetensors doesn't fit fetalseg-test: 8 of 182 weights .* heads\.0\.masks\.bias"
    ):
        load_checkpoint(path)


def test_weights_are_readable_without_this_project(network, tmp_path):
    save_checkpoint(tmp_path / "a.safetensors", network, {})
    assert load_file(tmp_path / "a.safetensors").keys() == network.state_dict().keys()


def test_saving_refuses_another_suffix(network, tmp_path):
    with pytest.raises(ModelFileError, match=r"got best\.pt"):
        save_checkpoint(tmp_path / "best.pt", network, asdict(network.variant))
