"""Small DICOM files, written for a test."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    JPEGBaseline8Bit,
    UltrasoundMultiFrameImageStorage,
    generate_uid,
)


def data_set(pixels: np.ndarray, *, colour: bool = False, syntax: str = ExplicitVRLittleEndian, **more: Any) -> Dataset:
    """A data set without pixel data that describes `pixels`: [F, H, W], or [F, H, W, 3] with `colour`."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = syntax
    meta.MediaStorageSOPClassUID = UltrasoundMultiFrameImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid()
    ds = Dataset()
    ds.file_meta = meta
    ds.SOPClassUID, ds.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    ds.PatientName = "SECRET^NAME"
    ds.NumberOfFrames, ds.Rows, ds.Columns = pixels.shape[0], pixels.shape[1], pixels.shape[2]
    ds.SamplesPerPixel = 3 if colour else 1
    ds.PhotometricInterpretation = "RGB" if colour else "MONOCHROME2"
    if colour:
        ds.PlanarConfiguration = 0
    ds.BitsAllocated = ds.BitsStored = 8 * pixels.dtype.itemsize
    ds.HighBit = ds.BitsStored - 1
    ds.PixelRepresentation = int(pixels.dtype.kind == "i")
    for keyword, value in more.items():
        setattr(ds, keyword, value)
    return ds


def write(path: Path, pixels: np.ndarray, **options: Any) -> Path:
    """An uncompressed file; options as of `data_set`."""
    ds = data_set(pixels, **options)
    big = ds.file_meta.TransferSyntaxUID == ExplicitVRBigEndian
    ds.PixelData = (pixels.astype(pixels.dtype.newbyteorder(">")) if big else pixels).tobytes()
    ds["PixelData"].VR = "OB" if pixels.dtype.itemsize == 1 else "OW"
    ds.save_as(path, enforce_file_format=True)
    return path


def write_encapsulated(path: Path, pixels: np.ndarray, coded: Sequence[bytes], **options: Any) -> Path:
    """A compressed file from frames that are coded already."""
    ds = data_set(pixels, **{"syntax": JPEGBaseline8Bit, **options})
    ds.PixelData = encapsulate(list(coded))
    ds["PixelData"].VR = "OB"
    ds.save_as(path, enforce_file_format=True)
    return path


def gray_jpegs(pixels: np.ndarray) -> list[bytes]:
    """Each frame of [F, H, W] as JPEG."""
    return [cv2.imencode(".jpg", frame)[1].tobytes() for frame in pixels]
