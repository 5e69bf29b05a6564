"""Pixel spacing and pace, in mm and ms worked out by hand."""

from __future__ import annotations

from typing import Any

import pytest

from fetalseg.sources.dicom_calibration import Timing, spacing_mm, timing


def region(**changes: Any) -> dict[str, Any]:
    """A calibrated 2-D region of 0.2 mm by 0.1 mm pixels (y, x)."""
    return {
        "RegionSpatialFormat": 1,
        "PhysicalUnitsXDirection": 3,
        "PhysicalUnitsYDirection": 3,
        "RegionLocationMinX0": 10,
        "RegionLocationMinY0": 20,
        "RegionLocationMaxX1": 639,
        "RegionLocationMaxY1": 479,
        "PhysicalDeltaX": 0.01,
        "PhysicalDeltaY": 0.02,
        **changes,
    }


def file_with(*regions: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"Rows": 480, "Columns": 640, "SequenceOfUltrasoundRegions": list(regions), **more}


def test_region_deltas_are_centimetres_and_come_back_as_y_x_in_mm() -> None:
    assert spacing_mm(file_with(region())) == pytest.approx((0.2, 0.1))


def test_the_direction_of_an_axis_does_not_matter() -> None:
    assert spacing_mm(file_with(region(PhysicalDeltaY=-0.02))) == pytest.approx((0.2, 0.1))


@pytest.mark.parametrize(
    "changes",
    [
        {"RegionLocationMaxX1": 641},
        {"RegionLocationMaxY1": 481},
        {"RegionLocationMinX0": -1},
        {"RegionLocationMinX0": 639},
        {"RegionLocationMaxY1": None},
        {"PhysicalDeltaX": 0.0},
        {"PhysicalDeltaY": None},
        {"PhysicalDeltaY": float("nan")},
    ],
    ids=str,
)
def test_a_region_outside_the_frame_or_without_a_scale_says_nothing(changes: dict[str, Any]) -> None:
    assert spacing_mm(file_with(region(**changes), PixelSpacing=[0.3, 0.3])) is None


def test_traces_and_other_units_are_no_calibration_of_the_image() -> None:
    trace = region(RegionSpatialFormat=2, PhysicalDeltaX=9.0)
    seconds = region(PhysicalUnitsXDirection=4, PhysicalDeltaX=9.0)
    assert spacing_mm(file_with(trace, region(), seconds)) == pytest.approx((0.2, 0.1))
    assert spacing_mm(file_with(trace, PixelSpacing=[0.3, 0.4])) == (0.3, 0.4)


def test_two_scans_at_different_depths_have_no_common_spacing() -> None:
    left, right = region(RegionLocationMaxX1=320), region(RegionLocationMinX0=321)
    assert spacing_mm(file_with(left, right)) == pytest.approx((0.2, 0.1))
    assert spacing_mm(file_with(left, {**right, "PhysicalDeltaX": 0.012})) is None


def test_pixel_spacing_is_used_without_regions() -> None:
    assert spacing_mm({"Rows": 480, "Columns": 640, "PixelSpacing": ["0.25", "0.5"]}) == (0.25, 0.5)


@pytest.mark.parametrize("value", [None, [], [0.3], [0, 0.3], ["a", "b"], "0.3"])
def test_a_malformed_pixel_spacing_is_unknown(value: Any) -> None:
    assert spacing_mm({"Rows": 480, "Columns": 640, "PixelSpacing": value}) is None


def test_frame_time_comes_before_the_rates() -> None:
    pace = timing({"FrameTime": "40", "CineRate": 30, "RecommendedDisplayFrameRate": 10}, 3)
    assert pace.fps == 25
    assert [pace.timestamp_ms(index) for index in range(3)] == [0, 40, 80]


def test_cine_rate_comes_before_the_recommended_one() -> None:
    assert timing({"CineRate": 50, "RecommendedDisplayFrameRate": 10}, 2) == Timing(50, 20)
    assert timing({"CineRate": 0, "RecommendedDisplayFrameRate": 10}, 2) == Timing(10, 100)


def test_a_frame_time_vector_gives_each_moment() -> None:
    pace = timing({"FrameTimeVector": [0, 30, 50, 40]}, 4)
    assert [pace.timestamp_ms(index) for index in range(4)] == [0, 30, 80, 120]
    assert pace.fps == pytest.approx(25)


@pytest.mark.parametrize(
    "header", [{}, {"FrameTime": "x"}, {"FrameTime": 0}, {"FrameTimeVector": [0, 30]}, {"CineRate": None}], ids=str
)
def test_an_unknown_pace_is_none(header: dict[str, Any]) -> None:
    pace = timing(header, 3)
    assert (pace.fps, pace.timestamp_ms(2)) == (None, None)


def test_a_still_has_no_pace() -> None:
    pace = timing({"FrameTime": 40}, 1)
    assert (pace.fps, pace.timestamp_ms(0)) == (None, None)
