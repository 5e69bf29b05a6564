"""From a trained network to a model file (PyTorch; the extra `train`)."""

from __future__ import annotations

from fetalseg.export.onnx import export_network, export_onnx

__all__ = ["export_network", "export_onnx"]
