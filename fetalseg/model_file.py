"""One file is one model: the facts inside an ONNX file, and where models are found by name.

The facts are one JSON object under the key `fetalseg` of the file's `metadata_props`. They are read straight from
the protobuf wire format, so that looking at a model needs no inference runtime and no onnx package.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, fields
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from fetalseg.errors import ModelFileError
from fetalseg.preprocess import InputRule

__all__ = ["METADATA_KEY", "ModelFacts", "file_digest", "find_model", "list_models", "model_directories", "read_facts"]

METADATA_KEY = "fetalseg"
SCHEMA = 1

Precision = Literal["fp32", "fp16", "int8"]


@dataclass(frozen=True)
class ModelFacts:
    """Everything that serving needs to know about a model file.

    Attributes:
        name: how users call it, "fetalseg-s".
        version: of these weights, "1.0.0".
        structures: names in label order.
        input: how a frame becomes the input.
        candidates: n, rows that the graph returns for a frame.
        prototypes: (K, Hp, Wp).
        normalisation: "mean" and "std" for each channel, in gray levels 0..255; the graph applies it.
        postprocess: defaults of `PostprocessOptions`, by field name; absent ones keep the library's.
        architecture: the variant's numbers, enough to build the torch network anew.
        precision: of the weights in the file.
        weights_sha256: digest of the checkpoint that was exported.
        training_data: one line per data set, with licence and attribution.
        licence: of the weights.
        created: ISO date.
        commit: of the code that trained it, "" if not known.
    """

    name: str
    version: str
    structures: tuple[str, ...]
    input: InputRule
    candidates: int
    prototypes: tuple[int, int, int]
    normalisation: dict[str, list[float]] = field(default_factory=dict)
    postprocess: dict[str, Any] = field(default_factory=dict)
    architecture: dict[str, Any] = field(default_factory=dict)
    precision: Precision = "fp32"
    weights_sha256: str = ""
    training_data: tuple[str, ...] = ()
    licence: str = ""
    created: str = ""
    commit: str = ""

    def to_json(self) -> str:
        """The text that goes into the model file."""
        return json.dumps({"schema": SCHEMA, **asdict(self)})

    @classmethod
    def from_json(cls, text: str) -> ModelFacts:
        """Reads what `to_json` wrote.

        Raises:
            ModelFileError: not our JSON, another schema, an unknown or missing key.
        """
        try:
            values = json.loads(text)
            schema = values.pop("schema")
        except (ValueError, TypeError, AttributeError, KeyError):
            raise ModelFileError("the model's facts are not a JSON object with a schema number") from None
        if schema != SCHEMA:
            raise ModelFileError(f"the model's facts have schema {schema}; this version reads schema {SCHEMA}")
        known = {f.name for f in fields(cls)}
        if unknown := sorted(set(values) - known):
            raise ModelFileError(f"unknown facts {', '.join(unknown)}; known are {', '.join(sorted(known))}")
        try:
            values["input"] = InputRule(**values["input"])
            for name in ("structures", "prototypes", "training_data"):
                values[name] = tuple(values[name])
            return cls(**values)
        except (TypeError, KeyError) as error:
            raise ModelFileError(f"the model's facts are incomplete: {error}") from None


def model_directories() -> list[Path]:
    """Where a model's name is looked up, in this order: $FETALSEG_MODELS, `models/` of a checkout, the package."""
    package = Path(__file__).resolve().parent
    places = [Path(part) for part in os.environ.get("FETALSEG_MODELS", "").split(os.pathsep) if part]
    return [*places, package.parent / "models", package / "shipped_models"]


def list_models() -> dict[str, Path]:
    """Name to path of every `*.onnx` in `model_directories`; the first place wins."""
    found: dict[str, Path] = {}
    for place in model_directories():
        for path in sorted(place.glob("*.onnx")):
            found.setdefault(path.stem, path)
    return found


def find_model(name_or_path: str | Path) -> Path:
    """The file of a model given by name or by path.

    Raises:
        ModelFileError: no such file, or no such name; the message lists the names that exist and the places searched.
    """
    text = str(name_or_path)
    if os.sep in text or text.endswith((".onnx", ".safetensors")):
        path = Path(text)
        if not path.is_file():
            raise ModelFileError(f"no model file at {text}")
        return path
    models = list_models()
    if text not in models:
        known = ", ".join(models) or "none"
        places = ", ".join(str(place) for place in model_directories())
        raise ModelFileError(f"no model named {text!r}; known models: {known} (looked in {places})")
    return models[text]


def read_facts(path: str | Path) -> ModelFacts:
    """The facts inside an ONNX file, without a runtime.

    Raises:
        ModelFileError: no file, no ONNX file, or one that this project didn't write.
    """
    path = Path(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ModelFileError(f"can't read the model file {path}: {error.strerror}") from None
    try:
        entries = dict(_metadata_props(data))
    except (IndexError, ValueError):
        raise ModelFileError(f"{path.name} is not an ONNX file") from None
    if METADATA_KEY not in entries:
        raise ModelFileError(f"{path.name} was not exported by fetalseg: it carries no {METADATA_KEY!r} metadata")
    return ModelFacts.from_json(entries[METADATA_KEY])


@lru_cache(maxsize=16)
def _digest(path: str, mtime_ns: int, size: int) -> str:
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def file_digest(path: str | Path) -> str:
    """SHA-256 of a model file in hexadecimal; kept for as long as the file doesn't change."""
    status = Path(path).stat()
    return _digest(str(path), status.st_mtime_ns, status.st_size)


def _metadata_props(data: bytes) -> Iterator[tuple[str, str]]:
    """Key and value of each `metadata_props` entry (field 14 of onnx.ModelProto)."""
    for number, value in _fields(data):
        if number == 14 and isinstance(value, bytes):
            entry = {n: v for n, v in _fields(value) if isinstance(v, bytes)}
            yield entry[1].decode(), entry[2].decode()


def _fields(data: bytes) -> Iterator[tuple[int, bytes | int]]:
    """Number and value of each field of one protobuf message (wire types 0, 1, 2 and 5)."""
    position = 0
    while position < len(data):
        tag, position = _varint(data, position)
        number, wire = tag >> 3, tag & 7
        if wire == 0:
            value, position = _varint(data, position)
            yield number, value
            continue
        if wire == 2:
            length, position = _varint(data, position)
        elif wire in (1, 5):
            length = 8 if wire == 1 else 4
        else:
            raise ValueError(f"wire type {wire}")
        if position + length > len(data):
            raise ValueError("truncated")
        yield number, data[position : position + length]
        position += length


def _varint(data: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7
        if shift > 63:
            raise ValueError("varint too long")
