"""Engines kept between starts: taken when they fit, built anew when they don't."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import pytest
from crafted_model import write_crafted_model

pytest.importorskip("tensorrt_rtx", reason="needs TensorRT-RTX (Linux or Windows on x86-64)")

from fetalseg.engines.tensorrt_builder import BuildSettings
from fetalseg.engines.tensorrt_cache import load_or_build
from fetalseg.engines.tensorrt_file import read_engine, write_engine
from fetalseg.engines.tensorrt_library import load_library

ADA = BuildSettings(library="tensorrt_rtx", compute_capability="8.9")


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_crafted_model(tmp_path / "crafted.onnx", flaw="nan")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "kept" / "engines"


def only_file(folder: Path) -> Path:
    (path,) = folder.iterdir()
    return path


def test_the_second_start_takes_what_the_first_built(
    model: Path, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="fetalseg.engines")
    built = load_or_build(model, ADA, folder)
    assert caplog.messages[-1].startswith("built an engine of crafted.onnx in ")
    caplog.clear()
    assert load_or_build(model, ADA, folder) == built
    assert caplog.messages == [f"took the engine of crafted.onnx from {only_file(folder)}"]


def test_the_name_of_a_kept_engine_says_what_it_depends_on(model: Path, folder: Path) -> None:
    built = load_or_build(model, ADA, folder)
    version = load_library("tensorrt_rtx").version
    # e3b0c442 begins the SHA-256 of nothing: it was built without a GPU.
    expected = f"{built.header.model_sha256[:16]}-fp32-tensorrt_rtx-{version}-sm89-e3b0c442-batch8.engine"
    assert only_file(folder).name == expected


def test_other_models_cards_and_batches_have_files_of_their_own(model: Path, folder: Path, tmp_path: Path) -> None:
    other = write_crafted_model(tmp_path / "other.onnx", flaw="inf")
    load_or_build(model, ADA, folder)
    load_or_build(other, ADA, folder)
    load_or_build(model, replace(ADA, compute_capability="12.0"), folder)
    load_or_build(model, replace(ADA, max_batch=2), folder)
    assert len(list(folder.iterdir())) == 4


def test_a_damaged_file_is_built_anew_with_a_warning(
    model: Path, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    built = load_or_build(model, ADA, folder)
    path = only_file(folder)
    path.write_bytes(path.read_bytes()[:-1])
    assert load_or_build(model, ADA, folder).header == built.header
    (warning,) = [message for message in caplog.messages if "anew" in message]
    assert warning.startswith(f"the kept engine can't be used and is built anew: {path.name} is damaged or cut short")
    assert read_engine(path).header == built.header


def test_a_file_that_is_not_what_its_name_says_is_built_anew_with_a_warning(
    model: Path, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    built = load_or_build(model, ADA, folder)
    path = only_file(folder)
    write_engine(path, replace(built, header=replace(built.header, model_sha256="00" * 32), plan=b"foreign"))
    assert load_or_build(model, ADA, folder).header == built.header
    assert f"{path} is not the engine that its name says; it is built anew" in caplog.messages
    assert len(read_engine(path).plan) > 1000


def test_a_folder_that_cannot_be_written_costs_only_the_next_start(
    model: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    blocked = tmp_path / "a file"
    blocked.write_text("in the way")
    assert len(load_or_build(model, ADA, blocked).plan) > 1000
    (warning,) = [message for message in caplog.messages if "not kept" in message]
    assert warning.startswith("the engine is not kept for the next start: can't write ")
