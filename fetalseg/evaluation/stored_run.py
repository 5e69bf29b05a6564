"""What `fetalseg eval` left in a folder, read back: which system, on which data, and what it found."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fetalseg.data.coco import read_coco
from fetalseg.data.records import CocoSet
from fetalseg.errors import DataError
from fetalseg.evaluation.detections_file import read_detections
from fetalseg.evaluation.matches import Kind, Matches, match_all
from fetalseg.evaluation.scored_frames import ScoredFrame

__all__ = [
    "StoredRun",
    "compared_kinds",
    "compared_labels",
    "frames_of",
    "matches_of",
    "option_differences",
    "read_run",
    "read_truth",
]

# The word for a kind: (that of pycocotools, the file of its detections)
_KINDS: dict[str, tuple[Kind, str]] = {
    "box": ("bbox", "detections_box.json"),
    "mask": ("segm", "detections_mask.json"),
}


@dataclass(frozen=True)
class StoredRun:
    """One evaluation.

    Attributes:
        folder: where it lies.
        system: name and version, for a screen.
        data: annotation file that it was scored on, as it was called then.
        sha256: of that file.
        images: how many of its images were scored, from the first.
        unknown: structures of the data that the system doesn't find.
        options: of post-processing.
    """

    folder: Path
    system: str
    data: Path
    sha256: str
    images: int
    unknown: frozenset[str]
    options: dict[str, Any]


def read_run(folder: Path) -> StoredRun:
    """Reads `metrics.json`.

    Raises:
        DataError: no folder of an evaluation, or a file that can't be read.
    """
    path = folder / "metrics.json"
    content = _read_json(path)
    try:
        data, model = content["data"], content.get("model") or {}
        return StoredRun(
            folder=folder,
            system=" ".join(str(model[key]) for key in ("name", "version") if model.get(key)) or folder.name,
            data=Path(data["path"]),
            sha256=str(data["sha256"]),
            images=int(data["images"]),
            unknown=frozenset(content.get("unknown_to_model") or ()),
            options=dict(content.get("options") or {}),
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        fault = f"no {error}" if isinstance(error, KeyError) else str(error)
        raise DataError(f"{path} was not written by `fetalseg eval`: {fault}") from None


def read_truth(base: StoredRun, new: StoredRun, data: Path | None = None, images: Path | None = None) -> CocoSet:
    """The data that two runs were scored on.

    Args:
        base: one run.
        new: the other.
        data: where the annotation file lies now; None: where it lay for one of the two.
        images: folder of the image files, see `read_coco`.

    Raises:
        DataError: they were scored on different data, or on other data than this, or it can't be read.
    """
    if (base.sha256, base.images) != (new.sha256, new.images):
        raise DataError(
            "the two were scored on different data: "
            + "; ".join(f"{run.folder} on {run.images} images of {run.data}, {run.sha256[:12]}" for run in (base, new))
        )
    path = data or next((run.data for run in (base, new) if run.data.exists()), None)
    if path is None:
        raise DataError(f"{base.data} is not there any more; say where it is with --data")
    truth = read_coco(path, images=images, limit=base.images)
    if truth.sha256 != base.sha256:
        raise DataError(
            f"{truth.path} is not what {base.folder} was scored on: its digest is {truth.sha256[:12]}, "
            f"expected {base.sha256[:12]}"
        )
    return truth


def compared_kinds(base: StoredRun, new: StoredRun) -> list[str]:
    """ "box", and "mask" if both runs have detections by mask."""
    return [word for word, (_, name) in _KINDS.items() if all((run.folder / name).exists() for run in (base, new))]


def compared_labels(base: StoredRun, new: StoredRun, truth: CocoSet) -> list[int]:
    """The structures of the data that at least one of the systems finds: the other one, then, misses them all."""
    neither = base.unknown & new.unknown
    return [label for label in sorted(truth.category_ids) if truth.structures[label] not in neither]


def option_differences(base: StoredRun, new: StoredRun) -> list[str]:
    """Options of post-processing that the two don't share, such as `min_score 0.05, 0.3`."""
    keys = dict.fromkeys((*base.options, *new.options))
    pairs = {key: (base.options.get(key), new.options.get(key)) for key in keys}
    return [f"{key} {before}, {after}" for key, (before, after) in pairs.items() if before != after]


def frames_of(run: StoredRun, truth: CocoSet, kinds: Sequence[str]) -> dict[str, tuple[ScoredFrame, ...]]:
    """All frames of the data with the detections of a run, by kind.

    Raises:
        DataError: a file that can't be read, or a detection that doesn't belong to the data.
    """
    return {word: read_detections(run.folder / _KINDS[word][1], truth) for word in kinds}


def matches_of(
    frames: Mapping[str, Sequence[ScoredFrame]], truth: CocoSet, labels: Sequence[int]
) -> dict[str, dict[int, Matches]]:
    """The detections of a run, matched: by kind, then by label.

    Args:
        frames: see `frames_of`.
        truth: the data.
        labels: those compared.

    Raises:
        DataError: a mask of the ground truth covers no pixel.
    """
    found: dict[str, dict[int, Matches]] = {}
    for word, scored in frames.items():
        matches = match_all(scored, truth, _KINDS[word][0])
        found[word] = {label: matches[label] for label in labels}
    return found


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except OSError as error:
        raise DataError(f"can't read {path}: {error.strerror}; expected a folder written by `fetalseg eval`") from None
    except ValueError as error:
        raise DataError(f"{path} is not JSON: {error}") from None
