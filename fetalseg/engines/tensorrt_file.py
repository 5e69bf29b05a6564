"""A TensorRT engine as one file: what it is and for which GPU, then the plan.

A sealed file, in whose body is the length of the header (little-endian uint32), the header as JSON in UTF-8, and the
plan. A plan is code that a GPU executes: it is handed to TensorRT only after digest, library and GPU have
been checked, and only from a file that the user named.
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fetalseg.engines.cuda_runtime import Gpu
from fetalseg.engines.sealed_file import read_sealed, write_sealed
from fetalseg.engines.tensorrt_library import LIBRARIES, LibraryName, TensorRtLibrary
from fetalseg.errors import ModelFileError
from fetalseg.model_file import ENGINE_MAGIC, ModelFacts

__all__ = [
    "SUFFIX",
    "EngineFile",
    "EngineHeader",
    "check_gpu",
    "check_library",
    "read_engine",
    "write_engine",
]

SUFFIX = ".engine"
SCHEMA = 1

_LENGTH_BYTES = 4

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class EngineHeader:
    """What an engine was built from, with and for.

    Attributes:
        facts: of the ONNX file; its precision is the engine's.
        model_sha256: digest of the ONNX file.
        library: "tensorrt" or "tensorrt_rtx".
        library_version: all numbers, "1.7.1.116"; an engine runs with exactly this version.
        compute_capability: of the GPU, "8.9".
        gpu: name of the GPU that it was tuned on; "" if it was built without one.
        max_batch: the most frames at once.
    """

    facts: ModelFacts
    model_sha256: str
    library: LibraryName
    library_version: str
    compute_capability: str
    gpu: str
    max_batch: int


@dataclass(frozen=True)
class EngineFile:
    """An engine.

    Attributes:
        header: what it is.
        plan: what TensorRT reads.
    """

    header: EngineHeader
    plan: bytes


def write_engine(path: str | Path, engine: EngineFile) -> None:
    """Writes a file whole or not at all.

    Raises:
        ModelFileError: it can't be written.
    """
    facts = json.loads(engine.header.facts.to_json())
    text = json.dumps({"schema": SCHEMA, **vars(engine.header), "facts": facts}).encode()
    body = len(text).to_bytes(_LENGTH_BYTES, "little") + text + engine.plan
    write_sealed(Path(path), ENGINE_MAGIC, body)


def read_engine(path: str | Path) -> EngineFile:
    """Reads a file and checks that it is whole; whether it fits this machine is another question.

    Raises:
        ModelFileError: no such file, no engine of ours, or a damaged one; with the remedy.
    """
    path = Path(path)
    try:
        body = read_sealed(path, ENGINE_MAGIC, "an engine file")
    except ModelFileError as error:
        raise ModelFileError(f"{error}; {_rebuild(path)}") from None
    end = _LENGTH_BYTES + int.from_bytes(body[:_LENGTH_BYTES], "little")
    return EngineFile(_read_header(path, body[_LENGTH_BYTES:end]), body[end:])


def _rebuild(path: Path, model: str = "MODEL.onnx") -> str:
    """The remedy for an engine that can't be used, as the end of a sentence."""
    return f"remedy: build it again with: fetalseg export {model} --format tensorrt --out {path.name}"


def _read_header(path: Path, text: bytes) -> EngineHeader:
    try:
        values: dict[str, Any] = json.loads(text)
        schema = values.pop("schema")
        if schema == SCHEMA:
            return _header(**values)
    except (ValueError, TypeError, AttributeError, KeyError, ModelFileError) as error:
        raise ModelFileError(f"the header of {path.name} can't be read: {error}; {_rebuild(path)}") from None
    raise ModelFileError(
        f"the header of {path.name} has schema {schema}; this version reads schema {SCHEMA}; {_rebuild(path)}"
    )


def _header(*, facts: dict[str, Any], library: str, max_batch: int, **texts: str) -> EngineHeader:
    """A header with values that can be relied on: what `library` says is imported."""
    if library not in LIBRARIES:
        raise ValueError(f"unknown library {library!r}; known are {', '.join(LIBRARIES)}")
    if not isinstance(max_batch, int) or max_batch < 1:
        raise ValueError(f"max_batch must be a whole number from 1 on, got {max_batch!r}")
    if wrong := [name for name, text in texts.items() if not isinstance(text, str)]:
        raise ValueError(f"{', '.join(wrong)} must be text")
    return EngineHeader(facts=ModelFacts.from_json(json.dumps(facts)), library=library, max_batch=max_batch, **texts)


def check_library(path: Path, header: EngineHeader, library: TensorRtLibrary) -> None:
    """Whether an engine is of the version of its library that is installed: it runs with no other.

    Raises:
        ModelFileError: it isn't; with the remedy.
    """
    if header.library_version != library.version:
        built = f"with {library.title} {header.library_version}"
        raise _unfit(path, header, built, f"here is {library.version}")


def check_gpu(path: Path, header: EngineHeader, gpu: Gpu) -> None:
    """Whether an engine is for this GPU; a warning if it was tuned on another of the same compute capability.

    Raises:
        ModelFileError: it isn't; with the remedy.
    """
    if header.compute_capability != gpu.capability:
        built = f"for compute capability {header.compute_capability}"
        raise _unfit(path, header, built, f"{gpu.name} has {gpu.capability}")
    if header.gpu not in ("", gpu.name):
        logger.warning(
            "%s was tuned on %s; on %s one that is built here may be faster", path.name, header.gpu, gpu.name
        )


def _unfit(path: Path, header: EngineHeader, built: str, here: str) -> ModelFileError:
    return ModelFileError(f"{path.name} was built {built}; {here}; {_rebuild(path, header.facts.name)}")
