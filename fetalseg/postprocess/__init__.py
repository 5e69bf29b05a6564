"""Non-maximum suppression, mask assembly and what ties them together, in NumPy, once for every engine."""

from __future__ import annotations

from fetalseg.postprocess.nms import NmsResult, nms
from fetalseg.postprocess.options import NMS_KINDS, NmsKind, PostprocessOptions
from fetalseg.postprocess.postprocessor import Postprocessor

__all__ = ["NMS_KINDS", "NmsKind", "NmsResult", "PostprocessOptions", "Postprocessor", "nms"]
