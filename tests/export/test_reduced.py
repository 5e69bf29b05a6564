"""Files in fp16 and int8 of the small network."""

from dataclasses import replace

import numpy as np
import onnx
import pytest
from onnx import TensorProto, numpy_helper

from fetalseg.engines import load_engine
from fetalseg.errors import EngineError, ModelFileError
from fetalseg.export import detection_shift
from fetalseg.export.describe import describe
from fetalseg.export.reduced import export_reduced
from fetalseg.export.source import load_source
from fetalseg.export.verify import structured_frames
from fetalseg.model_file import read_facts

FILES = ["fp16", "asymmetric", "symmetric"]
# Kinds of nodes behind the network: scores, ranking, the cut, and the decoding of boxes.
TAIL = {"Sigmoid", "TopK", "ReduceMax", "Exp", "GatherElements"}


@pytest.fixture(scope="module")
def frames(network):
    return structured_frames(network.variant.input, 12)


@pytest.fixture(scope="module")
def files(network, frames, tmp_path_factory):
    """Path and shifts of each kind of file."""
    folder = tmp_path_factory.mktemp("reduced")
    facts = describe(network, candidates=60, version="1.2.3")
    facts = replace(facts, thresholds={"cranium": 0.2}, thresholds_source="by hand", licence="MIT")
    made = {"fp16": export_reduced(network, folder / "fp16.onnx", facts, "fp16", frames)}
    with pytest.MonkeyPatch.context() as patch:
        for output in ("scores", "boxes", "masks"):  # what random weights find is noise, and noise moves
            patch.setitem(detection_shift.SHIFT_TOLERANCES["int8"], output, 0.3)
        for word in ("asymmetric", "symmetric"):
            made[word] = export_reduced(network, folder / f"{word}.onnx", facts, "int8", frames, activations=word)
    return {word: (folder / f"{word}.onnx", shifts) for word, shifts in made.items()}


@pytest.fixture(params=FILES)
def file(request, files):
    return files[request.param][0]


def types_of(path):
    """Element type of every tensor of a file, as ONNX infers it."""
    graph = onnx.shape_inference.infer_shapes(onnx.load(path), strict_mode=True).graph
    types = {value.name: value.type.tensor_type.elem_type for value in (*graph.input, *graph.output, *graph.value_info)}
    return graph, {**types, **{tensor.name: tensor.data_type for tensor in graph.initializer}}


def test_only_the_precision_differs_in_the_facts(file, network):
    facts = read_facts(file)
    assert facts.precision == ("fp16" if file.stem == "fp16" else "int8")
    assert (facts.name, facts.version, facts.licence) == ("fetalseg-test", "1.2.3", "MIT")
    assert facts.thresholds == {"cranium": 0.2}
    assert facts.prototypes == (8, 16, 24)


def test_scores_and_boxes_are_float32_in_every_file(file):
    _, types = types_of(file)
    small = TensorProto.FLOAT16 if file.stem == "fp16" else TensorProto.FLOAT
    assert types["images"] == TensorProto.UINT8
    assert [types[name] for name in ("scores", "boxes")] == [TensorProto.FLOAT] * 2
    assert [types[name] for name in ("coefficients", "prototypes")] == [small] * 2


def test_scores_ranking_and_boxes_are_computed_in_float32(file):
    graph, types = types_of(file)
    tail = [node for node in graph.node if node.op_type in TAIL and "coefficients" not in node.output]
    assert {node.op_type for node in tail} == TAIL
    assert {types[node.input[0]] for node in tail} == {TensorProto.FLOAT}
    made_by = {output: node for node in graph.node for output in node.output}
    assert not [node.name for node in tail for name in node.input if is_dequantised(made_by.get(name))]


def is_dequantised(node):
    return node is not None and node.op_type == "DequantizeLinear"


def test_every_convolution_of_an_fp16_file_is_float16_from_its_input_to_its_output(files):
    graph, types = types_of(files["fp16"][0])
    convolutions = [node for node in graph.node if node.op_type in ("Conv", "MatMul")]
    tensors = [name for node in convolutions for name in (*node.input, *node.output)]
    assert {types[name] for name in tensors} == {TensorProto.FLOAT16}
    assert types["network.std"] == types["network.mean"] == TensorProto.FLOAT


@pytest.mark.parametrize("word", ["asymmetric", "symmetric"])
def test_every_convolution_of_an_int8_file_has_int8_weights_for_each_channel(word, files):
    graph, types = types_of(files[word][0])
    made_by = {output: node for node in graph.node for output in node.output}
    tensors = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    for node in (node for node in graph.node if node.op_type in ("Conv", "MatMul")):
        entering, weight = (made_by[name] for name in node.input[:2])
        assert entering.op_type == weight.op_type == "DequantizeLinear"
        scale = tensors[weight.input[1]]
        channels = 0 if node.op_type == "Conv" else 1
        assert types[weight.input[0]] == TensorProto.INT8
        assert scale.shape == (tensors[weight.input[0]].shape[channels],)
        assert not tensors[weight.input[2]].any()


def test_symmetric_activations_are_int8_around_0_and_asymmetric_ones_uint8(files):
    found = {}
    for word in ("asymmetric", "symmetric"):
        graph, _ = types_of(files[word][0])
        tensors = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
        points = [tensors[node.input[2]] for node in graph.node if node.op_type == "QuantizeLinear"]
        found[word] = ({str(point.dtype) for point in points}, any(point.any() for point in points))
    assert found == {"asymmetric": ({"uint8"}, True), "symmetric": ({"int8"}, False)}


def test_the_sum_of_two_features_is_one_of_int8_values(files):
    graph, _ = types_of(files["asymmetric"][0])
    made_by = {output: node for node in graph.node for output in node.output}
    sums = [node for node in graph.node if node.op_type == "Add" and node.input[1] in made_by]
    quantised = [node for node in sums if all(is_dequantised(made_by[name]) for name in node.input)]
    # Two of the pyramid's top-down steps, its fine features, and those of the prototype branch.
    assert len(quantised) == 4


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
def test_both_runtimes_of_the_processor_run_it_and_find_what_the_network_finds(engine, file, exported, frames):
    with load_engine(file, engine, threads=1) as reduced:
        actual = reduced.infer(frames[-2:])
    with load_engine(exported[0], "onnxruntime", threads=1) as full:
        expected = full.infer(frames[-2:])
    # In the mean over the structures: random weights make single scores out of next to nothing.
    shift = np.abs(actual.scores.max(axis=1) - expected.scores.max(axis=1)).mean()
    assert shift < (0.01 if file.stem == "fp16" else 0.1)


def test_the_shifts_are_those_of_the_tolerances(files):
    for _, shifts in files.values():
        assert [shift.output for shift in shifts] == ["scores", "boxes", "masks"]
        assert all(0 < shift.mean <= shift.largest for shift in shifts[:2])
        assert shifts[0].detections > 0
    assert files["fp16"][1][0].mean < files["asymmetric"][1][0].mean


def test_a_file_that_finds_something_else_is_never_left_behind(network, frames, tmp_path, monkeypatch):
    monkeypatch.setitem(detection_shift.SHIFT_TOLERANCES["fp16"], "boxes", -1.0)  # what no file can meet
    with pytest.raises(EngineError, match=r"the boxes of .* detections in fp16 differ"):
        export_reduced(network, tmp_path / "a.onnx", describe(network, candidates=20), "fp16", frames)
    assert list(tmp_path.iterdir()) == []


def test_the_network_stays_as_it_is(network, files):
    assert {str(tensor.dtype) for tensor in network.state_dict().values()} == {"torch.float32", "torch.int64"}


def test_a_file_in_lower_precision_is_no_source_of_another(file):
    with pytest.raises(ModelFileError, match=rf"{file.name} holds .* weights; a network is read back from .* fp32"):
        load_source(file)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"precision": "int4"}, "unknown precision 'int4'; expected fp16 or int8"),
        ({"activations": "both"}, "unknown activations 'both'; expected asymmetric or symmetric"),
        ({"frames": np.zeros((0, 64, 96, 1), np.uint8)}, r"\[N, 64, 96, 1\], got uint8 \(0, 64, 96, 1\)"),
        ({"frames": np.zeros((2, 64, 96, 3), np.uint8)}, r"\[N, 64, 96, 1\], got uint8 \(2, 64, 96, 3\)"),
        ({"frames": np.zeros((2, 64, 96, 1), np.float32)}, r"\[N, 64, 96, 1\], got float32"),
    ],
)
def test_what_cannot_be_exported_is_refused(changes, message, network, frames, tmp_path):
    given = {"precision": "int8", "frames": frames, **changes}
    with pytest.raises(ValueError, match=message):
        export_reduced(network, tmp_path / "a.onnx", describe(network), **given)


def test_frames_in_which_nothing_is_found_are_refused(network, tmp_path):
    black = np.zeros((2, 64, 96, 1), np.uint8)
    silent = describe(network, candidates=20)
    quiet = type(network)(network.variant)  # untrained: every score is about 0.01
    with pytest.raises(EngineError, match="the network finds nothing with a score of"):
        export_reduced(quiet, tmp_path / "a.onnx", silent, "fp16", black)
    assert list(tmp_path.iterdir()) == []
