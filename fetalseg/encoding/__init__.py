"""Masks as text and numbers: COCO run lengths, and polygons along the edges of pixels."""

from __future__ import annotations

from fetalseg.encoding.polygons import polygons, polygons_json
from fetalseg.encoding.rle import compressed_runs, decode_crop, decode_mask, decode_runs, run_lengths

__all__ = ["compressed_runs", "decode_crop", "decode_mask", "decode_runs", "polygons", "polygons_json", "run_lengths"]
