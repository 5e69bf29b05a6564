"""The synthetic scanner: first-trimester frames and cines with exact masks of all seventeen structures.

Needs NumPy and OpenCV alone, because the live demonstration of the server uses it.
"""

from fetalseg.phantom.cine import cine
from fetalseg.phantom.dataset import write_dataset
from fetalseg.phantom.frames import PhantomFrame

__all__ = ["PhantomFrame", "cine", "write_dataset"]
