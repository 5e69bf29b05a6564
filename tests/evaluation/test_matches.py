"""Matching and counting: equal to pycocotools used directly, to the last bit."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
import pycocotools.mask as coco_mask
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from fetalseg.data.records import Annotation, CocoSet, ImageRecord
from fetalseg.evaluation.matches import AREAS, IOU_THRESHOLDS, match_all
from fetalseg.evaluation.precision import average_precision, average_recall, precision_recall
from fetalseg.evaluation.scored_frames import Detections, ScoredFrame

SIDE = 220
STRUCTURES = ("cord", "cyst", "yolk sac")
CATEGORIES = (4, 9, 12)


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
