"""One set of tests over all inference runtimes; what isn't installed is skipped with a message."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from crafted_model import crafted_candidates, crafted_facts, write_crafted_model

from fetalseg.candidates import Candidates
from fetalseg.engines import AUTO_ORDER, ENGINES, Engine, available_engines, load_engine
from fetalseg.engines.base import usable_cores
from fetalseg.engines.gpu import find_gpus
from fetalseg.errors import EngineError, ModelFileError
from fetalseg.model_file import METADATA_KEY

# Runs of any ONNX graph; torch rebuilds its own network and reads only the weights from a file.
GRAPH_ENGINES = ("onnxruntime", "openvino")


def need(kind: str) -> str:
    if kind not in available_engines():
        pytest.skip(f"{kind} is not installed")
    if kind == "tensorrt" and find_gpus().count == 0:
        pytest.skip("tensorrt needs an NVIDIA GPU")
    return kind


@pytest.fixture(params=ENGINES)
def kind(request: pytest.FixtureRequest) -> str:
    return need(request.param)


@pytest.fixture(params=GRAPH_ENGINES)
def graph_kind(request: pytest.FixtureRequest) -> str:
    return need(request.param)


def random_frames(batch: int, shape: tuple[int, int, int] = (64, 96, 1)) -> npt.NDArray[np.uint8]:
    return np.random.default_rng(3).integers(0, 256, (batch, *shape), np.uint8)


def assert_same_candidates(found: Candidates, expected: Candidates, tolerance: float, box_tolerance: float) -> None:
    """Candidates agree as sets: rows of nearly equal rank may change places between runtimes."""
    for i in range(len(expected.scores)):
        distance = np.abs(found.boxes[i][:, None] - expected.boxes[i][None]).max(axis=2)
        distance = distance + 1000 * np.abs(found.scores[i][:, None] - expected.scores[i][None]).max(axis=2)
        partner = distance.argmin(axis=0)
        assert len(set(partner.tolist())) == expected.scores.shape[1], "two candidates have the same partner"
        assert found.boxes[i][partner] == pytest.approx(expected.boxes[i], abs=box_tolerance)
        assert found.scores[i][partner] == pytest.approx(expected.scores[i], abs=tolerance)
        assert found.coefficients[i][partner] == pytest.approx(expected.coefficients[i], abs=tolerance)
    assert found.prototypes == pytest.approx(expected.prototypes, abs=tolerance)


@pytest.mark.parametrize("batch", [1, 3])
def test_every_engine_returns_what_onnxruntime_returns(kind: str, batch: int, tiny_model: Path) -> None:
    need("onnxruntime")
    images = random_frames(batch)
    with load_engine(tiny_model, "onnxruntime") as reference, load_engine(tiny_model, kind, precision="fp32") as engine:
        expected, found = reference.infer(images), engine.infer(images)
    n = reference.facts.candidates
    assert [values.shape for values in found] == [(batch, n, 17), (batch, n, 4), (batch, n, 8), (batch, 8, 16, 24)]
    assert {values.dtype for values in found} == {np.dtype(np.float32)}
    assert_same_candidates(found, expected, tolerance=1e-4, box_tolerance=1e-2)


def test_a_frame_in_a_batch_gives_what_it_gives_alone(kind: str, tiny_model: Path) -> None:
    images = random_frames(3)
    with load_engine(tiny_model, kind, precision="fp32") as engine:
        together, alone = engine.infer(images), engine.infer(images[1:2])
    assert_same_candidates(together.frame(1), alone, tolerance=1e-4, box_tolerance=1e-2)


def test_results_belong_to_the_caller(kind: str, tiny_model: Path) -> None:
    with load_engine(tiny_model, kind) as engine:
        first = engine.infer(random_frames(1))
        kept = [values.copy() for values in first]
        engine.infer(255 - random_frames(1))
    for values, copy in zip(first, kept, strict=True):
        assert np.array_equal(values, copy)
        assert values.flags.writeable


def test_images_are_left_as_they_are_and_need_not_be_contiguous(kind: str, tiny_model: Path) -> None:
    wide = random_frames(1, (64, 192, 1))
    images = wide[:, :, ::2]
    images.flags.writeable = False
    before = images.copy()
    with load_engine(tiny_model, kind, precision="fp32") as engine:
        strided, contiguous = engine.infer(images), engine.infer(before)
    assert np.array_equal(images, before)
    assert np.array_equal(strided.prototypes, contiguous.prototypes)


def test_an_engine_may_be_called_from_several_threads(kind: str, tiny_model: Path) -> None:
    images = random_frames(4)
    results: dict[int, Candidates] = {}
    with load_engine(tiny_model, kind, precision="fp32") as engine:
        expected = [engine.infer(images[i : i + 1]) for i in range(4)]

        def work(i: int) -> None:
            results[i] = engine.infer(images[i : i + 1])

        threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    for i in range(4):
        assert_same_candidates(results[i], expected[i], tolerance=1e-4, box_tolerance=1e-2)


def test_an_engine_says_what_it_is(kind: str, tiny_model: Path) -> None:
    device = "cuda" if kind == "tensorrt" else "cpu"
    with load_engine(tiny_model, kind, precision="fp32", threads=1, device=device) as engine:
        assert (engine.name, engine.precision) == (kind, "fp32")
        assert engine.facts.name == "fetalseg-test"
        assert (engine.device == "CPU, 1 thread") == (device == "cpu")


@pytest.mark.parametrize(
    "images",
    [
        np.zeros((1, 64, 96, 3), np.uint8),
        np.zeros((1, 96, 64, 1), np.uint8),
        np.zeros((64, 96, 1), np.uint8),
        np.zeros((0, 64, 96, 1), np.uint8),
        np.zeros((1, 64, 96, 1), np.float32),
    ],
    ids=["three channels", "turned", "no batch", "empty batch", "floating point"],
)
def test_images_of_another_shape_or_type_are_refused(
    kind: str, images: npt.NDArray[np.uint8], tiny_model: Path
) -> None:
    with (
        load_engine(tiny_model, kind) as engine,
        pytest.raises(ValueError, match=r"images must be uint8 \[B, 64, 96, 1\], got"),
    ):
        engine.infer(images)


@pytest.mark.parametrize("flaw", ["nan", "inf", "minus inf and inf"])
def test_values_that_are_not_finite_are_an_error_for_their_frame_only(
    graph_kind: str, flaw: str, tmp_path: Path
) -> None:
    path = write_crafted_model(tmp_path / "crafted.onnx", flaw=flaw)  # type: ignore[arg-type]
    dark, bright = np.zeros((1, 24, 32, 1), np.uint8), np.full((1, 24, 32, 1), 255, np.uint8)
    with load_engine(path, graph_kind) as engine:
        assert engine.infer(dark).scores[0, 0, 0] == np.float32(0.9)
        with pytest.raises(EngineError, match="scores that are not finite"):
            engine.infer(np.concatenate([dark, bright]))
        assert engine.infer(dark).scores[0, 0, 0] == np.float32(0.9)


def test_torch_refuses_values_that_are_not_finite(tiny_checkpoint: Path, tmp_path: Path) -> None:
    need("torch")
    from fetalseg.model.checkpoint import load_checkpoint, save_checkpoint

    network, facts = load_checkpoint(tiny_checkpoint)
    next(network.parameters()).data.fill_(float("nan"))
    save_checkpoint(tmp_path / "broken.safetensors", network, facts)
    with (
        load_engine(tmp_path / "broken.safetensors", "torch") as engine,
        pytest.raises(EngineError, match="not finite"),
    ):
        engine.infer(random_frames(1))


def test_constant_candidates_arrive_unchanged_whatever_the_precision(graph_kind: str, tmp_path: Path) -> None:
    path = write_crafted_model(tmp_path / "crafted.onnx")
    with load_engine(path, graph_kind) as engine:
        found = engine.infer(np.zeros((2, 24, 32, 1), np.uint8))
    for values, expected in zip(found, crafted_candidates(), strict=True):
        assert np.array_equal(values, np.repeat(expected, 2, axis=0))


def in_half_precision(path: Path) -> Path:
    """The model, with what masks are made of in float16, as in an exported fp16 file."""
    model = onnx.load(path)
    for output in model.graph.output:
        if output.name in ("coefficients", "prototypes"):
            node = next(node for node in model.graph.node if output.name in node.output)
            node.output[list(node.output).index(output.name)] = f"{output.name}_wide"
            model.graph.node.append(
                onnx.helper.make_node("Cast", [f"{output.name}_wide"], [output.name], to=onnx.TensorProto.FLOAT16)
            )
            output.type.tensor_type.elem_type = onnx.TensorProto.FLOAT16
    onnx.save(model, path)
    return path


def test_float16_outputs_become_float32(graph_kind: str, tmp_path: Path) -> None:
    path = in_half_precision(write_crafted_model(tmp_path / "half.onnx"))
    with load_engine(path, graph_kind) as engine:
        found = engine.infer(np.zeros((2, 24, 32, 1), np.uint8))
    for values, expected in zip(found, crafted_candidates(), strict=True):
        assert values.dtype == np.float32
        assert np.array_equal(values, np.repeat(expected, 2, axis=0))


def test_an_engine_on_the_processor_tells_one_stage(kind: str, tiny_model: Path) -> None:
    if kind == "tensorrt":
        pytest.skip("tensorrt runs on a GPU")
    stages: dict[str, float] = {}
    with load_engine(tiny_model, kind, device="cpu") as engine:
        engine.infer(random_frames(2), stages=stages)
    assert list(stages) == ["infer"]
    assert stages["infer"] > 0


def facts_alone() -> bytes:
    """A protobuf message with our metadata and nothing else: field 14, key and value as fields 1 and 2."""
    text = crafted_facts().to_json().encode()
    size = len(text)
    value = b"\x12" + bytes([size & 127 | 128, size >> 7]) + text
    entry = b"\x0a" + bytes([len(METADATA_KEY)]) + METADATA_KEY.encode() + value
    return b"\x08\x09\x72" + bytes([len(entry) & 127 | 128, len(entry) >> 7]) + entry


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "was not exported by fetalseg"),
        (b"a text, certainly no model", "is not an ONNX file"),
        (b"\x89PNG\r\n\x1a\n", "is not an ONNX file"),
        (facts_alone(), "crafted|doesn't say which network|can't load"),
    ],
    ids=["empty", "text", "image", "facts without a graph"],
)
def test_a_file_that_is_no_model_is_refused(kind: str, content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    with pytest.raises(ModelFileError, match=message):
        load_engine(path, kind)


def test_a_truncated_model_is_refused(kind: str, tiny_model: Path, tmp_path: Path) -> None:
    path = tmp_path / "cut.onnx"
    data = tiny_model.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(ModelFileError, match=r"cut\.onnx is not an ONNX file"):
        load_engine(path, kind)


def test_a_foreign_onnx_file_is_refused(kind: str, tmp_path: Path) -> None:
    path = write_crafted_model(tmp_path / "foreign.onnx", facts="")
    with pytest.raises(ModelFileError, match=r"foreign\.onnx was not exported by fetalseg"):
        load_engine(path, kind)


def test_a_graph_that_does_not_end_at_candidates_is_refused(graph_kind: str, tmp_path: Path) -> None:
    path = write_crafted_model(tmp_path / "other.onnx", output_names=("scores", "boxes", "masks", "prototypes"))
    with pytest.raises(ModelFileError, match=r"masks.*expected images to scores, boxes, coefficients, prototypes"):
        load_engine(path, graph_kind)


def test_an_unknown_name_lists_the_known_ones(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FETALSEG_MODELS", str(tiny_model.parent))
    with pytest.raises(ModelFileError, match=r"no model named 'fetalseg-xl'; known models: .*fetalseg-test"):
        load_engine("fetalseg-xl")


def test_a_missing_file_is_named() -> None:
    with pytest.raises(ModelFileError, match=r"no model file at nowhere/model\.onnx"):
        load_engine("nowhere/model.onnx")


def test_a_checkpoint_runs_in_torch_alone(tiny_checkpoint: Path, graph_kind: str) -> None:
    with pytest.raises(ModelFileError, match="training checkpoint"):
        load_engine(tiny_checkpoint, graph_kind)
    with load_engine(tiny_checkpoint) as engine:
        assert engine.name == "torch"


@pytest.mark.parametrize("word", ["tflite", "Torch", ""])
def test_an_unknown_engine_lists_the_known_ones(word: str) -> None:
    with pytest.raises(ValueError, match="expected auto, tensorrt, openvino, onnxruntime, torch"):
        load_engine("fetalseg-s", word)


def test_no_threads_are_refused(tiny_model: Path) -> None:
    with pytest.raises(ValueError, match="threads must be at least 1, got 0"):
        load_engine(tiny_model, threads=0)


@pytest.mark.parametrize(
    ("quota", "expected"),
    [
        ("100000 100000", 1),
        ("50000 100000", 1),
        ("max 100000", None),
        ("6400000 100000", None),
        ("", None),
        (None, None),
    ],
    ids=["one core", "half a core", "no limit", "more than there is", "empty", "no file"],
)
def test_a_containers_quota_limits_the_threads(quota: str | None, expected: int | None, tmp_path: Path) -> None:
    path = tmp_path / "cpu.max"
    if quota is not None:
        path.write_text(quota)
    assert usable_cores(path) == (expected or usable_cores(tmp_path / "absent"))


def test_an_unknown_precision_is_refused(kind: str, tiny_model: Path) -> None:
    with pytest.raises(ValueError, match="'fp8'"):
        load_engine(tiny_model, kind, precision="fp8")


def test_every_word_leads_to_an_engine_of_that_name(kind: str, tiny_model: Path) -> None:
    assert {word for word, _ in AUTO_ORDER} == set(ENGINES)
    with load_engine(str(tiny_model), kind) as engine:
        assert isinstance(engine, Engine)
        assert f"{type(engine).__module__}:{type(engine).__name__}" == ENGINES[kind]
