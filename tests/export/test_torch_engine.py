import copy
import json

import numpy as np
import onnx
import pytest
import torch

from fetalseg.candidates import Candidates
from fetalseg.engines import load_engine
from fetalseg.engines.gpu import find_gpus
from fetalseg.errors import EngineError, ModelFileError
from fetalseg.export.graph import CandidateGraph
from fetalseg.export.verify import check_differences, compare, structured_frames
from fetalseg.model.precision import compute_in
from fetalseg.model_file import METADATA_KEY, read_facts


@pytest.fixture
def frames(network):
    return structured_frames(network.variant.input, 2)


@pytest.mark.parametrize("source", ["exported", "checkpoint"])
def test_it_gives_what_the_network_gives(source, exported, checkpoint, network, frames):
    path = exported[0] if source == "exported" else checkpoint
    actual = load_engine(path, "torch", precision="fp32").infer(frames)
    with torch.inference_mode():
        expected = CandidateGraph(network, len(network.anchors))(torch.from_numpy(frames))
    check_differences(compare(Candidates(*(tensor.numpy() for tensor in expected)), actual, "structured"))


def test_bf16_stays_near_fp32_and_returns_float32(exported, frames):
    full = load_engine(exported[0], "torch", precision="fp32").infer(frames)
    engine = load_engine(exported[0], "torch", precision="bf16")
    half = engine.infer(frames)
    assert engine.precision == "bf16"
    assert half.scores.dtype == np.float32
    assert not np.array_equal(half.prototypes, full.prototypes)
    np.testing.assert_allclose(half.prototypes, full.prototypes, atol=0.05 * full.prototypes.max())
    # bf16 keeps 8 bits; the best score of each structure moves by little
    np.testing.assert_allclose(half.scores.max(axis=1), full.scores.max(axis=1), atol=0.1)


def test_fp16_on_a_processor_is_refused(exported):
    with pytest.raises(EngineError, match="fp16 on an NVIDIA GPU only; expected fp32 or bf16"):
        load_engine(exported[0], "torch", precision="fp16", device="cpu")


@pytest.mark.parametrize("precision", ["fp16", "bf16", "fp32"])
def test_a_gpu_gives_what_the_processor_gives(exported, frames, precision):
    if find_gpus().count == 0:
        pytest.skip("needs an NVIDIA GPU")
    expected = load_engine(exported[0], "torch", precision="fp32", device="cpu").infer(frames)
    engine = load_engine(exported[0], "torch", precision=precision, device="cuda")
    stages = {}
    found = engine.infer(frames, stages=stages)
    assert engine.precision == precision
    assert list(stages) == ["upload", "infer", "copy_back"]
    tolerance = {"fp32": 1e-3, "fp16": 0.01, "bf16": 0.1}[precision]
    np.testing.assert_allclose(found.scores.max(axis=1), expected.scores.max(axis=1), atol=tolerance)
    np.testing.assert_allclose(found.prototypes, expected.prototypes, atol=tolerance * expected.prototypes.max())


def test_a_gpu_that_is_not_there_is_an_error_with_the_remedy(exported):
    if find_gpus().count > 0:
        pytest.skip("there is an NVIDIA GPU")
    with pytest.raises(EngineError, match=r"torch can't run on a GPU: .*remedy: "):
        load_engine(exported[0], "torch", device="cuda")


def test_softmax_ranking_and_decoding_stay_float32_in_a_half_precision_network(network, frames):
    half = compute_in(copy.deepcopy(network).fuse(), torch.bfloat16)
    assert {buffer.dtype for buffer in (half.anchors, half.mean, half.std)} == {torch.float32}
    assert {weight.dtype for weight in half.protonet.parameters()} == {torch.bfloat16}
    with torch.inference_mode():
        raw = half(torch.from_numpy(frames).permute(0, 3, 1, 2).float())
        candidates = CandidateGraph(half, 60)(torch.from_numpy(frames))
    assert raw.class_logits.dtype == torch.bfloat16
    assert {tensor.dtype for tensor in candidates[:3]} == {torch.float32}


def test_the_arrays_belong_to_the_caller(exported, frames):
    engine = load_engine(exported[0], "torch")
    first = engine.infer(frames)
    kept = first.prototypes.copy()
    engine.infer(255 - frames)
    assert np.array_equal(first.prototypes, kept)


def test_a_checkpoint_has_facts_too(checkpoint):
    engine = load_engine(checkpoint)
    assert engine.name == "torch"
    assert engine.facts.training_data == ("phantom, seed 0",)
    assert engine.facts.candidates == 300


def test_an_unknown_precision_lists_the_known_ones(exported):
    with pytest.raises(ValueError, match="torch computes in fp32, bf16, fp16, got 'int4'"):
        load_engine(exported[0], "torch", precision="int4")


def test_a_pickle_is_refused(tmp_path):
    path = tmp_path / "best.pth"
    path.write_bytes(b"\x80\x04N.")
    with pytest.raises(ModelFileError, match=r"pickles are never opened; got best\.pth"):
        load_engine(path.resolve(), "torch")


def changed(source, target, change):
    """A copy of an ONNX file after `change(model, facts)`."""
    model = onnx.load(source)
    facts = json.loads(model.metadata_props[0].value)
    change(model, facts)
    del model.metadata_props[:]
    model.metadata_props.add(key=METADATA_KEY, value=json.dumps(facts))
    onnx.save(model, target)
    read_facts(target)
    return target


def test_a_file_without_one_of_its_weights_is_refused(exported, tmp_path):
    def drop(model, facts):
        weight = next(t for t in model.graph.initializer if t.name == "network.protonet.output.weight")
        weight.name = "renamed"

    path = changed(exported[0], tmp_path / "a.onnx", drop)
    with pytest.raises(ModelFileError, match=r"a\.onnx doesn't fit fetalseg-test: 1 of .* protonet\.output\.weight"):
        load_engine(path, "torch")


def test_weights_of_another_variant_are_refused(exported, tmp_path):
    def widen(model, facts):
        facts["architecture"]["protonet_channels"] = 32

    path = changed(exported[0], tmp_path / "a.onnx", widen)
    with pytest.raises(ModelFileError, match=r"a\.onnx doesn't fit fetalseg-test"):
        load_engine(path, "torch")


def test_a_file_that_names_no_network_is_refused(exported, tmp_path):
    def forget(model, facts):
        facts["architecture"] = {}

    path = changed(exported[0], tmp_path / "a.onnx", forget)
    with pytest.raises(ModelFileError, match=r"a\.onnx doesn't say which network it holds"):
        load_engine(path, "torch")
