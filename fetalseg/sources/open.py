"""From the words of a user to a source of frames."""

from __future__ import annotations

from pathlib import Path

from fetalseg.errors import FrameError, MissingExtraError
from fetalseg.sources.camera import CameraSource
from fetalseg.sources.folder import FolderSource
from fetalseg.sources.image_header import image_format
from fetalseg.sources.images import ImageSource
from fetalseg.sources.source import Source
from fetalseg.sources.video import VideoSource, is_video

__all__ = ["open_source"]

_HEAD = 132  # bytes that tell every supported kind of file: DICOM's mark is the last, at 128


def open_source(spec: str | Path) -> Source:
    """Opens whatever `spec` names.

    Args:
        spec: a file (JPEG, PNG, BMP, video, DICOM: told apart by content, not by name), a folder of such files,
            "phantom" or "phantom:seed=3,frames=50" (see `fetalseg.sources.phantom_source`), "camera:0", or
            "pydicom:examples_ybr_color.dcm", a test file that ships inside pydicom. A `Path` is a file or folder.

    Raises:
        FrameError: no such file, or no frames in it.
        ValueError: a malformed word after "phantom:" or "camera:".
        MissingExtraError: DICOM without the extra `dicom`.
    """
    if isinstance(spec, str):
        word, _, rest = spec.partition(":")
        if word == "phantom":
            from fetalseg.sources.phantom_source import PhantomSource

            return PhantomSource.parse(rest)
        if word == "camera" and ":" in spec:
            if not rest.isdecimal():
                raise ValueError(f"camera number {rest!r}; expected a number as in camera:0")
            return CameraSource(int(rest))
        if word == "pydicom" and rest:
            return _open_file(_pydicom_file(rest))
        spec = Path(spec)
    if spec.is_dir():
        return FolderSource(spec, supported=_is_supported, open_file=_open_file)
    return _open_file(spec)


def _open_file(path: Path) -> Source:
    head = _read_head(path)
    if _is_dicom(head):
        from fetalseg.sources.dicom import DicomSource

        return DicomSource(path)
    if image_format(head):
        return ImageSource(path)
    if is_video(head):
        return VideoSource(path)
    what = "an empty file" if not head else f"a file that starts with {head[:8].hex(' ')}"
    raise FrameError(f"{path.name}: {what}; expected JPEG, PNG, BMP, DICOM or a video")


def _is_supported(path: Path) -> bool:
    head = _read_head(path)
    return _is_dicom(head) or image_format(head) is not None or is_video(head)


def _is_dicom(head: bytes) -> bool:
    return head[128:132] == b"DICM"


def _read_head(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_HEAD)
    except FileNotFoundError:
        raise FrameError(f"no file or folder {path}") from None
    except OSError as error:
        raise FrameError(f"{path.name}: can't be read: {error.strerror}") from None


def _pydicom_file(name: str) -> Path:
    try:
        from pydicom.data import get_testdata_file
    except ImportError:
        raise MissingExtraError("pydicom", "dicom") from None
    found = get_testdata_file(name, download=False)
    if found is None:
        raise FrameError(f"pydicom has no test file {name!r} among those that are installed with it")
    return Path(str(found))
