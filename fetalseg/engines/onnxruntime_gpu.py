"""ONNX Runtime on an NVIDIA GPU: its providers, the libraries that they need, and memory that stays there."""

from __future__ import annotations

import contextlib
import io
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from fetalseg.candidates import Candidates
from fetalseg.engines.base import stage
from fetalseg.engines.gpu import find_gpus
from fetalseg.errors import EngineError
from fetalseg.model_file import ModelFacts

__all__ = ["PROVIDERS", "BoundSession", "check_gpu", "check_provider", "gpu_providers", "has_provider", "remedy"]

# device: the execution provider that it means
PROVIDERS = {"cuda": "CUDAExecutionProvider", "tensorrt": "TensorrtExecutionProvider"}

_KEPT_SIZES = 8  # sizes of batch whose binding, with memory on the device, is kept
_MAX_BATCH = 8  # of the engine that TensorRT builds; a larger batch makes it build another one


def has_provider(device: str) -> bool:
    """Whether the installed build of onnxruntime has it; its libraries may still be missing."""
    return PROVIDERS[device] in ort.get_available_providers()


def check_gpu(device: str) -> None:
    """Refuses a device that can't work, before a session is made: that would only warn and use the processor.

    Raises:
        EngineError: no usable GPU, or a build of onnxruntime without the provider.
    """
    gpus = find_gpus()
    if gpus.count == 0:
        raise EngineError(f"onnxruntime can't run on a GPU: {gpus.problem}")
    if not has_provider(device):
        raise EngineError(
            f"this build of onnxruntime has no {PROVIDERS[device]}; remedy: pip uninstall -y onnxruntime, then "
            "pip install 'onnxruntime-gpu[cuda,cudnn]'"
        )


def gpu_providers(device: str, facts: ModelFacts, engine_cache: Path | None) -> list[tuple[str, dict[str, str]]]:
    """Providers with their options, the wanted one first.

    The processor isn't among them by name; onnxruntime adds it itself for what computes shapes.

    Args:
        device: a word of `PROVIDERS`.
        facts: of the model.
        engine_cache: folder for TensorRT's engines and timings.
    """
    # fp32 means fp32: TF32 keeps 10 bits of the mantissa. Who wants more speed exports fp16.
    cuda = ("CUDAExecutionProvider", {"use_tf32": "0"})
    if device == "cuda":
        return [cuda]
    rule = facts.input
    shape = f"{rule.height}x{rule.width}x{rule.channels}"
    options = {
        "trt_profile_min_shapes": f"images:1x{shape}",
        "trt_profile_opt_shapes": f"images:1x{shape}",
        "trt_profile_max_shapes": f"images:{_MAX_BATCH}x{shape}",
        # The types are those of the file; these only allow them.
        "trt_fp16_enable": str(int(facts.precision == "fp16")),
        "trt_int8_enable": str(int(facts.precision == "int8")),
    }
    if engine_cache is not None:
        engine_cache.mkdir(parents=True, exist_ok=True)
        options |= {"trt_engine_cache_enable": "1", "trt_engine_cache_path": str(engine_cache)}
        options |= {"trt_timing_cache_enable": "1", "trt_timing_cache_path": str(engine_cache)}
    return [("TensorrtExecutionProvider", options), cuda]


def load_libraries() -> str:
    """Loads CUDA and cuDNN from the packages of NVIDIA, where they are installed beside onnxruntime.

    Returns:
        What couldn't be loaded; onnxruntime prints it, which belongs into a message instead.
    """
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        ort.preload_dlls()
    return " ".join(said.getvalue().split())


def check_provider(device: str, providers: Sequence[str], said: str) -> None:
    """Refuses a session that silently went elsewhere.

    Args:
        device: what was wanted.
        providers: what the session has, first the one that it uses.
        said: what `load_libraries` returned.

    Raises:
        EngineError: another provider.
    """
    if providers[0] == PROVIDERS[device]:
        return
    raise EngineError(
        f"onnxruntime fell back to {providers[0]}, because it can't load {PROVIDERS[device]}"
        f"{f' ({said})' if said else ''}; remedy: {remedy(PROVIDERS[device])}"
    )


def remedy(provider: str) -> str:
    """What a provider needs beside onnxruntime itself, and how it comes."""
    cuda = ort.cuda_version.partition(".")[0] or "that onnxruntime was built for"
    more = f" and TensorRT for CUDA {cuda} (pip install tensorrt-cu{cuda})" if "Tensorrt" in provider else ""
    return f"install CUDA {cuda} and cuDNN 9 (pip install 'onnxruntime-gpu[cuda,cudnn]'){more}"


class BoundSession:
    """A session whose inputs and outputs lie in the device's memory, so that each travels once.

    `run` may be called from several threads; they take turns.

    Args:
        session: of a model of ours.
        device_type: whose memory, in onnxruntime's words: "cuda" or "cpu".
    """

    def __init__(self, session: Any, device_type: str = "cuda") -> None:
        self._session = session
        self._device_type = device_type
        self._lock = threading.Lock()
        self._bindings: dict[int, tuple[Any, Any]] = {}

    def run(self, images: npt.NDArray[np.uint8], stages: dict[str, float] | None) -> list[npt.NDArray[Any]]:
        """The outputs of uint8 images [B, h, w, c], in the order of `Candidates`, as arrays of the caller's."""
        with self._lock:
            if len(images) not in self._bindings:
                if len(self._bindings) == _KEPT_SIZES:
                    self._bindings.clear()
                self._bindings[len(images)] = self._bind(images.shape)
            binding, held = self._bindings[len(images)]
            with stage(stages, "upload"):
                held.update_inplace(np.ascontiguousarray(images))
            with stage(stages, "infer"):
                self._session.run_with_iobinding(binding)
                binding.synchronize_outputs()
            with stage(stages, "copy_back"):
                return list(binding.copy_outputs_to_cpu())

    def _bind(self, shape: tuple[int, ...]) -> tuple[Any, Any]:
        """A binding for a size of batch, and its input; onnxruntime's arena holds the outputs."""
        held = ort.OrtValue.ortvalue_from_shape_and_type(shape, np.uint8, self._device_type)
        binding = self._session.io_binding()
        binding.bind_ortvalue_input("images", held)
        for name in Candidates._fields:
            binding.bind_output(name, self._device_type)
        return binding, held
