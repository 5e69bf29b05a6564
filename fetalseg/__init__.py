"""Real-time instance segmentation of first-trimester ultrasound.

    from fetalseg import Segmenter
    segmenter = Segmenter.load("fetalseg-s")
    instances = segmenter.segment(frame)

Research use only; not a medical device.
"""

from __future__ import annotations

from fetalseg.frame import Frame
from fetalseg.instances import Instances
from fetalseg.postprocess.options import PostprocessOptions
from fetalseg.segmenter import Segmenter

__all__ = ["Frame", "Instances", "PostprocessOptions", "Segmenter", "__version__"]

__version__ = "0.1.0"
