"""The engine file: what goes in comes out, and what is damaged or foreign is refused before TensorRT sees it."""

from __future__ import annotations

import hashlib
import logging
import struct
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from crafted_model import crafted_facts

from fetalseg.engines.cuda_runtime import Gpu
from fetalseg.engines.tensorrt_file import (
    EngineFile,
    EngineHeader,
    check_gpu,
    check_library,
    read_engine,
    write_engine,
)
from fetalseg.engines.tensorrt_library import TensorRtLibrary
from fetalseg.errors import ModelFileError
from fetalseg.model_file import freeze_thresholds, read_facts

REMEDY = "remedy: build it again with: fetalseg export MODEL.onnx --format tensorrt --out a.engine"


class _Version:
    """A library of which only the version is asked for."""

    __version__ = "1.6.0.9"


def an_engine() -> EngineFile:
    header = EngineHeader(
        facts=replace(crafted_facts(), precision="fp16"),
        model_sha256="ab" * 32,
        library="tensorrt_rtx",
        library_version="1.7.1.116",
        compute_capability="8.9",
        gpu="NVIDIA GeForce RTX 4090",
        max_batch=4,
    )
    return EngineFile(header, bytes(range(256)))


def test_what_is_written_is_read_and_nothing_else_is_left(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.engine"
    write_engine(path, an_engine())
    assert read_engine(path) == an_engine()
    assert [entry.name for entry in path.parent.iterdir()] == ["a.engine"]


def test_the_facts_of_an_engine_can_be_read_as_those_of_a_model(tmp_path: Path) -> None:
    path = tmp_path / "a.engine"
    write_engine(path, an_engine())
    assert read_facts(path) == an_engine().header.facts


@pytest.mark.parametrize("rest", [b"", bytes(32), bytes(36), bytes(32) + b"\x02\0\0\0{}"])
def test_facts_that_are_not_there_are_told(tmp_path: Path, rest: bytes) -> None:
    path = tmp_path / "a.engine"
    path.write_bytes(b"FSENGINE" + rest)
    with pytest.raises(
        ModelFileError, match=r"^a\.engine is not an ONNX file, nor an engine whose header can be read$"
    ):
        read_facts(path)


def test_thresholds_are_not_written_into_an_engine(tmp_path: Path) -> None:
    path = tmp_path / "a.engine"
    write_engine(path, an_engine())
    message = r"^a\.engine is an engine; thresholds belong into the \.onnx file that it is built from$"
    with pytest.raises(ModelFileError, match=message):
        freeze_thresholds(path, tmp_path / "b.engine", {"cranium": 0.5}, "validation")


def test_the_layout_is_magic_digest_length_header_plan(tmp_path: Path) -> None:
    path = tmp_path / "a.engine"
    write_engine(path, an_engine())
    data = path.read_bytes()
    assert data[:8] == b"FSENGINE"
    assert data[8:40] == hashlib.sha256(data[40:]).digest()
    (length,) = struct.unpack("<I", data[40:44])
    assert data[44:45] == b"{"
    assert data[44 + length - 1 : 44 + length] == b"}"
    assert data[44 + length :] == bytes(range(256))


@pytest.mark.parametrize("place", [10, 41, 100, -1], ids=["digest", "length", "header", "plan"])
def test_one_changed_byte_anywhere_is_noticed(tmp_path: Path, place: int) -> None:
    path = tmp_path / "a.engine"
    write_engine(path, an_engine())
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)
    with pytest.raises(ModelFileError) as caught:
        read_engine(path)
    assert str(caught.value) == f"a.engine is damaged or cut short: its SHA-256 is another one; {REMEDY}"


@pytest.mark.parametrize("kept", [8, 30, 42, 200, -1])
def test_a_file_that_is_cut_short_is_noticed(tmp_path: Path, kept: int) -> None:
    path = tmp_path / "a.engine"
    write_engine(path, an_engine())
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(ModelFileError, match=r"^a\.engine is damaged or cut short"):
        read_engine(path)


@pytest.mark.parametrize("data", [b"", b"FSENG", b"ptrt" * 100, b"\x08\x0a\x12\x07pytorch"])
def test_a_file_of_something_else_is_no_engine(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "a.engine"
    path.write_bytes(data)
    with pytest.raises(ModelFileError) as caught:
        read_engine(path)
    assert str(caught.value) == f"a.engine is not an engine file of fetalseg; {REMEDY}"


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match=r"can't read .*a\.engine: No such file or directory"):
        read_engine(tmp_path / "a.engine")


def written_with_header(path: Path, header: bytes) -> Path:
    body = struct.pack("<I", len(header)) + header + b"plan"
    path.write_bytes(b"FSENGINE" + hashlib.sha256(body).digest() + body)
    return path


def test_a_header_of_another_schema_is_refused(tmp_path: Path) -> None:
    path = written_with_header(tmp_path / "a.engine", b'{"schema": 2}')
    with pytest.raises(ModelFileError) as caught:
        read_engine(path)
    assert str(caught.value) == f"the header of a.engine has schema 2; this version reads schema 1; {REMEDY}"


@pytest.mark.parametrize("header", [b"", b"[]", b"{}", b"\xff", b'{"schema": 1}', b'{"schema": 1, "facts": {}}'])
def test_a_header_that_makes_no_sense_is_refused(tmp_path: Path, header: bytes) -> None:
    path = written_with_header(tmp_path / "a.engine", header)
    with pytest.raises(ModelFileError, match=r"^the header of a\.engine can't be read: .*; remedy: "):
        read_engine(path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"library": "os"}, "unknown library 'os'; known are tensorrt, tensorrt_rtx"),
        ({"max_batch": 0}, "max_batch must be a whole number from 1 on, got 0"),
        ({"max_batch": "8"}, "max_batch must be a whole number from 1 on, got '8'"),
        ({"library_version": 1.7, "gpu": None}, "library_version, gpu must be text"),
    ],
)
def test_a_header_with_values_that_cannot_be_is_refused(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    path = tmp_path / "a.engine"
    write_engine(path, EngineFile(replace(an_engine().header, **changes), b"plan"))
    with pytest.raises(ModelFileError) as caught:
        read_engine(path)
    assert str(caught.value) == f"the header of a.engine can't be read: {message}; {REMEDY}"


def test_a_full_disk_leaves_the_old_file_as_it_was(
    tmp_path: Path, full_disk: Callable[[int], AbstractContextManager[None]]
) -> None:
    path = tmp_path / "a.engine"
    write_engine(path, an_engine())
    with full_disk(1000), pytest.raises(ModelFileError, match=r"can't write .*a\.engine: File too large"):
        write_engine(path, replace(an_engine(), plan=bytes(10_000)))
    assert read_engine(path) == an_engine()
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.engine"]


def test_an_engine_of_another_version_is_refused() -> None:
    library = TensorRtLibrary("tensorrt_rtx", _Version, log=None)
    with pytest.raises(ModelFileError) as caught:
        check_library(Path("x/a.engine"), an_engine().header, library)
    assert str(caught.value) == (
        "a.engine was built with TensorRT-RTX 1.7.1.116; here is 1.6.0.9; "
        "remedy: build it again with: fetalseg export crafted --format tensorrt --out a.engine"
    )
    check_library(Path("a.engine"), replace(an_engine().header, library_version="1.6.0.9"), library)


def test_an_engine_for_another_compute_capability_is_refused() -> None:
    with pytest.raises(ModelFileError) as caught:
        check_gpu(Path("x/a.engine"), an_engine().header, Gpu("NVIDIA GeForce RTX 3090", "8.6"))
    assert str(caught.value) == (
        "a.engine was built for compute capability 8.9; NVIDIA GeForce RTX 3090 has 8.6; "
        "remedy: build it again with: fetalseg export crafted --format tensorrt --out a.engine"
    )


def test_an_engine_that_was_tuned_on_another_card_of_the_same_kind_runs_with_a_warning(
    caplog: pytest.LogCaptureFixture,
) -> None:
    header = an_engine().header
    check_gpu(Path("a.engine"), header, Gpu("NVIDIA GeForce RTX 4090", "8.9"))
    check_gpu(Path("a.engine"), replace(header, gpu=""), Gpu("NVIDIA L4", "8.9"))
    assert caplog.records == []
    with caplog.at_level(logging.WARNING):
        check_gpu(Path("a.engine"), header, Gpu("NVIDIA L4", "8.9"))
    assert caplog.messages == [
        "a.engine was tuned on NVIDIA GeForce RTX 4090; on NVIDIA L4 one that is built here may be faster"
    ]
