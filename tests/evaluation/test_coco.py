"""Average precision: numbers worked out by hand, and equality with pycocotools used directly."""

from __future__ import annotations

from dataclasses import astuple

import numpy as np
import pycocotools.mask as coco_mask
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from fetalseg.data.records import Annotation
from fetalseg.errors import DataError
from fetalseg.evaluation.coco import AveragePrecision, average_precision, mask_iou, mean_precision, truth_mask


def truth(image: int, bbox: list[float], *, category: int = 1, crowd: int = 0) -> dict[str, object]:
    return {"image_id": image, "category_id": category, "bbox": bbox, "iscrowd": crowd}


def result(image: int, bbox: list[float], score: float, *, category: int = 1) -> dict[str, object]:
    return {"image_id": image, "category_id": category, "bbox": bbox, "score": score}


def test_a_perfect_detection_has_an_average_precision_of_one() -> None:
    figures = average_precision([truth(1, [10, 10, 20, 20])], [result(1, [10, 10, 20, 20], 0.9)], "bbox")
    assert astuple(figures[1]) == pytest.approx((1, 1, 1, 1))


def test_one_false_detection_above_the_true_one_halves_it() -> None:
    # One annotation; precision after the false one is 0/1, after the true one 1/2 at recall 1: 1/2 at all 101 points.
    results = [result(1, [100, 100, 20, 20], 0.9), result(1, [10, 10, 20, 20], 0.8)]
    assert average_precision([truth(1, [10, 10, 20, 20])], results, "bbox")[1].ap50 == pytest.approx(0.5)


def test_a_false_detection_below_the_true_one_costs_nothing() -> None:
    results = [result(1, [100, 100, 20, 20], 0.1), result(1, [10, 10, 20, 20], 0.8)]
    assert average_precision([truth(1, [10, 10, 20, 20])], results, "bbox")[1].ap50 == pytest.approx(1.0)


def test_one_of_two_found_fills_51_of_101_recall_points() -> None:
    # Recall ends at 0.5, and the points 0.00, 0.01, ... 0.50 are 51.
    truths = [truth(1, [10, 10, 20, 20]), truth(2, [10, 10, 20, 20])]
    assert average_precision(truths, [result(1, [10, 10, 20, 20], 0.9)], "bbox")[1].ap50 == pytest.approx(51 / 101)


def test_an_overlap_of_0_6_counts_at_three_of_ten_thresholds() -> None:
    # 20 x 20 against 20 x 12 inside it: IoU 240/400 = 0.6, reached at 0.5, 0.55 and 0.6.
    figures = average_precision([truth(1, [0, 0, 20, 20])], [result(1, [0, 0, 20, 12], 0.9)], "bbox")[1]
    assert (figures.ap50, figures.ap75) == pytest.approx((1, 0))
    assert figures.ap == pytest.approx(0.3)


def test_only_the_hundred_best_detections_of_a_frame_count() -> None:
    wrong = [result(1, [100, 100, 20, 20], 0.9)] * 100
    assert average_precision([truth(1, [0, 0, 20, 20])], [*wrong, result(1, [0, 0, 20, 20], 0.5)], "bbox")[1].ap50 == 0


def test_a_structure_without_ground_truth_has_no_figure() -> None:
    results = [result(1, [0, 0, 20, 20], 0.9), result(1, [0, 0, 20, 20], 0.9, category=2)]
    assert list(average_precision([truth(1, [0, 0, 20, 20])], results, "bbox")) == [1]


def test_no_detection_at_all_is_a_figure_of_zero() -> None:
    assert average_precision([truth(1, [0, 0, 20, 20])], [], "bbox") == {1: AveragePrecision(0.0, 0.0, 0.0, 1)}


def test_no_ground_truth_at_all_gives_no_figure() -> None:
    assert average_precision([], [result(1, [0, 0, 20, 20], 0.9)], "bbox") == {}


def test_what_is_found_in_a_crowd_counts_neither_way() -> None:
    truths = [truth(1, [0, 0, 20, 20]), truth(1, [50, 50, 100, 100], crowd=1)]
    results = [result(1, [60, 60, 20, 20], 0.95), result(1, [0, 0, 20, 20], 0.9)]
    assert astuple(average_precision(truths, results, "bbox")[1]) == pytest.approx((1, 1, 1, 1))


def test_pycocotools_prints_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    average_precision([truth(1, [0, 0, 20, 20])], [result(1, [0, 0, 20, 20], 0.9)], "bbox")
    assert capsys.readouterr().out == ""


def random_set(kind: str) -> tuple[dict[str, object], list[dict[str, object]]]:
    """30 frames, 3 categories with ids 4, 9 and 12; detections are shaken copies of the truth and chance ones."""
    generator = np.random.default_rng(7)
    truths, results = [], []
    for image in range(30):
        for category in (4, 9, 12):
            for _ in range(generator.integers(0, 3)):
                x, y, w, h = box = generator.integers([0, 0, 10, 10], [60, 60, 40, 40]).tolist()
                mask = np.zeros((100, 100), np.uint8, order="F")
                mask[y : y + h, x : x + w] = 1
                area = float(w * h)
                rle = coco_mask.encode(mask)
                place = {"image_id": image, "category_id": category}
                truths.append(
                    {**place, "id": len(truths) + 1, "bbox": box, "iscrowd": 0, "area": area, "segmentation": rle}
                )
                if generator.random() < 0.8:
                    shift = generator.integers(-6, 7)
                    moved = np.asfortranarray(np.roll(mask, shift, axis=1))
                    found = {"bbox": [x + int(shift), y, w, h], "segmentation": coco_mask.encode(moved)}
                    results.append({**place, kind: found[kind], "score": float(generator.random())})
                results.append({**place, kind: truths[-1][kind], "category_id": 9, "score": float(generator.random())})
    images = [{"id": image, "height": 100, "width": 100} for image in range(30)]
    categories = [{"id": number, "name": str(number)} for number in (4, 9, 12)]
    return {"images": images, "annotations": truths, "categories": categories}, results


@pytest.mark.parametrize(("kind", "key"), [("bbox", "bbox"), ("segm", "segmentation")])
def test_figures_equal_those_of_pycocotools_used_directly(
    kind: str, key: str, capsys: pytest.CaptureFixture[str]
) -> None:
    dataset, results = random_set(key)
    direct = COCO()
    direct.dataset = dataset
    direct.createIndex()
    evaluation = COCOeval(direct, direct.loadRes([dict(r) for r in results]), kind)
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    ours = average_precision(dataset["annotations"], results, kind)
    mean = mean_precision(ours.values())
    assert (mean.ap, mean.ap50, mean.ap75) == pytest.approx(evaluation.stats[:3], abs=1e-12)
    assert 0.2 < mean.ap50 < 0.95  # neither trivially good nor bad
    for k, category in enumerate((4, 9, 12)):
        precision = evaluation.eval["precision"][:, :, k, 0, 2]
        assert ours[category].ap == pytest.approx(precision.mean(), abs=1e-12)


def test_the_mean_leaves_out_what_has_no_figure_and_says_its_n() -> None:
    figures = [
        AveragePrecision(0.2, 0.4, 0.1, 10),
        AveragePrecision(None, None, None, 0),
        AveragePrecision(0.4, 0.8, 0.3, 1),
    ]
    mean = mean_precision(figures)
    assert (mean.ap, mean.ap50, mean.ap75, mean.n) == (pytest.approx(0.3), pytest.approx(0.6), pytest.approx(0.2), 2)
    assert mean_precision([]) == AveragePrecision(None, None, None, 0)


def annotation(segmentation: object) -> Annotation:
    return Annotation(id=5, label=0, bbox=(1, 1, 2, 2), segmentation=segmentation, crowd=False)  # type: ignore[arg-type]


SQUARE = np.zeros((4, 6), np.uint8, order="F")
SQUARE[1:3, 2:4] = 1  # down the columns: 9 background, 2 square, 2 background, 2 square, 9 background


@pytest.mark.parametrize(
    "segmentation",
    [
        {"size": [4, 6], "counts": [9, 2, 2, 2, 9]},
        {"size": [4, 6], "counts": coco_mask.encode(SQUARE)["counts"]},
        {"size": [4, 6], "counts": coco_mask.encode(SQUARE)["counts"].decode()},
        [[2, 1, 4, 1, 4, 3, 2, 3]],
    ],
    ids=["run lengths", "compressed bytes", "compressed text", "polygon"],
)
def test_every_form_of_segmentation_is_read(segmentation: object) -> None:
    assert truth_mask(annotation(segmentation), 4, 6) == coco_mask.encode(SQUARE)


@pytest.mark.parametrize(
    "segmentation",
    [{"size": [4, 6], "counts": [24]}, [[2, 1, 2, 1, 2, 1]]],
    ids=["run lengths", "polygon"],
)
def test_a_segmentation_without_a_pixel_names_its_annotation(segmentation: object) -> None:
    with pytest.raises(DataError, match="annotation 5: the segmentation covers no pixel"):
        truth_mask(annotation(segmentation), 4, 6)


def test_runs_that_do_not_add_up_never_reach_pycocotools() -> None:
    with pytest.raises(ValueError, match="RLE covers 11 pixels, expected 4 x 6 = 24"):
        truth_mask(annotation({"size": [4, 6], "counts": [9, 2]}), 4, 6)


def test_iou_of_masks_is_intersection_over_union() -> None:
    shifted = np.roll(SQUARE, 1, axis=1)
    found, truths = coco_mask.encode(SQUARE), [coco_mask.encode(np.asfortranarray(m)) for m in (SQUARE, shifted)]
    assert mask_iou(found, truths) == pytest.approx([1.0, 2 / 6])
