"""Every way to run a model on this machine."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from fetalseg.engines import DEVICES, ENGINES
from fetalseg.model_file import read_facts
from fetalseg.segmenter import Segmenter

__all__ = ["Contender", "contenders", "parse_reference"]

# What an engine can compute a file in that holds fp32; the others compute it in fp32.
_PRECISIONS: dict[str, tuple[str, ...]] = {"openvino": ("fp32", "bf16", "fp16"), "torch": ("fp32", "bf16", "fp16")}


@dataclass(frozen=True)
class Contender:
    """One way to run a model file.

    Attributes:
        path: of the file.
        engine: word of `fetalseg.engines.ENGINES`.
        precision: what the engine is asked to compute in, None where it is left to it.
        device: word of `fetalseg.engines.DEVICES`.
    """

    path: Path
    engine: str
    precision: str | None
    device: str

    def __str__(self) -> str:
        return f"{self.engine} {self.precision or ''} on {self.device}".replace("  ", " ")

    def load(self, threads: int | None) -> Segmenter:
        """Loads it; errors as `fetalseg.engines.load_engine`."""
        return Segmenter.load(self.path, self.engine, precision=self.precision, threads=threads, device=self.device)


def contenders(path: Path, engines: Sequence[str]) -> Iterator[Contender]:
    """Every way in which these engines can be asked to run a file, whether they are able to or not."""
    for engine in engines:
        for device in DEVICES[engine]:
            for precision in _choices(path, engine):
                yield Contender(path, engine, precision, device)


def parse_reference(text: str, path: Path) -> Contender:
    """Reads "onnxruntime", "torch" or "openvino:bf16", on the processor where the engine can run there.

    Without a precision it is fp32 where the engine has a choice.

    Raises:
        ValueError: an unknown engine.
    """
    engine, _, precision = text.partition(":")
    if engine not in ENGINES:
        raise ValueError(f"unknown engine {engine!r} as the reference; expected {', '.join(ENGINES)}")
    device = "cpu" if "cpu" in DEVICES[engine] else DEVICES[engine][0]
    return Contender(path, engine, precision or _choices(path, engine)[0], device)


def _choices(path: Path, engine: str) -> Sequence[str | None]:
    holds_fp32 = path.suffix != ".onnx" or read_facts(path).precision == "fp32"
    return _PRECISIONS.get(engine, (None,)) if holds_fp32 else (None,)
