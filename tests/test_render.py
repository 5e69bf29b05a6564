"""Overlays: what is coloured, what is left alone, and where tags stand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

from fetalseg.anatomy import structure
from fetalseg.instances import Instances
from fetalseg.render import draw
from fetalseg.taxonomy import describe


def found(*rows: tuple[str, tuple[int, int, int, int]], frame_shape: tuple[int, int] = (240, 320)) -> Instances:
    """Filled rectangles, best score first."""
    boxes = np.array([box for _, box in rows], np.int64).reshape(-1, 4)
    crops: list[npt.NDArray[np.bool_]] = [np.ones((y2 - y1, x2 - x1), np.bool_) for x1, y1, x2, y2 in boxes.tolist()]
    return Instances(
        labels=np.array([structure(name).label for name, _ in rows], np.int64),
        scores=np.linspace(0.9, 0.5, len(rows), dtype=np.float32),
        boxes=boxes.astype(np.float32),
        crops=crops,
        crop_boxes=boxes,
        frame_shape=frame_shape,
    )


GRAY = np.full((240, 320), 40, np.uint8)
HEART = ("heart", (100, 80, 180, 160))


def changed(picture: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
    return np.asarray((picture != 40).any(axis=2))


def test_without_instances_the_picture_is_the_frame_in_rgb() -> None:
    color = np.random.default_rng(0).integers(0, 256, (240, 320, 3)).astype(np.uint8)
    assert np.array_equal(draw(color, Instances.empty((240, 320))), color)
    assert np.array_equal(draw(GRAY, Instances.empty((240, 320))), np.repeat(GRAY[..., None], 3, axis=2))


def test_a_structure_is_tinted_with_its_colour_by_the_opacity() -> None:
    picture = draw(GRAY, found(HEART), opacity=0.25, legend=False)
    expected = np.rint(0.75 * 40 + 0.25 * np.array(structure("heart").color))
    assert picture[120, 140].tolist() == expected.tolist()
    assert not changed(picture)[:78].any()
    assert not changed(picture)[163:].any()


def test_the_outline_runs_along_the_edge_of_the_mask() -> None:
    picture = draw(GRAY, found(HEART), opacity=0.0, legend=False)
    # The left edge of pixel 100 lies between the centres of pixels 99 and 100, which share the stroke.
    assert (picture[100:140, 99:101, 0] > 120).all()
    assert (picture[100:140, 99:101, 0] > 1.5 * picture[100:140, 99:101, 1]).all()
    assert not changed(picture)[:, :97].any()
    assert not changed(picture)[90:150, 110:170].any()


def test_the_smallest_structure_is_on_top_whatever_the_order() -> None:
    small = ("stomach", (130, 110, 150, 130))
    for rows in ((HEART, small), (small, HEART)):
        picture = draw(GRAY, found(*rows), opacity=0.5, legend=False)
        expected = np.rint(20 + 0.5 * np.array(structure("stomach").color))
        assert picture[120, 140].tolist() == expected.tolist()


def test_a_line_one_pixel_wide_is_seen() -> None:
    picture = draw(GRAY, found(("midline_falx", (60, 120, 260, 121))), legend=False)
    row = picture[120, 70:250].astype(int)
    assert (np.abs(row - structure("midline_falx").color).sum(axis=1) < 200).all()


def test_a_structure_without_a_mask_is_shown_by_its_box() -> None:
    with_mask = found(HEART)
    without = Instances(
        with_mask.labels,
        with_mask.scores,
        with_mask.boxes,
        [np.empty((0, 0), np.bool_)],
        np.array([[100, 80, 100, 80]]),
        (240, 320),
    )
    picture = changed(draw(GRAY, without, legend=False))
    assert picture[120, 99:101].any()
    assert picture[120, 179:181].any()
    assert not picture[120, 110:170].any()


def test_the_legend_stands_beside_structures_and_tags_stay_apart() -> None:
    rows = [HEART, ("spine", (20, 180, 60, 230)), ("hand", (250, 20, 300, 60))]
    plain, tagged = draw(GRAY, found(*rows), legend=False), draw(GRAY, found(*rows))
    difference = (plain != tagged).any(axis=2)
    assert difference.any()
    for _, (x1, y1, x2, y2) in rows:
        assert not difference[y1 + 2 : y2 - 2, x1 + 2 : x2 - 2].any()


def test_the_legend_takes_the_names_of_another_taxonomy() -> None:
    heart = found(HEART)
    names = [f"thing {i}" for i in range(17)]
    assert not np.array_equal(draw(GRAY, heart), draw(GRAY, heart, names=names))
    assert np.array_equal(draw(GRAY, heart, legend=False), draw(GRAY, heart, legend=False, names=names))
    with pytest.raises(ValueError, match="2 names given; expected at least 8"):
        draw(GRAY, heart, names=["a", "b"])


def test_structures_of_another_model_have_its_titles_and_colours() -> None:
    names = ("yolk_sac", "cord")
    instances = replace(found(HEART), labels=np.array([1]), structures=names)
    picture = draw(GRAY, instances, opacity=1.0, legend=False)
    assert picture[120, 140].tolist() == list(describe(names)[1].color)
    spelled = draw(GRAY, instances, names=["Yolk sac", "Cord"])
    assert np.array_equal(draw(GRAY, instances), spelled)


@pytest.mark.parametrize("frame_shape", [(16, 16), (40, 600), (600, 40), (1200, 1920)])
def test_frames_of_any_size_are_drawn(frame_shape: tuple[int, int]) -> None:
    height, width = frame_shape
    rows = [("cranium", (0, 0, width, height)), ("foot", (width // 2, height // 2, width // 2 + 4, height // 2 + 3))]
    picture = draw(np.zeros(frame_shape, np.uint8), found(*rows, frame_shape=frame_shape))
    assert (picture.shape, picture.dtype) == ((*frame_shape, 3), np.uint8)


def test_the_frame_is_left_alone() -> None:
    frame = GRAY.copy()
    frame.setflags(write=False)
    draw(frame, found(HEART))
    color = np.repeat(frame[..., None], 3, axis=2)
    before = color.copy()
    draw(color, found(HEART))
    assert np.array_equal(color, before)


def test_wrong_arguments_are_named() -> None:
    with pytest.raises(ValueError, match=r"shape \(240, 320\); expected that of the instances \(20, 30\)"):
        draw(GRAY, Instances.empty((20, 30)))
    with pytest.raises(ValueError, match=r"opacity must be within 0..1, got 1.5"):
        draw(GRAY, found(HEART), opacity=1.5)
    with pytest.raises(ValueError, match="uint8"):
        draw(GRAY.astype(np.float32), found(HEART))  # type: ignore[arg-type]
