"""OpenVINO on a processor: the fastest there, since it uses bf16 units."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from fetalseg.candidates import Candidates
from fetalseg.engines.base import Engine, is_out_of_memory, runtime_failure, stage, usable_cores
from fetalseg.engines.silent_openvino import device_properties, hints, ov, properties
from fetalseg.errors import EngineError, ModelFileError
from fetalseg.model_file import ModelFacts, read_facts

__all__ = ["OpenVinoEngine"]

_DEVICE = "CPU"
_TYPES = {"fp32": ov.Type.f32, "bf16": ov.Type.bf16, "fp16": ov.Type.f16}


class OpenVinoEngine(Engine):
    """A model compiled for one frame; a batch runs frame by frame.

    That is the fastest on a processor: four frames of fetalseg-s take 46 ms one after another, 51 ms as a static batch
    and 76 ms in a graph of dynamic shape, where one frame takes 16 ms instead of 12 (bf16, two cores).

    `infer` may be called from several threads; they take turns.
    """

    name = "openvino"

    def __init__(self, compiled: Any, facts: ModelFacts, threads: int) -> None:
        self._request: Any = compiled.create_infer_request()
        self._lock = threading.Lock()
        self.facts = facts
        kept = compiled.get_property(hints.inference_precision)
        computed = next((word for word, kind in _TYPES.items() if kind == kept), str(kept))
        self.precision = "int8" if facts.precision == "int8" else computed
        self.device = f"CPU, {threads} thread{'s' if threads > 1 else ''}"

    @classmethod
    def load(cls, path: Path, *, precision: str | None = None, threads: int | None = None) -> Self:
        """See `Engine.load`.

        Args:
            path: an exported file.
            precision: "fp32", "bf16" or "fp16", whatever the file's weights are stored in; None: bf16 where the
                processor has units for it, else fp32. A file in int8 is computed in int8, and what it leaves in
                floating point in fp32: with that in bf16 a frame takes 1.27 times as long (fetalseg-s, one core of an
                EPYC 9004), because its tensors change their type more often.
            threads: see `Engine.load`.
        """
        facts = read_facts(path)
        try:
            core = ov.Core()
            units = core.get_property(_DEVICE, device_properties.capabilities)
        except RuntimeError as error:
            raise runtime_failure("OpenVINO", error) from None
        threads = threads or usable_cores()
        config = {
            hints.inference_precision: _TYPES[_choose_precision(units, path, facts, precision)],
            hints.performance_mode: hints.PerformanceMode.LATENCY,
            properties.inference_num_threads: threads,
            properties.num_streams: 1,
            # A pinned thread waits when something else runs on its core: on two busy cores the 95th percentile of
            # fetalseg-s is 290 ms pinned and 204 ms free; on idle ones both take 12 ms.
            hints.enable_cpu_pinning: False,
        }
        rule = facts.input
        try:
            model = core.read_model(path)
            cls._check_signature(path, _names(model.inputs), _names(model.outputs))
            model.reshape([1, rule.height, rule.width, rule.channels])
            compiled = core.compile_model(model, _DEVICE, config)
        except RuntimeError as error:
            if is_out_of_memory(error):
                raise runtime_failure("OpenVINO", error) from None
            raise ModelFileError(f"OpenVINO can't load {path.name}: {error}") from None
        return cls(compiled, facts, threads)

    def close(self) -> None:
        """See `Engine.close`."""
        self._request = None

    def _run(self, images: npt.NDArray[np.uint8], stages: dict[str, float] | None) -> Candidates:
        with self._lock, stage(stages, "infer"):
            frames = [self._run_frame(images[i : i + 1]) for i in range(len(images))]
        if len(frames) == 1:
            return frames[0]
        return Candidates(*(np.concatenate(values) for values in zip(*frames, strict=True)))

    def _run_frame(self, image: npt.NDArray[np.uint8]) -> Candidates:
        try:
            # The request's own output memory is written again by the next frame: what is handed out is a copy.
            outputs = self._request.infer({"images": image}, share_outputs=False)
        except RuntimeError as error:
            raise runtime_failure("OpenVINO", error) from None
        return Candidates(*(np.asarray(outputs[name]) for name in Candidates._fields))


def _choose_precision(units: Sequence[str], path: Path, facts: ModelFacts, precision: str | None) -> str:
    """The type of what is computed in floating point, of those that the processor has `units` for."""
    if facts.precision == "int8" and precision not in (None, "int8"):
        raise ValueError(f"openvino computes {path.name} in int8; for {precision!r} load the model in fp32")
    if facts.precision != "int8" and precision == "int8":
        raise ValueError(
            f"{path.name} holds {facts.precision} weights, and int8 needs a calibrated file; remedy: fetalseg export "
            "--precision int8"
        )
    if facts.precision == "int8":
        # Between layers in int8 bf16 costs more conversions than it saves: fetalseg-s takes 16.4 ms with it, 12.9 with
        # float32 (one thread).
        return "fp32"
    if precision is None:
        return "bf16" if "BF16" in units else "fp32"
    if precision not in _TYPES:
        raise ValueError(f"unknown precision {precision!r} for openvino; expected one of {', '.join(_TYPES)}, int8")
    if precision.upper() not in units:
        known = [word for word in _TYPES if word.upper() in units]
        raise EngineError(f"this processor has no {precision} units; expected precision {' or '.join(known)}")
    return precision


def _names(ports: Any) -> list[str]:
    return [name for port in ports for name in port.names]
