"""Which frames a gallery shows, and what is drawn in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from fetalseg.anatomy import structure
from fetalseg.data.records import Annotation
from fetalseg.evaluation.gallery import Choice, choose_frames, make_gallery
from fetalseg.evaluation.gallery_picture import MAX_BYTES, SIDE, draw_picture
from fetalseg.evaluation.overlap import OverlapOutcomes, overlap_outcomes
from fetalseg.evaluation.scored_frames import ScoredFrame
from tests.evaluation.handmade_frames import (
    HEIGHT,
    HERE,
    THERE,
    WIDTH,
    Box,
    detections,
    frame,
    present,
    rectangle,
    set_of,
)

HEART = structure("heart").label


def heart(box: Box) -> Annotation:
    return present("heart", box, rectangle(box))


def found(columns: int, score: float = 0.9) -> ScoredFrame:
    """A heart of 40 x 40 px of which the first columns are found: Dice 2 C / (40 + C)."""
    return frame("thorax", [heart(HERE)], detections(("heart", score, (10, 10, 10 + columns, 50))))


def overlaps(frames: Sequence[ScoredFrame]) -> dict[str, OverlapOutcomes]:
    return {one.structure: one for one in overlap_outcomes(frames, set_of(frames), {}) if one.structure == "heart"}


def chosen(frames: Sequence[ScoredFrame], per_kind: int = 2) -> list[Choice]:
    return choose_frames(frames, set_of(frames), overlaps(frames), per_kind=per_kind)


def test_best_and_worst_are_the_ends_of_the_order_by_dice() -> None:
    frames = [found(30), found(40), found(5), found(20), found(10)]
    assert [(one.kind, one.frame) for one in chosen(frames)] == [("best", 1), ("best", 0), ("worst", 2), ("worst", 4)]
    # 2 x 40 / (40 + 40), 2 x 5 / (40 + 5)
    assert [one.overlap for one in chosen(frames, per_kind=1)] == pytest.approx([1, 2 / 9])


def test_a_frame_is_shown_as_best_or_as_worst() -> None:
    assert [(one.kind, one.frame) for one in chosen([found(30)])] == [("best", 0)]
    kinds = [(one.kind, one.frame) for one in chosen([found(30), found(20), found(10)])]
    assert kinds == [("best", 0), ("best", 1), ("worst", 2)]


def test_the_largest_structures_missed_come_first_with_the_score_they_had() -> None:
    small = frame("thorax", [heart((10, 10, 20, 20))])
    large = frame("thorax", [heart(HERE)], detections(("heart", 0.2, HERE)))
    assert [(one.kind, one.frame, one.score) for one in chosen([small, large])] == [
        ("missed", 1, 0.2),
        ("missed", 0, None),
    ]


def test_drawn_where_it_is_known_to_be_absent_is_shown_by_its_score() -> None:
    weak = frame("thorax", [], detections(("heart", 0.4, HERE)))
    strong = frame("thorax", [], detections(("heart", 0.8, HERE)))
    unknown = frame("thorax", [], detections(("heart", 0.9, HERE)), known=["spine"])
    crowd = frame("thorax", [present("heart", HERE, rectangle(HERE), crowd=True)], detections(("heart", 0.9, HERE)))
    assert [(one.kind, one.frame) for one in chosen([weak, unknown, crowd, strong])] == [("false", 3), ("false", 0)]


def test_without_masks_the_iou_of_boxes_decides() -> None:
    frames = [
        frame("thorax", [present("heart", HERE)], detections(("heart", 0.9, box), masks=False))
        for box in ((10.0, 10.0, 50.0, 30.0), HERE)
    ]
    best, worst = chosen(frames)
    assert (best.frame, best.overlap, best.measure) == (1, 1, "box IoU")
    assert (worst.frame, worst.overlap) == (0, 0.5)  # half of the box


def test_a_structure_that_the_system_does_not_know_is_not_shown() -> None:
    frames = [frame("thorax", [heart(HERE)])]
    assert choose_frames(frames, set_of(frames), {}) == []


def test_overlaps_of_other_frames_are_refused() -> None:
    frames = [found(10), found(20)]
    with pytest.raises(ValueError, match="overlaps of 1 frames; expected 2"):
        choose_frames(frames, set_of(frames), overlaps(frames[:1]))


def on_disk(frames: Sequence[ScoredFrame], folder: Path) -> list[ScoredFrame]:
    """The frames with an image file each, grey noise."""
    written = []
    for number, one in enumerate(frames):
        path = folder / f"{number}.png"
        pixels = np.random.default_rng(number).integers(0, 255, (HEIGHT, WIDTH), np.uint8)
        cv2.imwrite(str(path), pixels)
        written.append(replace(one, image=replace(one.image, id=number, path=path)))
    return written


def test_every_structure_keeps_its_first_of_a_kind_before_any_gets_a_second(tmp_path: Path) -> None:
    frames = on_disk([found(40), found(30), found(20), found(10)], tmp_path)
    gallery = make_gallery(frames, set_of(frames), overlaps(frames), most=3)
    assert [(one.kind, one.image) for one in gallery.pictures] == [("best", 0), ("best", 1), ("worst", 3)]
    assert gallery.left_out == 1
    assert gallery.pictures[0].file_name == "0.png"
    assert gallery.pictures[0].view == "thorax"


def test_an_image_that_cannot_be_read_is_counted() -> None:
    frames = [found(40)]  # their files aren't there
    gallery = make_gallery(frames, set_of(frames), overlaps(frames))
    assert (gallery.pictures, gallery.unreadable) == ((), 1)


def decoded(jpeg: bytes) -> np.ndarray:
    return cv2.cvtColor(cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB).astype(int)


def test_a_picture_shows_the_part_around_the_structure() -> None:
    frames = [found(40)]
    pixels = np.full((HEIGHT, WIDTH), 100, np.uint8)
    drawn = draw_picture(pixels, frames[0], HEART, set_of(frames).structures)
    # 40 of 100 rows with 1.7 times the context are 0.68 of the frame: 82 of 120 columns.
    assert drawn.zoom == pytest.approx(SIDE / 82)
    assert (drawn.width, drawn.height) == (SIDE, round(68 * SIDE / 82))
    assert decoded(drawn.jpeg).shape == (drawn.height, drawn.width, 3)


def test_what_was_found_is_tinted_and_the_annotation_is_a_white_line() -> None:
    apart = frame("thorax", [heart(HERE)], detections(("heart", 0.9, THERE)))
    pixels = np.full((HEIGHT, WIDTH), 100, np.uint8)
    drawn = draw_picture(pixels, apart, HEART, set_of([apart]).structures)
    picture = decoded(drawn.jpeg)
    assert (drawn.width, drawn.height) == (SIDE, round(HEIGHT * SIDE / WIDTH))  # they lie apart: the whole frame
    tinted = picture[round(75 * drawn.zoom), round(90 * drawn.zoom)]  # a quarter of the heart's colour
    assert tinted == pytest.approx(0.75 * 100 + 0.25 * np.array(structure("heart").color), abs=8)
    assert picture[round(30 * drawn.zoom), round(30 * drawn.zoom)] == pytest.approx(100, abs=8)
    edge = picture[round(10 * drawn.zoom) - 1 : round(10 * drawn.zoom) + 2, round(12 * drawn.zoom) : 150]
    assert edge.max() > 200
    assert (pixels == 100).all()


def test_boxes_are_drawn_where_there_are_no_masks() -> None:
    boxes = frame("thorax", [present("heart", HERE)], detections(("heart", 0.9, THERE), masks=False))
    drawn = draw_picture(np.zeros((HEIGHT, WIDTH), np.uint8), boxes, HEART, set_of([boxes]).structures)
    picture = decoded(drawn.jpeg)
    red = picture[:, :, 0] - picture[:, :, 1]
    rows, columns = np.nonzero(red > 60)
    corners = [columns.min(), rows.min(), columns.max(), rows.max()]
    assert corners == pytest.approx(np.array(THERE) * drawn.zoom, abs=3)
    assert picture[round(30 * drawn.zoom), round(10 * drawn.zoom) - 3 : round(10 * drawn.zoom) + 3].max() > 150


def test_a_picture_of_pure_noise_stays_small() -> None:
    noise = np.random.default_rng(0).integers(0, 255, (HEIGHT * 8, WIDTH * 8, 3), np.uint8)
    empty = frame("thorax")
    large = replace(empty, image=replace(empty.image, height=HEIGHT * 8, width=WIDTH * 8))
    drawn = draw_picture(noise, large, HEART, set_of([empty]).structures)
    assert len(drawn.jpeg) <= MAX_BYTES
    assert drawn.zoom == pytest.approx(SIDE / (WIDTH * 8))
