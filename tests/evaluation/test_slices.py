"""Parts of a set by what its image records say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fetalseg.data.records import CocoSet, ImageRecord
from fetalseg.errors import DataError
from fetalseg.evaluation.matches import Matches
from fetalseg.evaluation.scored_frames import Detections, ScoredFrame
from fetalseg.evaluation.slices import Slice, as_json, quantile_edges, slice_figures, slices_by

NOTHING = Detections(np.empty(0, np.int64), np.empty(0), np.empty((0, 4)), None)


def frames_with(folder: Path, *records: dict[str, Any]) -> tuple[list[ScoredFrame], CocoSet]:
    """Images 1, 2, ... with these fields; what is in them doesn't matter."""
    path = folder / "instances.json"
    images = [{"id": number, **record} for number, record in enumerate(records, 1)]
    path.write_text(json.dumps({"images": images, "annotations": [], "categories": []}))
    found = [ImageRecord(image["id"], Path("x.png"), 10, 10, frozenset(), ()) for image in images]
    return [ScoredFrame(image, NOTHING) for image in found], CocoSet(path, "", "", {}, tuple(found))


def members(slices: list[Slice]) -> dict[str, list[int]]:
    """Image ids by the slice's value."""
    return {part.value: (np.flatnonzero(part.frames) + 1).tolist() for part in slices}


def test_views_come_in_their_usual_order_and_frames_without_one_last(tmp_path: Path) -> None:
    frames, truth = frames_with(tmp_path, {"view": "spine"}, {}, {"view": "head"}, {"view": "spine"})
    slices = slices_by("view", frames, truth)
    assert list(members(slices).items()) == [("head", [3]), ("spine", [1, 4]), ("not given", [2])]
    assert slices[0].field == "view"


def test_any_other_field_is_sorted_by_alphabet(tmp_path: Path) -> None:
    frames, truth = frames_with(tmp_path, {"hospital": "B"}, {"hospital": "A"}, {"hospital": "B"})
    assert list(members(slices_by("hospital", frames, truth)).items()) == [("A", [2]), ("B", [1, 3])]


def test_numbers_fall_into_ranges_from_an_edge_on(tmp_path: Path) -> None:
    frames, truth = frames_with(tmp_path, {"crl_mm": 44.9}, {"crl_mm": 45}, {"crl_mm": 60}, {}, {"crl_mm": 84})
    assert members(slices_by("crl_mm:45,60,90", frames, truth)) == {
        "below 45": [1],
        "45 to below 60": [2],
        "60 to below 90": [3, 5],
        "from 90": [],
        "not given": [4],
    }


def test_quantiles_have_as_many_frames_each(tmp_path: Path) -> None:
    frames, truth = frames_with(tmp_path, *({"crl_mm": value} for value in (45, 50, 55, 60, 65, 70, 75, 80)))
    # numpy's quartiles of the eight: 53.75, 62.5, 71.25.
    assert members(slices_by("crl_mm:q4", frames, truth)) == {
        "below 53.75": [1, 2],
        "53.75 to below 62.5": [3, 4],
        "62.5 to below 71.25": [5, 6],
        "from 71.25": [7, 8],
    }


def test_equal_values_make_fewer_ranges() -> None:
    assert quantile_edges([5, 5, 5, 5, 9], 4) == [5]


def test_frames_left_out_of_the_evaluation_make_no_slice(tmp_path: Path) -> None:
    frames, truth = frames_with(tmp_path, {"hospital": "A"}, {"hospital": "B"})
    assert [part.value for part in slices_by("hospital", frames[:1], truth)] == ["A"]


@pytest.mark.parametrize(
    ("wanted", "error", "message"),
    [
        ("machine", DataError, "no image has the field 'machine'; there are crl_mm, hospital, id, serial"),
        ("hospital:q4", DataError, "image 1: hospital is 'A', expected a number"),
        ("serial", DataError, "serial has 60 values, such as 0 and 1; expected at most 50"),
        ("crl_mm:60,45", ValueError, "edges of crl_mm must ascend, got 60, 45"),
        ("crl_mm:nan", ValueError, "edges of crl_mm must ascend, got nan"),
        ("crl_mm:q1", ValueError, "expected edges such as crl_mm:45,55,65 or quantiles such as crl_mm:q4"),
        ("crl_mm:small", ValueError, "expected edges such as crl_mm:45,55,65 or quantiles such as crl_mm:q4"),
    ],
)
def test_what_cannot_be_cut_is_explained(wanted: str, error: type[Exception], message: str, tmp_path: Path) -> None:
    records = [{"hospital": "A", "crl_mm": 50 + number, "serial": number} for number in range(60)]
    frames, truth = frames_with(tmp_path, *records)
    with pytest.raises(error) as raised:
        slices_by(wanted, frames, truth)
    assert message in str(raised.value)


def test_figures_of_a_slice_are_those_of_its_frames_alone() -> None:
    # Found in the first frame and missed in the second; the other structure is in the second alone, and found.
    right = np.ones((4, 10, 1), np.bool_)
    first = Matches(np.array([0.9]), np.array([0]), right, ~right, np.ones((4, 2), np.int64))
    second = Matches(np.array([0.9]), np.array([1]), right, ~right, np.tile(np.array([0, 1]), (4, 1)))
    slices = [Slice("probe", "A", np.array([True, False])), Slice("probe", "B", np.array([False, True]))]
    one, other = slice_figures(slices, {0: first, 1: second}, ("cord", "cyst"))
    assert (one.frames, one.structures["cord"].ap50, one.mean.n) == (1, pytest.approx(1), 1)
    assert (one.structures["cyst"].ap50, one.structures["cyst"].n) == (None, 0)
    assert (other.structures["cord"].ap50, other.structures["cyst"].ap50) == (0, pytest.approx(1))
    assert (other.mean.ap50, other.mean.n) == (pytest.approx(0.5), 2)
    written = as_json([one, other])
    assert [part["value"] for part in written] == ["A", "B"]
    assert list(written[0]["structures"]) == ["cord"]
    assert written[1]["mean"]["n"] == 2
