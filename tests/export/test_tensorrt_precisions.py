"""Exported files in each precision, as TensorRT-RTX takes them: the types in the file are those of the engine."""

from dataclasses import replace

import onnx
import pytest

pytest.importorskip("tensorrt_rtx", reason="needs TensorRT-RTX (Linux or Windows on x86-64)")

import tensorrt_rtx as trt

from fetalseg.engines.tensorrt_builder import BuildSettings, build_engine
from fetalseg.engines.tensorrt_graph import takeable_graph
from fetalseg.engines.tensorrt_library import load_library
from fetalseg.export.graph import CandidateGraph
from fetalseg.export.half import half_graph
from fetalseg.export.onnx import describe, to_onnx

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
