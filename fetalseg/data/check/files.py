"""The image files of a set, read to the last pixel: what the header promises may still not decode."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from fetalseg.data.check.findings import Finding
from fetalseg.data.check.records import CheckedImage, Records
from fetalseg.data.fingerprints import Fingerprint, fingerprint
from fetalseg.data.rules import Breach
from fetalseg.errors import FrameError
from fetalseg.sources.decode import decode_image

__all__ = ["Look", "SeenSet", "look_at", "see"]


@dataclass(frozen=True, eq=False)
class Look:
    """A file as it is.

    Attributes:
        size: (H, W); None if it can't be decoded.
        print: of the pixels; None likewise.
        breach: why it can't be decoded.
    """

    size: tuple[int, int] | None
    print: Fingerprint | None
    breach: Breach | None = None


@dataclass(frozen=True, eq=False)
class SeenSet:
    """A set whose records and files have been looked at.

    Attributes:
        file: the annotation file.
        structures: names of the categories, in the order of their ids.
        annotations: how many there are.
        images: with a file name.
        seen: those of them that can be decoded, with their fingerprints.
        findings: about records and files.
    """

    file: Path
    structures: tuple[str, ...]
    annotations: int
    images: tuple[CheckedImage, ...]
    seen: tuple[tuple[CheckedImage, Fingerprint], ...]
    findings: tuple[Finding, ...]


def look_at(paths: Sequence[Path], *, threads: int = 2, progress: Callable[[], None] | None = None) -> dict[Path, Look]:
    """Decodes files, each once.

    Args:
        paths: may repeat.
        threads: decoders at work at once.
        progress: called after each file.
    """

    def look(path: Path) -> tuple[Path, Look]:
        found = _look(path)
        if progress is not None:
            progress()
        return path, found

    with ThreadPoolExecutor(threads) as pool:
        return dict(pool.map(look, dict.fromkeys(paths)))


def _look(path: Path) -> Look:
    try:
        pixels = decode_image(path.read_bytes(), formats=("jpeg", "png", "bmp"))
    except FileNotFoundError:
        return Look(None, None, Breach("file-missing", f"there is no file {path}"))
    except OSError as error:
        return Look(None, None, Breach("file-unreadable", f"can't read {path}: {error.strerror}"))
    except FrameError as error:
        return Look(None, None, Breach("file-unreadable", f"{path}: {error}"))
    return Look((pixels.shape[0], pixels.shape[1]), fingerprint(pixels))


def see(records: Records, looks: dict[Path, Look]) -> SeenSet:
    """Puts together what a set's records say and what its files are."""
    seen = []
    for image in records.images:
        look = looks[image.path]
        if look.breach is not None:
            records.add(image.where, look.breach)
        elif look.size is not None and image.size not in (None, look.size):
            height, width = image.size or (0, 0)
            message = f"{image.path} is {look.size[1]}x{look.size[0]} px; its record says {width}x{height}"
            records.add(image.where, Breach("file-size", message))
        if look.print is not None:
            seen.append((image, look.print))
    return SeenSet(
        file=records.file,
        structures=records.structures,
        annotations=records.annotations,
        images=tuple(records.images),
        seen=tuple(seen),
        findings=tuple(records.findings),
    )
