"""One or several sets, checked by themselves and against each other."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fetalseg.data.check.files import SeenSet, look_at, see
from fetalseg.data.check.findings import Finding
from fetalseg.data.check.leakage import between, within
from fetalseg.data.check.records import check_records
from fetalseg.data.coco import image_folders, read_content

__all__ = ["CheckReport", "check_sets"]


@dataclass(frozen=True, eq=False)
class CheckReport:
    """What was found in some sets.

    Attributes:
        sets: in the order given.
        findings: set by set, then between sets.
    """

    sets: tuple[SeenSet, ...]
    findings: tuple[Finding, ...]

    @property
    def problems(self) -> int:
        """How many findings are more than notes."""
        return sum(finding.level == "problem" for finding in self.findings)

    def to_json(self) -> dict[str, Any]:
        """For scripts: what was looked at, and every finding."""
        return {
            "schema": 1,
            "problems": self.problems,
            "sets": [{"file": str(s.file), "images": len(s.images), "annotations": s.annotations} for s in self.sets],
            "findings": [{**finding._asdict(), "file": str(finding.file)} for finding in self.findings],
        }


def check_sets(
    groups: Sequence[Sequence[Path]],
    *,
    images: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> CheckReport:
    """Looks at records and files of every set, and for what sets of a group have in common.

    Args:
        groups: of annotation files, or folders with `instances.json`. Sets of a group are compared with each other;
            one may be in several groups, as the test part of several folds is.
        images: folder of the image files; None: see `fetalseg.data.coco.image_folders`.
        progress: called with how many image files have been read, and how many there are.

    Raises:
        DataError: an annotation file that can't be read, isn't JSON or isn't COCO.
    """
    records = {}
    for path in dict.fromkeys(itertools.chain(*groups)):
        file, _, content = read_content(path)
        records[path] = check_records(file, content, image_folders(file, images))
    files = [image.path for found in records.values() for image in found.images]
    total, done = len(set(files)), itertools.count(1)
    looks = look_at(files, progress=None if progress is None else lambda: progress(next(done), total))
    seen = {path: see(found, looks) for path, found in records.items()}
    findings = [finding for one in seen.values() for finding in (*one.findings, *within(one))]
    pairs = dict.fromkeys(pair for group in groups for pair in itertools.combinations(dict.fromkeys(group), 2))
    for first, second in pairs:
        findings += between(seen[first], seen[second])
    return CheckReport(tuple(seen.values()), tuple(findings))
