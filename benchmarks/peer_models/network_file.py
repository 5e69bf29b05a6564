"""Somebody else's network as the user has exported it to ONNX: alone, without what stands before and behind it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks.peer_models.peer import PeerFacts
from fetalseg.engines.base import usable_cores
from fetalseg.errors import ModelFileError

__all__ = ["NetworkAlone"]


class _Loaded(NamedTuple):
    """A network in a runtime.

    Attributes:
        run: on one image.
        shape: [1, 3, h, w] of the image.
        half: the image is float16.
    """

    run: Callable[[Any], object]
    shape: tuple[int, int, int, int]
    half: bool


class NetworkAlone:
    """A contestant whose only figure is "model": one image through the network, in ms.

    Args:
        path: of the file, with one input [1, 3, h, w] of float32 or float16, as ultralytics exports it.
        runtime: a word of `benchmarks.peer_models.plan.NETWORK_RUNTIMES`, set up as our engines set it up.
        device: "cpu", or "cuda" of onnxruntime: the image and the results stay in the GPU's memory.
        precision: "fp32", "bf16" or "fp16" for openvino; onnxruntime computes in what the file holds.
        threads: of one inference; None: one for each core.
        size: (h, w) where the file leaves it open.

    Attributes:
        facts: of the network.

    Raises:
        ModelFileError: the runtime can't load it, or its input is another one.
    """

    def __init__(
        self, path: Path, runtime: str, *, device: str, precision: str, threads: int | None, size: tuple[int, int]
    ) -> None:
        load = {"onnxruntime": _load_onnxruntime, "openvino": _load_openvino}[runtime]
        try:
            loaded = load(path, threads or usable_cores(), precision, size, device)
        except Exception as error:  # the bindings' exceptions have no common base of their own
            raise ModelFileError(f"{runtime} can't run {path.name}: {error}") from None
        image = np.random.default_rng(0).random(loaded.shape, np.float32)
        self._run, self._image = loaded.run, image.astype(np.float16 if loaded.half else np.float32)
        of_file = "fp16" if loaded.half else "fp32"
        self.facts = PeerFacts(
            name=path.stem,
            runtime=runtime,
            precision=precision if runtime == "openvino" else of_file,
            input=(loaded.shape[3], loaded.shape[2]),
            weights="of the file",
            kept="the network alone",
        )

    def __call__(self, frames: range) -> dict[str, list[float]]:
        """Runs once for each of these numbers."""
        times = []
        for _ in frames:
            start = time.perf_counter()
            self._run(self._image)
            times.append(1000 * (time.perf_counter() - start))
        return {"model": times}


def _load_onnxruntime(path: Path, threads: int, precision: str, size: tuple[int, int], device: str) -> _Loaded:
    import onnxruntime as ort

    from fetalseg.engines.onnxruntime_gpu import check_provider, load_libraries

    provider: Any = "CPUExecutionProvider"
    said = ""
    if device == "cuda":
        said = load_libraries()
        provider = ("CUDAExecutionProvider", {"use_tf32": "0"})  # fp32 means fp32, as for our networks
    options = ort.SessionOptions()
    options.log_severity_level = 3
    if device == "cpu":
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = ort.InferenceSession(str(path), options, providers=[provider], enable_fallback=0)
    if device == "cuda":
        check_provider(device, session.get_providers(), said)
    value = session.get_inputs()[0]
    shape, half = _shape(value.shape, size), "float16" in value.type
    if device == "cpu":
        return _Loaded(lambda image: session.run(None, {value.name: image}), shape, half)
    return _Loaded(_bound(session, value.name), shape, half)


def _bound(session: Any, name: str) -> Callable[[Any], object]:
    """Runs on an image that stays in the GPU's memory, as do the results."""
    import onnxruntime as ort

    binding = session.io_binding()
    for output in session.get_outputs():
        binding.bind_output(output.name, "cuda")
    held: list[Any] = []

    def run(image: Any) -> object:
        if not held:
            held.append(ort.OrtValue.ortvalue_from_numpy(image, "cuda", 0))
            binding.bind_ortvalue_input(name, held[0])
        session.run_with_iobinding(binding)
        binding.synchronize_outputs()
        return binding

    return run


def _load_openvino(path: Path, threads: int, precision: str, size: tuple[int, int], device: str) -> _Loaded:
    from fetalseg.engines.silent_openvino import hints, ov, properties

    core = ov.Core()
    model = core.read_model(path)
    shape = _shape([one.get_length() if one.is_static else None for one in model.inputs[0].partial_shape], size)
    model.reshape(list(shape))
    config = {
        hints.inference_precision: {"fp32": ov.Type.f32, "bf16": ov.Type.bf16, "fp16": ov.Type.f16}[precision],
        hints.performance_mode: hints.PerformanceMode.LATENCY,
        properties.inference_num_threads: threads,
        properties.num_streams: 1,
        hints.enable_cpu_pinning: False,
    }
    request = core.compile_model(model, "CPU", config).create_infer_request()
    half = model.inputs[0].element_type == ov.Type.f16
    # Not copied: this network's results go nowhere, which is in its favour.
    return _Loaded(lambda image: request.infer([image], share_outputs=True), shape, half)


def _shape(shape: Sequence[Any], size: tuple[int, int]) -> tuple[int, int, int, int]:
    """[1, 3, h, w] of an input; what the file leaves open (a name or None) is taken from `size`.

    Raises:
        ValueError: another kind of input.
    """
    if len(shape) != 4 or shape[1] != 3 or (shape[0] not in (1, None) and not isinstance(shape[0], str)):
        raise ValueError(f"expected an input [1, 3, h, w], got {list(shape)}")
    height, width = (given if isinstance(given, int) else wanted for given, wanted in zip(shape[2:], size, strict=True))
    return 1, 3, height, width
