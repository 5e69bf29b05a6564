"""Exported files in each precision, as TensorRT-RTX takes them: the types in the file are those of the engine."""

from dataclasses import replace

import onnx
import pytest

pytest.importorskip("tensorrt_rtx", reason="needs TensorRT-RTX (Linux or Windows on x86-64)")

import tensorrt_rtx as trt

from fetalseg.engines.tensorrt_builder import BuildSettings, build_engine
from fetalseg.engines.tensorrt_graph import takeable_graph
from fetalseg.engines.tensorrt_library import load_library
from fetalseg.errors import ModelFileError
from fetalseg.export.graph import CandidateGraph
from fetalseg.export.half import half_graph
from fetalseg.export.onnx import describe, to_onnx
from fetalseg.export.quantise import quantise
from fetalseg.export.verify import structured_frames
from fetalseg.model_file import METADATA_KEY, read_facts

ADA = BuildSettings(library="tensorrt_rtx", compute_capability="8.9")


def outputs(path):
    """Names and types of a file's outputs as the parser understands them."""
    builder = trt.Builder(load_library("tensorrt_rtx").log)
    network = builder.create_network(0)
    parser = trt.OnnxParser(network, load_library("tensorrt_rtx").log)
    assert parser.parse(takeable_graph(path))
    found = [network.get_output(i) for i in range(network.num_outputs)]
    return {tensor.name: trt.nptype(tensor.dtype).__name__ for tensor in found}


@pytest.fixture(scope="module")
def half(network, tmp_path_factory):
    facts = replace(describe(network, candidates=60), precision="fp16")
    path = tmp_path_factory.mktemp("half") / "half.onnx"
    onnx.save(to_onnx(half_graph(CandidateGraph(network, 60).eval()), facts), path)
    return path


@pytest.fixture(scope="module")
def quantised(exported, tmp_path_factory):
    """Makes an int8 file with a kind of activations."""
    path, _ = exported
    facts = replace(read_facts(path), precision="int8")

    def make(activations):
        model = quantise(onnx.load(path), structured_frames(facts.input, 2), activations)
        model.metadata_props.add(key=METADATA_KEY, value=facts.to_json())
        out = tmp_path_factory.mktemp("int8") / f"{activations}.onnx"
        onnx.save(model, out)
        return out

    return make


def test_an_int8_file_with_symmetric_activations_builds(quantised):
    path = quantised("symmetric")
    assert set(outputs(path).values()) == {"float32"}
    engine = build_engine(path, ADA)
    assert engine.header.facts.precision == "int8"
    assert len(engine.plan) > 100_000


def test_an_int8_file_with_zero_points_is_refused_with_what_to_export_instead(quantised):
    with pytest.raises(ModelFileError) as caught:
        build_engine(quantised("asymmetric"), ADA)
    assert "QuantizeLinear" in str(caught.value)
    remedy = "; remedy: export it with --precision int8 --activations symmetric"
    assert str(caught.value).endswith(remedy)


def test_an_fp32_file_gives_float32(exported):
    assert set(outputs(exported[0]).values()) == {"float32"}


def test_an_fp16_file_gives_half_of_what_masks_are_made_of_in_half_precision(half):
    types = {"scores": "float32", "boxes": "float32", "coefficients": "float16", "prototypes": "float16"}
    assert outputs(half) == types


@pytest.mark.parametrize("capability", ["7.5", "8.9", "12.0"])
def test_an_fp16_file_builds_for_turing_and_all_that_came_after_it(half, capability):
    engine = build_engine(half, replace(ADA, compute_capability=capability))
    assert (engine.header.facts.precision, engine.header.compute_capability) == ("fp16", capability)
    assert len(engine.plan) > 100_000
