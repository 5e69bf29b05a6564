"""The segmenter: stages, batches, options, and what a model's facts may say."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from crafted_model import crafted_candidates, crafted_facts, write_crafted_model

import fetalseg
from fetalseg.engines import available_engines
from fetalseg.errors import EngineError, FrameError, ModelFileError
from fetalseg.frame import Frame
from fetalseg.instances import Instances
from fetalseg.postprocess.options import PostprocessOptions
from fetalseg.segmenter import Segmenter

pytestmark = pytest.mark.skipif(not available_engines(), reason="no inference runtime is installed")


@pytest.fixture(scope="module")
def crafted(tmp_path_factory: pytest.TempPathFactory) -> Segmenter:
    """Finds in every dark frame a cranium, score 0.9, box 8, 4, 24, 20 of its input of 32 x 24."""
    path = write_crafted_model(tmp_path_factory.mktemp("model") / "crafted.onnx", flaw="nan")
    return Segmenter.load(path, threads=1)


def assert_equal(found: Instances, expected: Instances) -> None:
    assert np.array_equal(found.labels, expected.labels)
    assert np.array_equal(found.scores, expected.scores)
    assert np.array_equal(found.boxes, expected.boxes)
    assert np.array_equal(found.masks, expected.masks)
    assert found.frame_shape == expected.frame_shape


@pytest.mark.parametrize(
    ("frame_shape", "box"),
    [
        ((24, 32), [8, 4, 24, 20]),
        # Twice the size, without padding.
        ((48, 64), [16, 8, 48, 40]),
        # 48 x 48 shrinks to 24 x 24 with 4 px of padding on each side: x = (8 - 4) * 2 and (24 - 4) * 2.
        ((48, 48), [8, 8, 40, 40]),
    ],
)
def test_what_the_network_finds_arrives_in_frame_pixels(
    crafted: Segmenter, frame_shape: tuple[int, int], box: list[int]
) -> None:
    instances = crafted.segment(np.zeros(frame_shape, np.uint8))
    assert instances.labels.tolist() == [0]
    assert instances.scores == pytest.approx([0.9])
    assert instances.boxes == pytest.approx(np.array([box]))
    x1, y1, x2, y2 = box
    mask = instances.masks[0].copy()
    # Interpolation rounds the corners off by up to 3 px.
    assert mask[y1 + 3 : y2 - 3, x1:x2].all()
    assert mask[y1:y2, x1 + 3 : x2 - 3].all()
    mask[y1:y2, x1:x2] = False
    assert not mask.any()


def test_a_frame_and_its_pixels_give_the_same(crafted: Segmenter) -> None:
    pixels = np.random.default_rng(1).integers(0, 60, (48, 64, 3), np.uint8)
    assert_equal(crafted.segment(Frame(pixels)), crafted.segment(pixels))


def test_segment_is_its_three_stages(crafted: Segmenter) -> None:
    pixels = np.zeros((100, 100), np.uint8)
    image, geometry = crafted.prepare(pixels)
    assert image.shape == (24, 32, 1)
    candidates = crafted.infer(image[None])
    assert_equal(crafted.finish(candidates, geometry), crafted.segment(pixels))


def test_times_of_the_network_and_the_device_are_the_engines_to_tell(crafted: Segmenter) -> None:
    stages: dict[str, float] = {}
    crafted.infer(np.zeros((1, 24, 32, 1), np.uint8), stages=stages)
    assert stages["infer"] > 0


def test_a_device_and_a_folder_of_built_engines_are_handed_on(tmp_path: Path) -> None:
    path = write_crafted_model(tmp_path / "crafted.onnx")
    with Segmenter.load(path, threads=1, device="cpu", engine_cache=tmp_path) as segmenter:
        assert segmenter.engine.device == "CPU, 1 thread"
    with pytest.raises(ValueError, match="unknown device 'gpu'"):
        Segmenter.load(path, device="gpu")


def test_prepare_writes_into_a_given_array(crafted: Segmenter) -> None:
    out = np.full((24, 32, 1), 9, np.uint8)
    image, _ = crafted.prepare(np.zeros((24, 32), np.uint8), out)
    assert image is out
    assert not out.any()


def test_a_batch_of_different_sizes_gives_what_each_frame_gives_alone(crafted: Segmenter) -> None:
    frames = [np.zeros(shape, np.uint8) for shape in ((24, 32), (100, 50), (480, 640, 3))]
    together = crafted.segment_batch(frames)
    assert len(together) == 3
    for found, frame in zip(together, frames, strict=True):
        assert_equal(found, crafted.segment(frame))


def test_an_empty_batch_gives_nothing(crafted: Segmenter) -> None:
    assert crafted.segment_batch([]) == []


def test_times_are_given_for_each_stage(crafted: Segmenter) -> None:
    timing = crafted.segment(np.zeros((48, 64), np.uint8)).timing_ms
    assert list(timing) == ["preprocess", "infer", "postprocess"]
    assert all(value > 0 for value in timing.values())


def test_options_of_a_call_replace_the_default(crafted: Segmenter) -> None:
    frame = np.zeros((48, 64), np.uint8)
    assert len(crafted.segment(frame, PostprocessOptions(min_score=0.95))) == 0
    assert len(crafted.segment(frame, PostprocessOptions(min_score=0.85))) == 1
    assert crafted.segment(frame, PostprocessOptions(masks=False)).crops[0].size == 0


def test_a_model_brings_its_own_defaults(tmp_path: Path) -> None:
    facts = crafted_facts(postprocess={"min_score": 0.95, "nms": "greedy"})
    with Segmenter.load(write_crafted_model(tmp_path / "crafted.onnx", facts=facts.to_json())) as segmenter:
        assert segmenter.default_options == replace(PostprocessOptions(), min_score=0.95, nms="greedy")
        assert len(segmenter.segment(np.zeros((48, 64), np.uint8))) == 0


@pytest.mark.parametrize(
    ("postprocess", "message"),
    [
        ({"score": 0.5}, "unknown post-processing options score; known are nms"),
        ({"nms": "best"}, "unknown nms 'best'"),
        ({"min_score": 2}, "min_score must be within 0..1, got 2"),
        ({"min_score": "high"}, "model crafted: "),
    ],
)
def test_defaults_that_make_no_sense_are_a_fault_of_the_file(
    postprocess: dict[str, object], message: str, tmp_path: Path
) -> None:
    path = write_crafted_model(tmp_path / "crafted.onnx", facts=crafted_facts(postprocess=postprocess).to_json())
    with pytest.raises(ModelFileError, match=message):
        Segmenter.load(path)


def test_a_model_brings_its_own_structures(tmp_path: Path) -> None:
    names = ("yolk sac", *(f"part {number}" for number in range(2, 18)))
    path = write_crafted_model(tmp_path / "crafted.onnx", facts=crafted_facts(structures=names).to_json())
    with Segmenter.load(path) as segmenter:
        assert segmenter.structures == names
        instances = segmenter.segment(np.zeros((48, 64), np.uint8))
    assert instances.structures == names
    assert instances.names == ["yolk sac"]


@pytest.mark.parametrize(
    ("structures", "message"),
    [
        (("head", "head"), "model crafted: structure 'head' is named twice"),
        (("head", ""), "printable characters, got ''"),
        (tuple(map(str, range(256))), "expected 1 to 255 structures, got 256"),
    ],
)
def test_structures_that_cannot_be_told_apart_are_a_fault_of_the_file(
    structures: tuple[str, ...], message: str, tmp_path: Path
) -> None:
    path = write_crafted_model(tmp_path / "crafted.onnx", facts=crafted_facts(structures=structures).to_json())
    with pytest.raises(ModelFileError, match=message):
        Segmenter.load(path)


def test_a_file_with_fewer_names_than_its_network_has_outputs_is_refused_at_the_first_frame(tmp_path: Path) -> None:
    path = write_crafted_model(tmp_path / "crafted.onnx", facts=crafted_facts(structures=("head",)).to_json())
    with Segmenter.load(path) as segmenter, pytest.raises(ValueError, match="17 structures; expected 1"):
        segmenter.segment(np.zeros((48, 64), np.uint8))


def test_an_engine_error_costs_one_call_only(crafted: Segmenter) -> None:
    with pytest.raises(EngineError, match="not finite"):
        crafted.segment(np.full((48, 64), 255, np.uint8))
    assert len(crafted.segment(np.zeros((48, 64), np.uint8))) == 1


@pytest.mark.parametrize(
    ("shape", "word"), [((1, 1), "too small"), ((8, 9000), "too small"), ((16, 9000), "too large")]
)
def test_frames_out_of_size_are_refused(crafted: Segmenter, shape: tuple[int, int], word: str) -> None:
    with pytest.raises(FrameError, match=word):
        crafted.segment(np.zeros(shape, np.uint8))


def test_other_arrays_are_refused(crafted: Segmenter) -> None:
    with pytest.raises(ValueError, match="uint8"):
        crafted.segment(np.zeros((48, 64), np.float32))  # type: ignore[arg-type]


def test_nothing_found_is_an_empty_table(tmp_path: Path) -> None:
    nothing = crafted_candidates()
    nothing.scores[:] = 0
    with Segmenter.load(write_crafted_model(tmp_path / "crafted.onnx", candidates=nothing)) as segmenter:
        instances = segmenter.segment(np.zeros((48, 64), np.uint8))
    assert (len(instances), instances.boxes.shape, instances.masks.shape) == (0, (0, 4), (0, 48, 64))


def test_the_package_offers_the_segmenter() -> None:
    assert fetalseg.Segmenter is Segmenter
    assert fetalseg.PostprocessOptions is PostprocessOptions


def test_the_default_model_looks_at_a_frame(default_model: Path) -> None:
    with Segmenter.load(default_model) as segmenter:
        instances = segmenter.segment(np.zeros((480, 640), np.uint8))
        assert segmenter.facts.name == "fetalseg-s"
    assert instances.frame_shape == (480, 640)
