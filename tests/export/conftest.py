"""A tiny network whose scores spread as those of a trained one do, and its exported file."""

import pytest
import torch
from torch import nn

from fetalseg.export.onnx import describe, export_network
from fetalseg.export.verify import structured_frames
from fetalseg.model import Yolact, variant
from fetalseg.model.checkpoint import save_checkpoint


@pytest.fixture(scope="package")
def network():
    torch.manual_seed(0)
    network = Yolact(variant("fetalseg-test"))
    frames = torch.from_numpy(structured_frames(network.variant.input, 4)).permute(0, 3, 1, 2).float()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None  # statistics of the very first batch, so that activations don't fade
    with torch.no_grad():
        network.train()(frames)
        raw = network.eval()(frames)
        for head in network.heads:
            head.classes.weight.mul_(3 / raw.class_logits.std())
            head.boxes.weight.mul_(1 / raw.box_deltas.std())
            head.masks.weight.mul_(1 / raw.coefficients.std())
    return network.eval()


@pytest.fixture(scope="package")
def exported(network, tmp_path_factory):
    """(ONNX file, differences that the export reported)."""
    path = tmp_path_factory.mktemp("export") / "fetalseg-test.onnx"
    return path, export_network(network, path, describe(network, candidates=60, version="1.2.3"))


@pytest.fixture(scope="package")
def checkpoint(network, tmp_path_factory):
    path = tmp_path_factory.mktemp("checkpoint") / "best.safetensors"
    facts = {
        "training_data": ["phantom, seed 0"],
        "licence": "Apache-2.0",
        "commit": "abc",
        "postprocess": {"min_score": 0.4},
    }
    save_checkpoint(path, network, facts)
    return path
