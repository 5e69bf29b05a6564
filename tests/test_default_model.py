"""The models that ship: their files, their cards, and what the default must find."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

from fetalseg import PostprocessOptions, Segmenter
from fetalseg.data.coco import read_coco
from fetalseg.data.records import CocoSet
from fetalseg.evaluation.evaluator import Evaluation, evaluate_model
from fetalseg.model_file import read_facts
from fetalseg.phantom.dataset import write_dataset

MODELS = Path(__file__).resolve().parent.parent / "models"
SHIPPED = sorted(path.stem for path in MODELS.glob("*.onnx"))
# As `fetalseg eval` scores it, with the kind of suppression that the model brings along.
OPTIONS = PostprocessOptions(nms="greedy", min_score=0.05, max_detections=100, single_structures=False)


@pytest.fixture(scope="module")
def synthetic(tmp_path_factory: pytest.TempPathFactory) -> CocoSet:
    """Frames that no training has seen."""
    return read_coco(write_dataset(tmp_path_factory.mktemp("synthetic"), frames=150, seed=1111))


def test_weights_are_those_in_the_list_of_digests(default_model: Path) -> None:
    digests = dict(reversed(line.split()) for line in (MODELS / "SHA256SUMS").read_text().splitlines())
    weights = [path for path in MODELS.iterdir() if path.suffix in {".onnx", ".safetensors"}]
    assert default_model in weights
    assert default_model.stem == "fetalseg-s"
    assert digests == {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in weights}


@pytest.mark.parametrize("name", SHIPPED)
def test_checkpoint_is_the_one_that_the_model_was_exported_from(name: str) -> None:
    checkpoint = MODELS / f"{name.removesuffix('-int8')}.safetensors"
    assert checkpoint.stat().st_size <= 30e6
    assert read_facts(MODELS / f"{name}.onnx").weights_sha256 == hashlib.sha256(checkpoint.read_bytes()).hexdigest()


@pytest.mark.parametrize("name", SHIPPED)
def test_file_is_small_and_says_where_it_comes_from(name: str) -> None:
    path = MODELS / f"{name}.onnx"
    facts = read_facts(path)
    assert path.stat().st_size <= 25e6
    assert facts.name == name
    assert facts.licence
    assert (facts.input.resize, facts.input.interpolation, facts.input.pad_value) == ("letterbox", "area", 0)
    assert facts.normalisation == {"mean": [114.495], "std": [57.63]}  # ImageNet's, averaged over the colours
    assert len(facts.training_data) == 5  # three sets, and whom to name for two of them
    assert all("CC BY 4.0" in line or "Synthetic" in line for line in facts.training_data)
    assert f"# {name} {facts.version}\n" in (MODELS / f"{name}.md").read_text()


def test_synthetic_structures_are_found(default_model: Path, synthetic: CocoSet) -> None:
    structures = evaluate_model(Segmenter.load(default_model), synthetic, OPTIONS).structures
    for name in ("cranium", "palate", "abdominal_circumference", "spine"):
        hit = structures[name].centre_hit
        assert hit is not None
        assert hit >= 0.8, name


def test_int8_costs_no_more_ap50_than_a_detection_or_two(default_model: Path, synthetic: CocoSet) -> None:
    quantised = Segmenter.load("fetalseg-s-int8")
    assert quantised.engine.precision == quantised.facts.precision == "int8"
    full, less = (ap50(evaluate_model(one, synthetic, OPTIONS)) for one in (Segmenter.load(default_model), quantised))
    # The aim is 0.005. On the 426 held-out frames of the model's card int8 gains as much; here one nasal bone of thirty
    # alone moves the mean of 17 by 0.002.
    assert less >= full - 0.005


@pytest.mark.timeout(400)  # 300 frames through PyTorch
def test_cut_at_300_candidates_costs_no_more_ap50_than_a_detection_or_two(
    default_model: Path, synthetic: CocoSet
) -> None:
    pytest.importorskip("torch", reason="the uncut network needs the extra train")
    from fetalseg.engines.torch_engine import TorchEngine

    cut = TorchEngine.load(default_model, precision="fp32", device="cpu")
    anchors = len(cut.network.anchors)
    uncut = TorchEngine(cut.network, replace(cut.facts, candidates=anchors), "fp32", threads=2)
    assert cut.facts.candidates == 300 < anchors
    with_cut, without = (ap50(evaluate_model(Segmenter(engine), synthetic, OPTIONS)) for engine in (cut, uncut))
    # The aim is a thousandth; on the 426 held-out frames of the model's card it is 0.0016, and here one nasal bone of
    # thirty alone moves the mean of 17 by 0.002.
    assert with_cut >= without - 0.003


def ap50(evaluation: Evaluation) -> float:
    assert evaluation.box.ap50 is not None
    return evaluation.box.ap50
