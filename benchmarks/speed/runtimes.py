"""Which versions of which runtime: what `benchmarks.machine` doesn't tell of any one benchmark."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

__all__ = ["runtime_version"]

# word of an engine: the distributions that may hold its runtime
_DISTRIBUTIONS = {
    "tensorrt": ("tensorrt", "tensorrt_rtx", "tensorrt-rtx"),
    "openvino": ("openvino",),
    "onnxruntime": ("onnxruntime-gpu", "onnxruntime"),
    "torch": ("torch",),
}


def runtime_version(engine: str) -> str:
    """The runtime of an engine and its version, as "openvino 2026.4.1"; the word alone where it isn't known."""
    for name in _DISTRIBUTIONS.get(engine, ()):
        try:
            return f"{name} {version(name)}"
        except PackageNotFoundError:
            continue
    return engine
