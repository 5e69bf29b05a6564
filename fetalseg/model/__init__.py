"""The network and its variants (PyTorch; the extra `train`)."""

from __future__ import annotations

from fetalseg.model.variants import VARIANTS, Variant, variant
from fetalseg.model.yolact import RawPredictions, Yolact

__all__ = ["VARIANTS", "RawPredictions", "Variant", "Yolact", "variant"]
