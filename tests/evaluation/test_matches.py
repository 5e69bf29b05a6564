"""Matching and counting: equal to pycocotools used directly, to the last bit."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pycocotools.mask as coco_mask
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from fetalseg.data.records import Annotation, CocoSet, ImageRecord
from fetalseg.errors import DataError
from fetalseg.evaluation.matches import AREAS, IOU_THRESHOLDS, Kind, Matches, match_all
from fetalseg.evaluation.precision import average_precision, average_recall, precision_recall
from fetalseg.evaluation.reference_matching import match_by_reference
from fetalseg.evaluation.scored_frames import Detections, ScoredFrame

SIDE = 220
STRUCTURES = ("cord", "cyst", "yolk sac")
CATEGORIES = (4, 9, 12)


Box = tuple[float, float, float, float]  # x1, y1, x2, y2


def filled(box: Box) -> Any:
    """A mask that fills its box."""
    x1, y1, x2, y2 = map(int, box)
    mask = np.zeros((SIDE, SIDE), np.uint8, order="F")
    mask[y1:y2, x1:x2] = 1
    return coco_mask.encode(mask)


def annotation(box: Box, label: int = 0, *, mask: bool = True, crowd: bool = False) -> Annotation:
    x1, y1, x2, y2 = box
    return Annotation(7, label, (x1, y1, x2 - x1, y2 - y1), filled(box) if mask else None, crowd)


def frame(
    number: int,
    annotations: list[Annotation],
    found: list[tuple[float, Box]],
    known: tuple[int, ...] = (0, 1, 2),
    *,
    masks: bool = True,
) -> ScoredFrame:
    """A frame in which structure 0 is found."""
    image = ImageRecord(number, Path(f"{number}.png"), SIDE, SIDE, frozenset(known), tuple(annotations))
    detections = Detections(
        labels=np.zeros(len(found), np.int64),
        scores=np.array([score for score, _ in found], np.float64),
        boxes=np.array([box for _, box in found], np.float64).reshape(-1, 4),
        masks=tuple(filled(box) for _, box in found) if masks else None,
    )
    return ScoredFrame(image, detections)


def random_frame(number: int, generator: np.random.Generator) -> ScoredFrame:
    """Shaken copies of the truth and chance detections, of all sizes, with crowds and equal scores."""
    annotations: list[Annotation] = []
    rows: list[tuple[int, float, Any, Any]] = []
    for label in range(len(STRUCTURES)):
        for _ in range(generator.integers(0, 4)):
            x, y, w, h = generator.integers([0, 0, 8, 8], [100, 100, 120, 120]).tolist()
            mask = np.zeros((SIDE, SIDE), np.uint8, order="F")
            mask[y : y + h, x : x + w] = 1
            mask[y : y + h // 3, x : x + w // 3] = 0
            rle = coco_mask.encode(mask)
            crowd = bool(generator.random() < 0.1)
            annotations.append(Annotation(number * 100 + len(annotations), label, (x, y, w, h), rle, crowd))
            if generator.random() < 0.8:
                shift = int(generator.integers(-6, 7))
                moved = coco_mask.encode(np.asfortranarray(np.roll(mask, shift, axis=1)))
                rows.append((label, round(float(generator.random()), 1), (x + shift, y, x + shift + w, y + h), moved))
            rows.append((1, round(float(generator.random()), 1), (x, y, x + w, y + h), rle))
    rows.sort(key=lambda row: -row[1])
    found = Detections(
        labels=np.array([label for label, *_ in rows], np.int64),
        scores=np.array([score for _, score, *_ in rows], np.float64),
        boxes=np.array([box for *_, box, _ in rows], np.float64).reshape(-1, 4),
        masks=tuple(mask for *_, mask in rows),
    )
    image = ImageRecord(number, Path(f"{number}.png"), SIDE, SIDE, frozenset(range(3)), tuple(annotations))
    return ScoredFrame(image, found)


def random_frames() -> list[ScoredFrame]:
    generator = np.random.default_rng(7)
    return [random_frame(number, generator) for number in range(40)]


def set_of(frames: list[ScoredFrame]) -> CocoSet:
    return CocoSet(
        Path("own.json"), "", "", dict(enumerate(CATEGORIES)), tuple(frame.image for frame in frames), STRUCTURES
    )


def used_directly(frames: list[ScoredFrame], kind: Literal["bbox", "segm"]) -> COCOeval:
    """What a script of one's own would do with the files."""
    annotations = [
        {
            "id": a.id + 1,
            "image_id": frame.image.id,
            "category_id": CATEGORIES[a.label],
            "bbox": list(a.bbox),
            "segmentation": a.segmentation,
            "area": float(coco_mask.area(a.segmentation)),
            "iscrowd": int(a.crowd),
        }
        for frame in frames
        for a in frame.image.annotations
    ]
    results: list[dict[str, Any]] = []
    for frame in frames:
        assert frame.found.masks is not None
        columns = (frame.found.labels.tolist(), frame.found.scores.tolist(), frame.found.boxes.tolist())
        for label, score, (x1, y1, x2, y2), mask in zip(*columns, frame.found.masks, strict=True):
            shape = {"bbox": [x1, y1, x2 - x1, y2 - y1]} if kind == "bbox" else {"segmentation": mask}
            results.append({"image_id": frame.image.id, "category_id": CATEGORIES[label], "score": score, **shape})
    direct = COCO()
    direct.dataset = {
        "images": [{"id": frame.image.id, "height": SIDE, "width": SIDE} for frame in frames],
        "annotations": annotations,
        "categories": [{"id": number, "name": str(number)} for number in CATEGORIES],
    }
    direct.createIndex()
    evaluation = COCOeval(direct, direct.loadRes(results), kind)
    evaluation.evaluate()
    evaluation.accumulate()
    return evaluation


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("kind", ["bbox", "segm"])
def test_the_reference_finds_the_same_matches(kind: Literal["bbox", "segm"], seed: int) -> None:
    generator = np.random.default_rng(seed)
    frames = [random_frame(number, generator) for number in generator.permutation(30).tolist()]
    frames.append(frame(30, [annotation((0, 0, 40, 40))], [(0.9, (0, 0, 40, 40)), (0.8, (0, 0, 40, 39))], known=(1,)))
    frames.append(frame(31, [], []))
    own, reference = match_all(frames, set_of(frames), kind), match_by_reference(frames, set_of(frames), kind)
    assert own.keys() == reference.keys()
    for label, found in own.items():
        expected = reference[label]
        assert found.matched.any()
        for column in fields(Matches):
            values, theirs = getattr(found, column.name), getattr(expected, column.name)
            assert (column.name, values.dtype) == (column.name, theirs.dtype)
            assert np.array_equal(values, theirs)


@pytest.mark.parametrize("kind", ["bbox", "segm"])
def test_every_number_of_pycocotools_comes_out_to_the_last_bit(kind: Literal["bbox", "segm"]) -> None:
    frames = random_frames()
    expected = used_directly(frames, kind)
    assert expected.params.areaRngLbl == list(AREAS)
    assert np.array_equal(expected.params.iouThrs, IOU_THRESHOLDS)
    matches = match_all(frames, set_of(frames), kind)
    for label in range(len(STRUCTURES)):
        for area in range(len(AREAS)):
            for place, most in enumerate((1, 10, 100)):
                curve = precision_recall(matches[label], area, max_detections=most)
                precision = expected.eval["precision"][:, :, label, area, place]
                assert np.array_equal(curve.precision, precision)
                assert np.array_equal(curve.scores, expected.eval["scores"][:, :, label, area, place])
                assert np.array_equal(curve.recall, expected.eval["recall"][:, label, area, place])
        figures = average_precision(matches[label])
        whole = expected.eval["precision"][:, :, label, 0, 2]
        assert figures.ap == np.mean(whole[whole > -1])
        assert figures.ap50 == np.mean(np.ascontiguousarray(whole[0]))
        assert figures.ap75 == np.mean(np.ascontiguousarray(whole[5]))
        assert average_recall(matches[label], max_detections=10) == np.mean(
            np.ascontiguousarray(expected.eval["recall"][:, label, 0, 1])
        )


@pytest.mark.parametrize("kind", ["bbox", "segm"])
def test_the_order_of_the_frames_changes_nothing(kind: Literal["bbox", "segm"]) -> None:
    frames = random_frames()
    in_order = match_all(frames, set_of(frames), kind)
    reverse = match_all(frames[::-1], set_of(frames), kind)
    for label in range(len(STRUCTURES)):
        assert np.array_equal(precision_recall(in_order[label]).precision, precision_recall(reverse[label]).precision)
        assert np.array_equal(in_order[label].positives, reverse[label].positives[:, ::-1])
        assert np.array_equal(in_order[label].frames, len(frames) - 1 - reverse[label].frames)


def match(*frames: ScoredFrame, kind: Kind = "bbox") -> Matches:
    return match_all(list(frames), set_of(list(frames)), kind)[0]


WHOLE: Box = (0, 0, 20, 20)
PART: Box = (0, 0, 20, 12)  # IoU 240 / 400 = 0.6
ASIDE: Box = (100, 100, 120, 120)


@pytest.mark.parametrize("kind", ["bbox", "segm"])
def test_an_overlap_of_0_6_matches_at_three_of_ten_thresholds(kind: Kind) -> None:
    found = match(frame(1, [annotation(WHOLE)], [(0.9, PART)]), kind=kind)
    assert found.matched[0, :, 0].tolist() == [True] * 3 + [False] * 7
    assert not found.ignored[0].any()
    assert found.positives[0].tolist() == [1]


def test_every_frame_of_the_sequence_has_its_place() -> None:
    frames = (
        frame(1, [], []),
        frame(2, [annotation(WHOLE), annotation(ASIDE)], [(0.9, PART), (0.5, ASIDE)]),
        frame(3, [], [(0.7, WHOLE)]),
    )
    found = match(*frames)
    assert found.scores.tolist() == [0.9, 0.5, 0.7]
    assert found.frames.tolist() == [1, 1, 2]
    assert found.ranks.tolist() == [0, 1, 0]
    assert found.positives[0].tolist() == [0, 2, 0]
    assert found.matched[0, 0].tolist() == [True, True, False]


def test_what_is_found_in_a_crowd_is_ignored() -> None:
    truths = [annotation(WHOLE), annotation((50, 50, 150, 150), crowd=True)]
    found = match(frame(1, truths, [(0.95, (60, 60, 80, 80)), (0.9, WHOLE)]))
    assert found.ignored[0, 0].tolist() == [True, False]
    assert found.positives[0].tolist() == [1]


def test_a_size_is_that_of_the_mask_also_where_boxes_are_matched() -> None:
    # The box of 40 x 40 is of medium size, its mask of 400 px is small.
    thin = Annotation(7, 0, (0, 0, 40, 40), filled(WHOLE), False)
    found = match(frame(1, [thin], [(0.9, (0, 0, 40, 40))]))
    assert found.positives[:, 0].tolist() == [1, 1, 0, 0]
    assert found.ignored[:, 0, 0].tolist() == [False, False, True, True]
    alone = match(frame(1, [annotation((0, 0, 40, 40), mask=False)], []))
    assert alone.positives[:, 0].tolist() == [1, 0, 1, 0]


def test_frames_that_do_not_list_a_structure_are_left_out() -> None:
    found = match(frame(1, [annotation(WHOLE)], [(0.5, WHOLE)]), frame(2, [], [(0.9, WHOLE)], known=(1,)))
    assert found.frames.tolist() == [0]


def test_frames_with_a_box_alone_are_left_out_by_mask() -> None:
    frames = (
        frame(1, [annotation(WHOLE), annotation(ASIDE, mask=False)], [(0.5, WHOLE)]),
        frame(2, [annotation(WHOLE), annotation(ASIDE, 1, mask=False)], [(0.9, WHOLE)]),
        frame(3, [], [(0.8, WHOLE)]),
    )
    found = match(*frames, kind="segm")
    assert found.frames.tolist() == [1, 2]
    assert found.positives[0].tolist() == [0, 1, 0]
    assert match(*frames).positives[0].tolist() == [2, 1, 0]


def test_nothing_found_and_nothing_there_have_the_right_shapes() -> None:
    found = match(frame(1, [], []), frame(2, [], []))
    assert (len(found), found.matched.shape, found.positives.shape) == (0, (4, 10, 0), (4, 2))
    assert found.ranks.shape == (0,)


def test_boxes_alone_cannot_be_scored_by_mask() -> None:
    with pytest.raises(ValueError, match="image 5: the detections have no masks to score"):
        match(frame(5, [annotation(WHOLE)], [(0.9, WHOLE)], masks=False), kind="segm")


def test_an_annotation_whose_mask_is_empty_is_named() -> None:
    empty = Annotation(77, 0, (0, 0, 20, 20), {"size": [SIDE, SIDE], "counts": [SIDE * SIDE]}, False)
    with pytest.raises(DataError, match="annotation 77: the segmentation covers no pixel"):
        match(frame(1, [empty], []))


def test_pycocotools_prints_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    match(frame(1, [annotation(WHOLE)], [(0.9, WHOLE)]))
    assert capsys.readouterr().out == ""


def test_by_boundary_the_lower_overlap_decides() -> None:
    # 140 x 140 against the same moved by 4: mask IoU 136/144 = 0.944. The frame's diagonal is 311 px, so that bands are
    # 6 px wide and hold 140^2 - 128^2 = 3216 px. Both squares hold 136 * 140 = 19040 px, and at least one of their
    # insides 2 * 128^2 - 124 * 128 = 16896 of them, so that 2144 px are in both bands: 2144 / (2 * 3216 - 2144) = 0.5.
    moved: Box = (14, 10, 154, 150)
    one = frame(1, [annotation((10, 10, 150, 150))], [(0.9, moved)])
    assert match(one, kind="segm").matched[0, :, 0].sum() == 9
    assert match(one, kind="boundary").matched[0, :, 0].tolist() == [True] + [False] * 9


def test_by_boundary_small_masks_are_scored_as_by_mask() -> None:
    # Bands of 6 px fill masks of less than 13 px.
    one = frame(1, [annotation((10, 10, 22, 22))], [(0.9, (10, 10, 22, 19))])
    assert np.array_equal(match(one, kind="boundary").matched, match(one, kind="segm").matched)


def test_by_boundary_crowds_are_ignored_as_by_mask() -> None:
    one = frame(1, [annotation((10, 10, 150, 150), crowd=True)], [(0.9, (10, 10, 150, 150))])
    assert match(one, kind="boundary").ignored[0, 0].tolist() == [True]
