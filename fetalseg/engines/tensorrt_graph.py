"""An exported graph in the form that TensorRT takes."""

from __future__ import annotations

from pathlib import Path

from fetalseg.errors import MissingExtraError

__all__ = ["takeable_graph"]

_INPUT = "images"
_CAST = "images_float"


def takeable_graph(path: Path) -> bytes:
    """An ONNX file, changed so that TensorRT takes its input: of uint8 it knows nothing but how to cast it.

    Our graphs permute the axes first and cast then. Casting first is the same, since 0 to 255 are exact in float32.

    Raises:
        MissingExtraError: the package onnx isn't installed.
    """
    try:
        import onnx
    except ModuleNotFoundError:
        raise MissingExtraError("onnx", "tensorrt") from None
    model = onnx.load(str(path))
    graph = model.graph
    consumers = [node for node in graph.node if _INPUT in node.input and node.op_type not in ("Cast", "Shape")]
    if consumers:
        graph.node.insert(0, onnx.helper.make_node("Cast", [_INPUT], [_CAST], name=_CAST, to=onnx.TensorProto.FLOAT))
        for node in consumers:
            node.input[:] = [_CAST if name == _INPUT else name for name in node.input]
        del graph.value_info[:]  # notes of types that no longer hold
    data: bytes = model.SerializeToString()
    return data
