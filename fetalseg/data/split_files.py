"""Repeated splits as folders: one COCO file a part, which training and evaluation take as they are, and one summary.

`NAME-test`, and for each fold `NAME-train-I` and `NAME-validation-I`, NAME being that of the set: parts of different
sets can be trained on together. Images stay where they are; the files name them by absolute paths.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from fetalseg.data.coco import write_subset
from fetalseg.data.protocol import RepeatedSplits
from fetalseg.data.records import CocoSet
from fetalseg.errors import DataError

__all__ = ["SPLITS_FILE", "read_groups", "write_splits"]

SPLITS_FILE = "splits.json"


def write_splits(source: CocoSet, splits: RepeatedSplits, out: Path, *, seed: int, group: str = "patient") -> Path:
    """Writes every part and `splits.json`, and gives the path of the latter.

    Args:
        source: the set.
        splits: of this set.
        out: a folder; made if it doesn't exist.
        seed: that drew them, to be written down.
        group: field of the images that names what was kept together, to be written down.

    Raises:
        DataError: splits are there already, or the folder can't be written.
    """
    summary = out / SPLITS_FILE
    if summary.exists():
        raise DataError(f"{summary} exists; expected a folder without splits, so that no part is mixed with another's")
    names = {image.id: image.path.name for image in source.images}
    parts: dict[str, dict[str, Any]] = {}
    folds: list[dict[str, str]] = []

    def write(part: str, ids: tuple[int, ...]) -> str:
        files = [names[number] for number in ids]
        if files:
            write_subset(source, ids, out / part / "instances.json")
        parts[part] = {"images": len(files), "sha256": _digest(files), "file_names": files}
        return part

    try:
        test = write(f"{source.name}-test", splits.test)
        for i, fold in enumerate(splits.folds):
            train = write(f"{source.name}-train-{i}", fold.train)
            validation = write(f"{source.name}-validation-{i}", fold.validation)
            folds.append({"train": train, "validation": validation, **({"test": test} if splits.test else {})})
        document = {
            "schema": 1,
            "source": str(source.path.resolve()),
            "source_sha256": source.sha256,
            "seed": seed,
            "unit": splits.unit,
            "group": group,
            "folds": folds,
            "parts": parts,
        }
        summary.write_text(json.dumps(document, indent=1), encoding="utf-8")
    except OSError as error:
        raise DataError(f"can't write to {error.filename or out}: {error.strerror}") from None
    return summary


def read_groups(folder: Path) -> list[list[Path]]:
    """The parts of each fold of splits that `write_splits` wrote: no two of a fold may share a patient or an image.

    Raises:
        DataError: a file that can't be read or isn't one of ours.
    """
    path = folder / SPLITS_FILE
    try:
        folds = json.loads(path.read_text(encoding="utf-8"))["folds"]
        return [[folder / str(part) for part in fold.values()] for fold in folds]
    except OSError as error:
        raise DataError(f"can't read {path}: {error.strerror}") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{path} is no summary of splits: {type(error).__name__} {error}") from None


def _digest(files: list[str]) -> str:
    """Of the file names, whatever their order and wherever the images lie."""
    return hashlib.sha256("\n".join(sorted(files)).encode()).hexdigest()
