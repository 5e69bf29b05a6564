"""The comparison of learning masks from masks and from boxes runs and writes its figures."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from drawn_sets import Rectangle, write_drawn_set

from benchmarks.box_supervision import Figures, hide_masks, main, table
from fetalseg.data.coco import read_coco


@pytest.fixture
def heads(tmp_path: Path) -> Path:
    """Ten frames with a bright cranium each, its mask a polygon."""
    return write_drawn_set(
        tmp_path / "heads", 10, lambda number, _: [Rectangle(1, 14 + 3 * number, 16, 32, 28 + number % 3)]
    )


def test_it_trains_both_ways_and_prints_a_table(
    heads: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "rows.json"
    arguments = ("--variant", "fetalseg-test", "--steps", "2", "--batch", "2", "--holdout", "0.4", "--threads", "1")

    code = main(["--data", str(heads), *arguments, "--json", str(file)])

    assert code == 0
    assert "heads: fetalseg-test, 2 steps each" in capsys.readouterr().out
    written = json.loads(file.read_text())
    assert {"date", "commit", "machine"} <= set(written)
    rows = written["rows"]
    assert [row["name"] for row in rows] == ["masks", "boxes", "boxes, and the box taken for the mask"]
    assert all(row["steps"] == 2 and row["mask_ap50"] is not None for row in rows)


def test_a_set_without_masks_is_refused(heads: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content = json.loads((heads / "instances.json").read_text())
    del content["annotations"][0]["segmentation"]
    (heads / "instances.json").write_text(json.dumps(content))

    assert main(["--data", str(heads), "--steps", "2"]) == 1
    assert "error: heads: every annotation must have a mask to compare with; 1 have none" in capsys.readouterr().err


def test_hidden_masks_leave_the_boxes_and_the_given_set_as_they_are(heads: Path) -> None:
    source = read_coco(heads)

    hidden = hide_masks(source)

    assert source.has_masks
    assert not hidden.has_masks
    assert [a.bbox for i in hidden.images for a in i.annotations] == [
        a.bbox for i in source.images for a in i.annotations
    ]


def test_a_figure_that_cannot_be_computed_is_a_dash() -> None:
    assert table([Figures("boxes", 7, 0.5, 0.25, None, None)]).splitlines()[-1] == (
        "| boxes | 7 | 0.500 | 0.250 | - | - |"
    )
