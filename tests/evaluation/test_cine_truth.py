"""The truth of a cine as its file gives it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fetalseg.data.coco import read_coco
from fetalseg.errors import DataError
from fetalseg.evaluation.cine_truth import cine_truth
from fetalseg.phantom.cine import cine
from fetalseg.phantom.dataset import write_dataset


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cine of two frames of a profile."""
    path = tmp_path_factory.mktemp("cine")
    return write_dataset(path, frames=2, seed=3, size=(128, 96), views=["neck"], moving=True)


def changed(written: Path, folder: Path, annotation: dict[str, Any]) -> Path:
    """A copy of the file in which the first annotation has other values; None takes a key away."""
    content = json.loads(written.read_text())
    first = {**content["annotations"][0], **annotation}
    content["annotations"][0] = {key: value for key, value in first.items() if value is not None}
    path = folder / "instances.json"
    path.write_text(json.dumps(content))
    return path


def test_a_cine_comes_back_from_its_file_as_it_was_drawn(written: Path) -> None:
    drawn = list(cine(frames=2, seed=3, height=96, width=128, views=["neck"]))
    for read, frame in zip(cine_truth(read_coco(written)), drawn, strict=True):
        expected = frame.instances()
        assert (read.ids, read.ignored.tolist()) == (frame.track_ids, frame.ignored.tolist())
        assert read.instances.names == list(frame.names)
        assert np.array_equal(read.instances.masks, expected.masks)
        assert np.array_equal(read.instances.boxes, expected.boxes)
        assert [read.instances.structures[label] for label in sorted(read.annotated)] == list(frame.annotated)


@pytest.mark.parametrize(
    ("annotation", "words"),
    [
        ({"track_id": None}, "annotation 1: track_id is None, expected a whole number"),
        ({"segmentation": None}, "annotation 1 has no segmentation; a cine's truth needs masks"),
    ],
)
def test_a_file_that_is_no_cine_is_refused(
    written: Path, tmp_path: Path, annotation: dict[str, Any], words: str
) -> None:
    truth = read_coco(changed(written, tmp_path, annotation), images=written.parent / "images")
    with pytest.raises(DataError, match=words):
        cine_truth(truth)
