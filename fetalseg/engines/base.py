"""What every inference runtime offers, whatever is behind it."""

from __future__ import annotations

import math
import os
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import numpy.typing as npt

from fetalseg.candidates import Candidates
from fetalseg.engines.half_precision import to_float32
from fetalseg.errors import EngineError, ModelFileError
from fetalseg.model_file import ModelFacts

__all__ = ["Engine", "is_out_of_memory", "runtime_failure", "stage", "usable_cores"]

# What the runtimes and CUDA write where an allocation failed; they have no exception of their own for it.
_NO_MEMORY = (
    "out of memory",
    "bad_alloc",
    "allocate memory",
    "failed to allocate",
    "could not create a memory object",
    "std::length_error",
)


def usable_cores(quota: Path = Path("/sys/fs/cgroup/cpu.max")) -> int:
    """How many cores this process may use: its affinity, cut by a container's quota of processor time.

    Args:
        quota: control file of cgroup v2, "microseconds period" or "max period". More threads than the quota allows
            would spend it early and then stand still for the rest of each period.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        time_us, period_us = quota.read_text().split()
        allowed = math.ceil(int(time_us) / int(period_us))
    except (OSError, ValueError):
        return cores
    return max(1, min(cores, allowed))


def is_out_of_memory(error: Exception) -> bool:
    """Whether a runtime failed for want of memory, by what it says."""
    return isinstance(error, MemoryError) or any(words in str(error).lower() for words in _NO_MEMORY)


def runtime_failure(name: str, error: Exception) -> EngineError:
    """An `EngineError` in a runtime's own words, with the remedy where there was no memory left.

    Args:
        name: of the runtime.
        error: what it raised.
    """
    if not is_out_of_memory(error):
        return EngineError(f"{name} failed: {error}")
    said = str(error).partition("\n")[0]
    return EngineError(
        f"{name} ran out of memory: {said}; remedy: a smaller batch or model, a model exported in fp16 or int8, or end "
        "what else holds the memory (nvidia-smi lists it for a GPU)"
    )


@contextmanager
def stage(stages: dict[str, float] | None, name: str) -> Iterator[None]:
    """Notes how long a block takes, in ms, under its name; does nothing if nobody asked.

    Args:
        stages: what the caller of `Engine.infer` gave.
        name: "upload", "infer" or "copy_back". The block must not end before the device is through with it.
    """
    if stages is None:
        yield
        return
    start = time.perf_counter()
    yield
    stages[name] = (time.perf_counter() - start) * 1000


class Engine(ABC):
    """A loaded model.

    Attributes:
        name: the word that chose it, "openvino".
        facts: what the model file says of itself.
        precision: what is really computed in, "bf16".
        device: where, in words: "CPU, 2 threads".
    """

    name: str
    facts: ModelFacts
    precision: str
    device: str

    @classmethod
    @abstractmethod
    def load(cls, path: Path, *, precision: str | None = None, threads: int | None = None) -> Self:
        """Loads a model file.

        Args:
            path: an existing file.
            precision: what to compute in; None: the engine's choice.
            threads: threads of one inference; None: `usable_cores`.

        Raises:
            ValueError: a precision that the engine hasn't got.
            ModelFileError: not a model of ours, or one that the runtime can't load.
            EngineError: this machine lacks what was asked for.
        """

    def infer(self, images: npt.NDArray[np.uint8], *, stages: dict[str, float] | None = None) -> Candidates:
        """Runs the network.

        Args:
            images: uint8 [B, h, w, c] as the model's input rule says.
            stages: filled with ms, if given: "upload", "infer" and "copy_back" by an engine whose device has memory of
                its own, "infer" alone by one on the processor. An engine then waits for its device after each of them,
                which it doesn't otherwise. Checking and widening the results to float32 come after the last.

        Raises:
            ValueError: images of another shape or type.
            EngineError: the runtime failed, or returned values that are not finite.
        """
        rule = self.facts.input
        expected = (rule.height, rule.width, rule.channels)
        if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1:] != expected or len(images) == 0:
            raise ValueError(
                f"images must be uint8 [B, {', '.join(map(str, expected))}], got {images.dtype} {images.shape}"
            )
        candidates = Candidates(*map(to_float32, self._run(images, stages)))
        candidates.check()
        return candidates

    def try_one_frame(self) -> None:
        """Runs a black frame: what doesn't fit a GPU, its driver or its memory shows when it first computes.

        Raises:
            EngineError: see `infer`.
        """
        rule = self.facts.input
        self.infer(np.zeros((1, rule.height, rule.width, rule.channels), np.uint8))

    @abstractmethod
    def _run(self, images: npt.NDArray[np.uint8], stages: dict[str, float] | None) -> Candidates:
        """Runs checked images; arrays that the caller may keep, float32 or, from an fp16 model, float16.

        Args:
            images: uint8 [B, h, w, c], perhaps not contiguous or writeable.
            stages: where to note times, see `infer` and `stage`.
        """

    @staticmethod
    def _check_signature(path: Path, inputs: Sequence[str], outputs: Sequence[str]) -> None:
        """A file may carry our facts and still not end at candidates."""
        if list(inputs) != ["images"] or not set(Candidates._fields) <= set(outputs):
            raise ModelFileError(
                f"{path.name} maps {', '.join(inputs)} to {', '.join(outputs)}; "
                f"expected images to {', '.join(Candidates._fields)}"
            )

    def close(self) -> None:  # noqa: B027 - most runtimes have nothing to give back
        """Gives the runtime's memory back; `infer` must not be called afterwards."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
