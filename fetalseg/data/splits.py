"""Which images are held out of training, decided once and for all by a hash.

The unit is the patient where the image names one, else the image itself. A hash of the unit's name decides, so the
split does not depend on the order of the file, on the machine or on images added later. In the set of mid-sagittal NT
frames no patient is named; neighbouring frame numbers there are no more alike than frames picked at random (correlation
of 32 x 24 thumbnails: median 0.31 against 0.30; highest of all 402,753 pairs 0.83, mirrored 0.81), so a split by image
does not put near copies of training frames into the held-out part. The same fetus may still be on both sides: figures
by image are optimistic and are printed as such.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from fetalseg.data.records import CocoSet

__all__ = ["Split", "split_set"]


@dataclass(frozen=True)
class Split:
    """Image ids of the two parts, in the order of the file.

    Attributes:
        train: may be learnt from.
        held_out: never learnt from.
        unit: what was kept together: "patient", "image" where no image names one, "patient or image" where some don't.
    """

    train: tuple[int, ...]
    held_out: tuple[int, ...]
    unit: str


def split_set(source: CocoSet, share: float, salt: str = "fetalseg") -> Split:
    """Holds out about `share` of the patients, and of the images that name none.

    Args:
        source: the set.
        share: 0 <= share < 1.
        salt: another word gives another split.

    Raises:
        ValueError: a share outside [0, 1).
    """
    if not 0 <= share < 1:
        raise ValueError(f"the held-out share must lie in [0, 1), got {share}")
    train: list[int] = []
    held_out: list[int] = []
    for image in source.images:
        unit = image.path.name if image.patient is None else image.patient
        (held_out if _fraction(f"{salt}:{unit}") < share else train).append(image.id)
    named = sum(image.patient is not None for image in source.images)
    word = "patient" if named == len(source.images) else "patient or image" if named else "image"
    return Split(tuple(train), tuple(held_out), word)


def _fraction(text: str) -> float:
    """A number in [0, 1), uniform over texts and always the same for one text."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") / 2**64
