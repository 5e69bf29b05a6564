"""Frames from images, videos, DICOM files, folders, cameras and the phantom."""

from __future__ import annotations

from fetalseg.sources.decode import decode_image
from fetalseg.sources.open import open_source
from fetalseg.sources.source import Source

__all__ = ["Source", "decode_image", "open_source"]
