"""Facts in a model file, read without a runtime, and models found by name."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import onnx
import pytest
from crafted_model import crafted_facts, write_crafted_model
from hypothesis import given
from hypothesis import strategies as st
from onnx import helper

from fetalseg.errors import ModelFileError
from fetalseg.model_file import (
    ModelFacts,
    file_digest,
    find_model,
    freeze_thresholds,
    list_models,
    model_directories,
    read_facts,
)


def test_facts_survive_the_file(tmp_path: Path) -> None:
    facts = replace(
        crafted_facts(postprocess={"nms": "matrix", "min_score": 0.25}),
        training_data=("phantom, Apache-2.0", "Bilder von Köln, CC BY 4.0"),
        licence="Apache-2.0",
        created="2026-01-31",
        weights_sha256="0" * 64,
    )
    path = write_crafted_model(tmp_path / "crafted.onnx", facts=facts.to_json())
    assert read_facts(path) == facts


def test_the_text_is_the_one_that_the_onnx_package_reads(tmp_path: Path) -> None:
    path = write_crafted_model(tmp_path / "crafted.onnx")
    (entry,) = onnx.load(path).metadata_props
    assert entry.key == "fetalseg"
    assert ModelFacts.from_json(entry.value) == read_facts(path)


def test_an_exported_file_is_read_like_the_onnx_package_does(tiny_model: Path) -> None:
    entries = {entry.key: entry.value for entry in onnx.load(tiny_model).metadata_props}
    assert read_facts(tiny_model) == ModelFacts.from_json(entries["fetalseg"])


@given(st.dictionaries(st.text(max_size=20), st.text(max_size=300), max_size=5), st.integers(-(2**63), 2**63 - 1))
def test_ours_is_found_among_any_other_metadata(
    tmp_path_factory: pytest.TempPathFactory, others: dict[str, str], number: int
) -> None:
    facts = crafted_facts()
    model = onnx.ModelProto(ir_version=9, producer_name="test", model_version=number, doc_string="x" * 200)
    helper.set_model_props(model, {**others, "fetalseg": facts.to_json()})
    path = tmp_path_factory.mktemp("model") / "model.onnx"
    path.write_bytes(model.SerializeToString())
    assert read_facts(path) == facts


@given(st.binary(max_size=200))
def test_no_bytes_lead_to_anything_but_a_clear_error(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.mktemp("model") / "model.onnx"
    path.write_bytes(content)
    with pytest.raises(ModelFileError, match=r"model\.onnx (is not an ONNX file|was not exported by fetalseg)"):
        read_facts(path)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.99])
def test_a_truncated_file_is_no_onnx_file(share: float, tmp_path: Path) -> None:
    path = write_crafted_model(tmp_path / "crafted.onnx")
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(ModelFileError, match=r"crafted\.onnx"):
        read_facts(path)


def test_an_absent_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="absent"):
        read_facts(tmp_path / "absent.onnx")


def changed(**changes: object) -> str:
    facts = json.loads(crafted_facts().to_json()) | changes
    return json.dumps({key: value for key, value in facts.items() if value is not None})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("no JSON", "not a JSON object with a schema number"),
        ("[1, 2]", "not a JSON object with a schema number"),
        ("{}", "not a JSON object with a schema number"),
        (changed(schema=2), "have schema 2; this version reads schema 1"),
        (changed(colour="blue"), "unknown facts colour; known are .*candidates"),
        (changed(structures=None), "incomplete: .*structures"),
        (changed(input={"height": 24}), "incomplete: .*width"),
        (changed(input={"height": 24, "width": 32, "channels": 1, "crop": 3}), "incomplete: .*crop"),
    ],
    ids=["text", "list", "no schema", "other schema", "unknown", "missing", "missing in input", "unknown in input"],
)
def test_facts_of_another_form_are_refused(text: str, message: str) -> None:
    with pytest.raises(ModelFileError, match=message):
        ModelFacts.from_json(text)


def test_the_environment_comes_before_the_checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    for folder in (first, second):
        folder.mkdir()
        write_crafted_model(folder / "crafted.onnx")
    write_crafted_model(second / "other.onnx")
    monkeypatch.setenv("FETALSEG_MODELS", f"{first}:{second}")
    assert model_directories()[:2] == [first, second]
    assert find_model("crafted") == first / "crafted.onnx"
    assert find_model("other") == second / "other.onnx"
    assert list_models()["crafted"] == first / "crafted.onnx"


def test_a_path_is_taken_as_it_is(tmp_path: Path) -> None:
    path = write_crafted_model(tmp_path / "crafted.onnx")
    assert find_model(path) == path
    assert find_model(str(path)) == path


def test_an_unknown_name_lists_known_ones_and_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_crafted_model(tmp_path / "crafted.onnx")
    monkeypatch.setenv("FETALSEG_MODELS", str(tmp_path))
    with pytest.raises(ModelFileError, match=rf"'crafty'; known models: .*crafted.*looked in {tmp_path}"):
        find_model("crafty")


def test_the_digest_is_sha256_and_follows_the_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    for content in (b"one", b"another"):
        path.write_bytes(content)
        assert file_digest(path) == hashlib.sha256(content).hexdigest()


def test_frozen_thresholds_are_in_the_copy_and_all_else_stays_as_it_was(tmp_path: Path) -> None:
    path = write_crafted_model(tmp_path / "crafted.onnx")
    out = tmp_path / "frozen" / "crafted.onnx"
    facts = freeze_thresholds(path, out, {"cranium": 0.41}, "426 frames")
    assert (
        facts
        == read_facts(out)
        == replace(read_facts(path), thresholds={"cranium": 0.41}, thresholds_source="426 frames")
    )
    before, after = onnx.load(path), onnx.load(out)
    (entry,) = after.metadata_props
    assert entry.key == "fetalseg"
    before.ClearField("metadata_props")
    after.ClearField("metadata_props")
    assert before == after
    # Another choice replaces the first.
    freeze_thresholds(out, tmp_path / "again.onnx", {"heart": 0.5}, "")
    assert read_facts(tmp_path / "again.onnx").thresholds == {"heart": 0.5}
    # In its own place, too, and nothing is left beside it.
    freeze_thresholds(out, out, {"spine": 0.6}, "")
    assert read_facts(out).thresholds == {"spine": 0.6}
    assert list(out.parent.iterdir()) == [out]


def test_facts_without_thresholds_are_written_as_before_there_were_any() -> None:
    assert "thresholds" not in crafted_facts().to_json()


@pytest.mark.parametrize(
    ("thresholds", "message"),
    [
        ({"yolk sac": 0.5}, "thresholds of unknown structures yolk sac"),
        ({"cranium": 1.5}, "the threshold of cranium is 1.5, expected 0..1"),
        ({"cranium": float("nan")}, "the threshold of cranium is nan"),
    ],
)
def test_thresholds_that_do_not_fit_the_model_are_refused(
    thresholds: dict[str, float], message: str, tmp_path: Path
) -> None:
    path = write_crafted_model(tmp_path / "crafted.onnx")
    with pytest.raises(ModelFileError, match=message):
        freeze_thresholds(path, tmp_path / "out.onnx", thresholds, "")
    assert not (tmp_path / "out.onnx").exists()


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    path = write_crafted_model(tmp_path / "crafted.onnx")
    with pytest.raises(ModelFileError, match="can't write the model file"):
        freeze_thresholds(path, path / "out.onnx", {}, "")
