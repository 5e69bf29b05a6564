from dataclasses import replace

import pytest
import torch

from fetalseg.errors import ModelFileError
from fetalseg.model.checkpoint import save_checkpoint
from fetalseg.model.yolact import Yolact
from fetalseg.training.initial_weights import start_from


def test_a_network_of_the_same_shape_takes_over_every_weight(tiny, tmp_path):
    given, network = Yolact(tiny), Yolact(tiny)
    save_checkpoint(tmp_path / "other.safetensors", given, {})

    fitted = start_from(network, tmp_path / "other.safetensors")

    assert fitted.weights == fitted.of
    for name, value in network.state_dict().items():
        assert torch.equal(value, given.state_dict()[name]), name


def test_layers_of_another_number_of_structures_stay_as_they_are(tiny, tmp_path):
    save_checkpoint(tmp_path / "other.safetensors", Yolact(tiny), {})
    network = Yolact(replace(tiny, structures=3))
    before = {name: value.clone() for name, value in network.state_dict().items()}

    fitted = start_from(network, tmp_path / "other.safetensors")

    changed = {name for name, value in network.state_dict().items() if not torch.equal(value, before[name])}
    assert 0 < fitted.weights < fitted.of
    assert any(name.startswith("backbone.") for name in changed)
    # Weight and bias of the class layer on three levels, and of the semantic layer.
    assert fitted.of - fitted.weights == 2 * 3 + 2
    assert "semantic.weight" not in changed


def test_a_checkpoint_without_any_weight_that_fits_is_refused(tiny, tmp_path):
    save_checkpoint(tmp_path / "other.safetensors", Yolact(tiny), {})
    network = torch.nn.Module()  # a network that shares no name with ours
    network.strange = torch.nn.Linear(2, 2)
    network.variant = tiny

    with pytest.raises(ModelFileError, match=r"other.safetensors \(fetalseg-test\) has no weight that fits"):
        start_from(network, tmp_path / "other.safetensors")
