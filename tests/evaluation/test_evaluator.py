"""The rules of scoring: partial labels, boxes without masks, the best detection."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fetalseg.anatomy import structure, structure_names
from fetalseg.data.records import Annotation, CocoSet, ImageRecord
from fetalseg.errors import DataError
from fetalseg.evaluation.evaluator import Evaluation, Evaluator
from fetalseg.instances import Instances

HEIGHT, WIDTH = 100, 120
Box = tuple[int, int, int, int]  # x1, y1, x2, y2


def found(*rows: tuple[str, float, Box]) -> Instances:
    """Instances whose masks fill their boxes."""
    boxes = np.array([box for *_, box in rows], np.int64).reshape(-1, 4)
    return Instances(
        labels=np.array([structure(name).label for name, *_ in rows], np.int64),
        scores=np.array([score for _, score, _ in rows], np.float32),
        boxes=boxes.astype(np.float32),
        crops=[np.ones((y2 - y1, x2 - x1), np.bool_) for x1, y1, x2, y2 in boxes.tolist()],
        crop_boxes=boxes,
        frame_shape=(HEIGHT, WIDTH),
    )


def annotation(name: str, box: Box, *, mask: bool = False, crowd: bool = False) -> Annotation:
    x1, y1, x2, y2 = box
    polygon = [[float(v) for v in (x1, y1, x2, y1, x2, y2, x1, y2)]] if mask else None
    return Annotation(0, structure(name).label, (x1, y1, x2 - x1, y2 - y1), polygon, crowd)


def image(number: int, *annotations: Annotation, known: tuple[str, ...] = structure_names()) -> ImageRecord:
    labels = frozenset(structure(name).label for name in known)
    return ImageRecord(number, Path(f"{number}.png"), HEIGHT, WIDTH, labels, annotations)


def evaluate(*frames: tuple[ImageRecord, Instances], category_ids: dict[int, int] | None = None) -> Evaluation:
    ids = category_ids or {label: label + 1 for label in range(17)}
    evaluator = Evaluator(CocoSet(Path("instances.json"), "", "", ids, tuple(image for image, _ in frames)))
    for truth_image, instances in frames:
        evaluator.process(truth_image, instances)
    return evaluator.evaluate()


def scored(truth: CocoSet, model: tuple[str, ...], label: int) -> Evaluation:
    """A model that finds HEAD in each frame, under one label."""
    evaluator = Evaluator(truth, model)
    for record in truth.images:
        instances = replace(found(("cranium", 0.9, HEAD)), labels=np.array([label]), structures=model)
        evaluator.process(record, instances)
    return evaluator.evaluate()


HEAD: Box = (10, 10, 60, 60)
ASIDE: Box = (70, 70, 90, 90)


def test_masks_and_boxes_are_scored_apart() -> None:
    # The box is right; the mask of the truth is its left half: IoU 0.5 by mask, reached at one of ten thresholds.
    half = Annotation(0, 0, (10, 10, 50, 50), [[10, 10, 35, 10, 35, 60, 10, 60]], False)
    result = evaluate((image(1, half), found(("cranium", 0.9, HEAD)))).structures["cranium"]
    assert result.box.ap == pytest.approx(1)
    assert result.mask is not None
    assert (result.mask.ap50, result.mask.ap) == pytest.approx((1, 0.1))
    assert result.dice == pytest.approx(2 * 1250 / (2500 + 1250))


def test_what_is_not_listed_in_a_frame_is_dropped_there_and_only_there() -> None:
    truth = image(1, annotation("cranium", HEAD))
    right = found(("cranium", 0.5, HEAD))
    false = found(("cranium", 0.9, ASIDE))
    unlisted = image(2, known=("palate",))
    listed = image(2, known=("palate", "cranium"))
    assert evaluate((truth, right), (unlisted, false)).structures["cranium"].box.ap50 == pytest.approx(1)
    # Listed and absent: the false detection stands above the right one, precision 1/2 at all recall points.
    assert evaluate((truth, right), (listed, false)).structures["cranium"].box.ap50 == pytest.approx(0.5)


def test_dropping_comes_after_the_cut_at_100_detections() -> None:
    # 100 better detections of a structure that isn't listed fill the frame, though none of them is scored.
    crowd_out = found(*[("palate", 0.9, ASIDE)] * 100, ("cranium", 0.5, HEAD))
    truth = image(1, annotation("cranium", HEAD), known=("cranium",))
    assert evaluate((truth, crowd_out)).structures["cranium"].box.ap50 == 0


def test_a_set_without_masks_has_no_figure_by_mask() -> None:
    result = evaluate((image(1, annotation("cranium", HEAD)), found(("cranium", 0.9, HEAD))))
    assert result.mask is None
    assert result.structures["cranium"].mask is None
    assert result.structures["cranium"].dice is None
    assert result.mask_results == []
    assert result.box.ap50 == pytest.approx(1)


def test_a_structure_is_scored_by_mask_only_in_frames_where_all_of_it_has_masks() -> None:
    first = image(1, annotation("hand", HEAD, mask=True))
    second = image(2, annotation("hand", HEAD, mask=True), annotation("hand", ASIDE))
    right = found(("hand", 0.5, HEAD))
    false = found(("hand", 0.9, (80, 10, 100, 30)))
    hand = evaluate((first, right), (second, false)).structures["hand"]
    # By box 1 of 3 annotations is found, below a false one: precision 1/2 up to recall 1/3, which is 34 points.
    assert hand.box.ap50 == pytest.approx(0.5 * 34 / 101)
    assert hand.support == 3
    # By mask the second frame is left out, with its false detection.
    assert hand.mask is not None
    assert (hand.mask.ap50, hand.mask.n) == pytest.approx((1, 1))


def test_absence_counts_by_mask_as_well() -> None:
    frames = (image(1, annotation("hand", HEAD, mask=True)), image(2))
    right, false = found(("hand", 0.5, HEAD)), found(("hand", 0.9, HEAD))
    hand = evaluate((frames[0], right), (frames[1], false)).structures["hand"]
    assert hand.mask is not None
    assert hand.mask.ap50 == pytest.approx(0.5)


def test_a_structure_with_boxes_alone_has_no_figure_by_mask_in_a_set_with_masks() -> None:
    truth = image(1, annotation("cranium", HEAD, mask=True), annotation("palate", ASIDE))
    result = evaluate((truth, found(("cranium", 0.9, HEAD), ("palate", 0.9, ASIDE))))
    palate = result.structures["palate"]
    assert palate.mask is not None
    assert (palate.mask.ap50, palate.mask.n, palate.dice) == (None, 0, None)
    assert (result.box.n, result.mask.n if result.mask else None) == (2, 1)


def test_a_structure_without_ground_truth_is_out_of_the_mean() -> None:
    result = evaluate((image(1, annotation("cranium", HEAD)), found(("cranium", 0.9, HEAD), ("heart", 0.9, HEAD))))
    heart = result.structures["heart"]
    assert (heart.support, heart.box.ap50, heart.centre_hit) == (0, None, None)
    assert (result.box.n, result.box.ap50) == (1, pytest.approx(1))
    assert list(result.structures) == list(structure_names())


def test_nothing_found_scores_zero_and_nothing_annotated_scores_nothing() -> None:
    missed = evaluate((image(1, annotation("cranium", HEAD, mask=True)), found()))
    cranium = missed.structures["cranium"]
    assert (cranium.box.ap50, cranium.centre_hit, cranium.dice) == (0, 0, 0)
    empty = evaluate((image(1), found()))
    assert (empty.box.ap50, empty.box.n, empty.mask, empty.frames) == (None, 0, None, 1)


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        # The centre of 50..80 x 20..40 is 65, 30: outside; that of 40..70 is 55: inside.
        ([("cranium", 0.9, (50, 20, 80, 40))], 0),
        ([("cranium", 0.9, (40, 20, 70, 40))], 1),
        ([("cranium", 0.9, ASIDE), ("cranium", 0.8, HEAD)], 0),
        ([("cranium", 0.29, HEAD)], 0),
        ([("cranium", 0.3, HEAD)], 1),
        ([("palate", 0.9, HEAD)], 0),
    ],
    ids=["beside", "inside", "only the best counts", "below 0.3", "at 0.3", "another structure"],
)
def test_the_centre_of_the_best_detection_hits_or_misses(rows: list[tuple[str, float, Box]], expected: int) -> None:
    result = evaluate((image(1, annotation("cranium", HEAD)), found(*rows)))
    assert result.structures["cranium"].centre_hit == expected


def test_one_detection_may_hit_any_of_several_annotations() -> None:
    truth = image(1, annotation("hand", ASIDE), annotation("hand", HEAD))
    result = evaluate((truth, found(("hand", 0.9, HEAD))), (image(2, annotation("hand", HEAD)), found()))
    hand = result.structures["hand"]
    assert (hand.centre_hit, hand.frames, hand.support) == (0.5, 2, 3)


def test_crowds_are_neither_found_nor_missed() -> None:
    crowd = annotation("hand", HEAD, crowd=True)
    only = evaluate((image(1, crowd), found(("hand", 0.9, (20, 20, 40, 40))))).structures["hand"]
    assert (only.support, only.frames, only.box.ap50) == (0, 0, None)
    beside = evaluate((image(1, crowd, annotation("hand", ASIDE)), found(("hand", 0.9, HEAD), ("hand", 0.5, ASIDE))))
    assert beside.structures["hand"].box.ap50 == pytest.approx(1)


def test_results_carry_the_ids_of_the_file_and_masks_carry_no_box() -> None:
    truth = image(8, annotation("cranium", HEAD, mask=True))
    result = evaluate((truth, found(("cranium", 0.5, HEAD))), category_ids={label: 100 - label for label in range(17)})
    assert result.box_results == [{"image_id": 8, "category_id": 100, "bbox": [10, 10, 50, 50], "score": 0.5}]
    (mask,) = result.mask_results
    assert mask.keys() == {"image_id", "category_id", "segmentation", "score"}
    assert mask["segmentation"]["size"] == [HEIGHT, WIDTH]


def test_a_frame_is_processed_once() -> None:
    truth = image(1, annotation("cranium", HEAD))
    evaluator = Evaluator(CocoSet(Path("instances.json"), "", "", {label: label + 1 for label in range(17)}, (truth,)))
    evaluator.process(truth, found())
    with pytest.raises(ValueError, match="image 1 was processed before"):
        evaluator.process(truth, found())


def test_instances_of_another_size_are_refused() -> None:
    with pytest.raises(ValueError, match=r"instances of a frame \(50, 50\); expected \(100, 120\)"):
        evaluate((image(1), Instances.empty((50, 50))))


def test_an_empty_mask_names_its_annotation() -> None:
    broken = Annotation(77, 0, (10, 10, 50, 50), {"size": [HEIGHT, WIDTH], "counts": [HEIGHT * WIDTH]}, False)
    with pytest.raises(DataError, match="annotation 77"):
        evaluate((image(1, broken), found(("cranium", 0.9, HEAD))))


OWN = ("yolk sac", "cord", "cyst")


def own_set(*images: ImageRecord) -> CocoSet:
    return CocoSet(Path("own.json"), "", "", {0: 70, 1: 4, 2: 5}, images, OWN)


def test_a_taxonomy_of_its_own_is_scored_by_its_names_and_ids() -> None:
    truth = own_set(ImageRecord(1, Path("1.png"), HEIGHT, WIDTH, frozenset({0, 1}), (annotation("cranium", HEAD),)))
    result = scored(truth, OWN, 0)
    assert list(result.structures) == list(OWN)
    assert result.structures["yolk sac"].box.ap50 == pytest.approx(1)
    assert [record["category_id"] for record in result.box_results] == [70]
    assert result.unknown == ()


def test_structures_are_matched_by_name_whatever_their_order() -> None:
    truth = own_set(ImageRecord(1, Path("1.png"), HEIGHT, WIDTH, frozenset({0, 1, 2}), (annotation("cranium", HEAD),)))
    # The model has another order, lacks the cyst, and finds a heart besides.
    model = ("heart", "cord", "yolk sac")
    right = scored(truth, model, 2)
    assert list(right.structures) == list(model)
    assert right.structures["yolk sac"].box.ap50 == pytest.approx(1)
    wrong = scored(truth, model, 1)
    assert wrong.structures["yolk sac"].box.ap50 == 0
    # A heart is not labelled in this set: finding one is neither right nor wrong.
    other = scored(truth, model, 0)
    assert other.structures["heart"].support == 0
    assert other.box_results == []


def test_what_the_model_does_not_know_is_named_and_not_scored() -> None:
    cyst = Annotation(2, 2, (70, 70, 20, 20), None, False)
    record = ImageRecord(1, Path("1.png"), HEIGHT, WIDTH, frozenset({0, 2}), (annotation("cranium", HEAD), cyst))
    result = scored(own_set(record), ("yolk sac", "cord"), 0)
    assert result.unknown == ("cyst",)
    assert (result.box.ap50, result.box.n) == (pytest.approx(1), 1)


def test_a_model_that_shares_no_structure_with_the_set_is_refused() -> None:
    with pytest.raises(DataError, match=r"own.json: nothing to evaluate: the set has yolk sac, cord, cyst; the model "):
        Evaluator(own_set(image(1)), structure_names())


def test_a_subset_of_the_seventeen_and_a_model_without_any_of_them_share_nothing() -> None:
    truth = CocoSet(Path("nt.json"), "", "", {5: 6}, (image(1),))
    with pytest.raises(DataError, match="the set has nuchal_translucency; the model finds cranium, yolk sac"):
        Evaluator(truth, ("cranium", "yolk sac"))


def test_instances_of_other_structures_than_announced_are_refused() -> None:
    evaluator = Evaluator(own_set(image(1)), OWN)
    with pytest.raises(ValueError, match=r"instances of cranium, .*; expected yolk sac, cord, cyst"):
        evaluator.process(image(1), found(("cranium", 0.9, HEAD)))
