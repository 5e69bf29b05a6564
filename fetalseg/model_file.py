"""One file is one model: the facts inside an ONNX file, and where models are found by name.

The facts are one JSON object under the key `fetalseg` of the file's `metadata_props`. They are read straight from
the protobuf wire format, so that looking at a model needs no inference runtime and no onnx package.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, NamedTuple

from fetalseg.errors import ModelFileError
from fetalseg.preprocess import InputRule

__all__ = [
    "ENGINE_MAGIC",
    "METADATA_KEY",
    "ModelFacts",
    "check_thresholds",
    "file_digest",
    "find_model",
    "freeze_thresholds",
    "list_models",
    "model_directories",
    "read_facts",
]

METADATA_KEY = "fetalseg"
ENGINE_MAGIC = b"FSENGINE"  # how an engine file begins, see fetalseg.engines.tensorrt_file
SCHEMA = 1

_METADATA_PROPS = 14  # field of onnx.ModelProto

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
        thresholds: lowest score to keep by structure, as chosen on validation data; applied where
            `PostprocessOptions.structure_thresholds` asks for it.
        thresholds_source: how and on what they were chosen.
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
    thresholds: dict[str, float] = field(default_factory=dict)
    thresholds_source: str = ""

    def to_json(self) -> str:
        """The text that goes into the model file."""
        values = asdict(self)
        if not self.thresholds:  # versions that don't know of thresholds read models without any
            del values["thresholds"], values["thresholds_source"]
        return json.dumps({"schema": SCHEMA, **values})

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
    if os.sep in text or text.endswith((".onnx", ".safetensors", ".engine")):
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
    """The facts inside an ONNX file, or in the header of an engine file, without a runtime.

    Raises:
        ModelFileError: no file, no ONNX file, or one that this project didn't write.
    """
    path = Path(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ModelFileError(f"can't read the model file {path}: {error.strerror}") from None
    if data.startswith(ENGINE_MAGIC):
        return _engine_facts(path, data)
    try:
        entries = dict(_metadata_props(data))
    except (IndexError, ValueError):
        raise ModelFileError(f"{path.name} is not an ONNX file") from None
    if METADATA_KEY not in entries:
        raise ModelFileError(f"{path.name} was not exported by fetalseg: it carries no {METADATA_KEY!r} metadata")
    return ModelFacts.from_json(entries[METADATA_KEY])


def _engine_facts(path: Path, data: bytes) -> ModelFacts:
    """Looks at the header alone; whether the file is whole is asked when it is loaded."""
    start = len(ENGINE_MAGIC) + hashlib.sha256().digest_size + 4
    try:
        header = json.loads(data[start : start + int.from_bytes(data[start - 4 : start], "little")])
        return ModelFacts.from_json(json.dumps(header["facts"]))
    except (ValueError, TypeError, KeyError):
        raise ModelFileError(f"{path.name} is not an ONNX file, nor an engine whose header can be read") from None


def freeze_thresholds(model: str | Path, out: str | Path, thresholds: Mapping[str, float], source: str) -> ModelFacts:
    """Writes a copy of a model that holds thresholds of its structures; all else in the file stays as it is.

    Args:
        model: an ONNX file of ours.
        out: where to write the copy.
        thresholds: 0..1 by structure; those of the file are replaced.
        source: how and on what they were chosen.

    Returns:
        The facts in the copy.

    Raises:
        ModelFileError: a file that is no such model or can't be written, or thresholds that don't fit it.
    """
    model, out = Path(model), Path(out)
    facts = replace(read_facts(model), thresholds=dict(thresholds), thresholds_source=source)
    check_thresholds(facts)
    if model.read_bytes().startswith(ENGINE_MAGIC):
        raise ModelFileError(f"{model.name} is an engine; thresholds belong into the .onnx file that it is built from")
    others = b"".join(one.raw for one in _fields(model.read_bytes()) if not _holds_facts(one))
    entry = _written(1, METADATA_KEY.encode()) + _written(2, facts.to_json().encode())
    part = out.with_name(f"{out.name}.part")  # `out` may be the model itself, and is whole or as it was
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(others + _written(_METADATA_PROPS, entry))
        part.replace(out)
    except OSError as error:
        raise ModelFileError(f"can't write the model file {out}: {error.strerror}") from None
    return facts


def check_thresholds(facts: ModelFacts) -> None:
    """Refuses thresholds of structures that the model doesn't have, and such as aren't within 0..1.

    Raises:
        ModelFileError: one of these.
    """
    if unknown := sorted(set(facts.thresholds) - set(facts.structures)):
        raise ModelFileError(f"model {facts.name} has thresholds of unknown structures {', '.join(unknown)}")
    for name, value in facts.thresholds.items():
        if not isinstance(value, (int, float)) or not 0 <= value <= 1:
            raise ModelFileError(f"model {facts.name}: the threshold of {name} is {value!r}, expected 0..1")


@lru_cache(maxsize=16)
def _digest(path: str, mtime_ns: int, size: int) -> str:
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def file_digest(path: str | Path) -> str:
    """SHA-256 of a model file in hexadecimal; kept for as long as the file doesn't change."""
    status = Path(path).stat()
    return _digest(str(path), status.st_mtime_ns, status.st_size)


def _metadata_props(data: bytes) -> Iterator[tuple[str, str]]:
    """Key and value of each `metadata_props` entry."""
    for one in _fields(data):
        if one.number == _METADATA_PROPS and isinstance(one.value, bytes):
            yield _entry(one.value)


def _holds_facts(one: _Field) -> bool:
    return one.number == _METADATA_PROPS and isinstance(one.value, bytes) and _entry(one.value)[0] == METADATA_KEY


def _entry(data: bytes) -> tuple[str, str]:
    """Key and value of an onnx.StringStringEntryProto."""
    parts = {one.number: one.value for one in _fields(data) if isinstance(one.value, bytes)}
    return parts[1].decode(), parts[2].decode()


class _Field(NamedTuple):
    """One field of a protobuf message: its number, its value, and all its bytes."""

    number: int
    value: bytes | int
    raw: bytes


def _fields(data: bytes) -> Iterator[_Field]:
    """Each field of one protobuf message (wire types 0, 1, 2 and 5)."""
    position = 0
    while position < len(data):
        start = position
        tag, position = _varint(data, position)
        number, wire = tag >> 3, tag & 7
        if wire == 0:
            value, position = _varint(data, position)
            yield _Field(number, value, data[start:position])
            continue
        if wire == 2:
            length, position = _varint(data, position)
        elif wire in (1, 5):
            length = 8 if wire == 1 else 4
        else:
            raise ValueError(f"wire type {wire}")
        if position + length > len(data):
            raise ValueError("truncated")
        end = position + length
        yield _Field(number, data[position:end], data[start:end])
        position = end


def _written(number: int, value: bytes) -> bytes:
    """A field of wire type 2."""
    return _written_varint(number << 3 | 2) + _written_varint(len(value)) + value


def _written_varint(value: int) -> bytes:
    parts = []
    while value > 0x7F:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*parts, value])


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
