"""The test part and the repeated splits: who goes where, and that nobody is on two sides."""

from collections import Counter
from pathlib import Path

import pytest

from fetalseg.data.protocol import repeated_splits
from fetalseg.data.records import CocoSet, ImageRecord
from fetalseg.errors import DataError

VIEWS = ("head", "neck", "thorax", "abdomen")


def make_set(count, *, patient=None, view=None, ids=None):
    """A set of `count` images without annotations; `patient` and `view` map a number to a word."""
    images = tuple(
        ImageRecord(
            id=i,
            path=Path(f"images/{i}.png"),
            height=40,
            width=60,
            known=frozenset(),
            annotations=(),
            patient=patient(i) if patient else None,
            view=view(i) if view else None,
        )
        for i in (range(count) if ids is None else ids)
    )
    return CocoSet(path=Path("made/instances.json"), sha256="", description="", category_ids={}, images=images)


def test_no_patient_is_in_two_parts_and_every_image_is_in_one():
    source = make_set(600, patient=lambda i: f"p{i * i % 100}")

    found = repeated_splits(source)

    assert found.unit == "patient"
    assert len(found.folds) == 5
    for train, validation in found.folds:
        assert sorted(found.test + train + validation) == list(range(600))
        patients = [{i * i % 100 for i in part} for part in (found.test, train, validation)]
        assert len(set.union(*patients)) == sum(map(len, patients))


def test_the_parts_have_their_shares_and_each_view_in_the_same_one():
    # 4 views of 100 single images: 5 % of each is 5, and 1 in 5 of the other 95 is 19.
    source = make_set(400, view=lambda i: VIEWS[i % 4])

    found = repeated_splits(source)

    assert found.unit == "image"
    assert Counter(VIEWS[i % 4] for i in found.test) == dict.fromkeys(VIEWS, 5)
    for train, validation in found.folds:
        assert Counter(VIEWS[i % 4] for i in validation) == dict.fromkeys(VIEWS, 19)
        assert Counter(VIEWS[i % 4] for i in train) == dict.fromkeys(VIEWS, 76)


def test_views_keep_their_shares_where_patients_have_several():
    # Patients of 4 to 7 images, views in turn.
    sizes = [4 + n % 4 for n in range(200)]
    owners = [n for n, size in enumerate(sizes) for _ in range(size)]
    source = make_set(len(owners), patient=lambda i: f"p{owners[i]}", view=lambda i: VIEWS[i % 4])

    found = repeated_splits(source)

    for part, share in ((found.test, 0.05), *((fold.validation, 0.95 * 0.2) for fold in found.folds)):
        counts = Counter(VIEWS[i % 4] for i in part)
        # Whole patients of up to two images a view come near to the shares, not onto them.
        assert all(abs(counts[view] - share * 275) <= 4 for view in VIEWS), counts


def test_folds_are_balanced_though_the_test_part_took_all_images_of_a_view():
    # One spine and 25 images of each other view. Of a spine, 0.6 are to be for testing, which is nearer to one than to
    # none; the other views leave 10 each, of which 2 are for validation.
    source = make_set(101, view=lambda i: "spine" if i == 100 else VIEWS[i % 4])

    found = repeated_splits(source, test_share=0.6)

    assert 100 in found.test
    for _, validation in found.folds:
        assert Counter(VIEWS[i % 4] for i in validation) == dict.fromkeys(VIEWS, 2)


def test_folds_differ_and_share_the_test_part():
    found = repeated_splits(make_set(200), repeats=5)

    assert len({fold.validation for fold in found.folds}) == 5
    # A repeated random split, not a k-fold one: some images are for validation twice.
    assert len({i for fold in found.folds for i in fold.validation}) < sum(len(f.validation) for f in found.folds)


def test_a_fold_does_not_depend_on_how_many_there_are():
    source = make_set(200)

    assert repeated_splits(source, repeats=2).folds == repeated_splits(source, repeats=5).folds[:2]


def test_the_result_depends_on_the_seed_and_not_on_the_order_of_the_file():
    source = make_set(200, patient=lambda i: f"p{i // 2}")
    turned = make_set(200, patient=lambda i: f"p{i // 2}", ids=range(199, -1, -1))

    found = repeated_splits(source, seed=3)

    assert found == repeated_splits(source, seed=3)
    assert set(repeated_splits(turned, seed=3).test) == set(found.test)
    assert repeated_splits(turned, seed=3).test == found.test[::-1]  # in the order of its file
    assert repeated_splits(source, seed=4).test != found.test


def test_other_groups_can_be_kept_together_and_images_without_one_stand_alone():
    source = make_set(100, patient=lambda i: f"p{i}")

    found = repeated_splits(source, groups={i: f"ward {i // 10}" for i in range(50)}, test_share=0.3)

    assert found.unit == "group or image"
    for part in (found.test, found.folds[0].train, found.folds[0].validation):
        named = Counter(i // 10 for i in part if i < 50)
        assert set(named.values()) <= {10}


def test_files_of_the_same_name_in_two_folders_are_two_images():
    first, second, third = make_set(3).images
    alike = [ImageRecord(**{**vars(image), "path": Path(f"{image.id}/a.png")}) for image in (first, second, third)]
    source = CocoSet(Path("made/instances.json"), "", "", {}, tuple(alike))

    found = repeated_splits(source)

    assert [len(found.test), *map(len, found.folds[0])] == [1, 1, 1]


def test_a_view_of_a_few_images_does_not_empty_the_test_part():
    # 5 % of 8 is 0.4 images of each of 6 views; of all 48 it is 2.4.
    source = make_set(48, view=lambda i: str(i % 6))

    assert len(repeated_splits(source).test) == 2


def test_without_a_test_share_all_images_are_split():
    found = repeated_splits(make_set(10), test_share=0)

    assert found.test == ()
    assert [len(part) for part in found.folds[0]] == [8, 2]


def test_too_few_patients_for_three_parts_are_an_error():
    source = make_set(10, patient=lambda i: f"p{i // 5}")

    with pytest.raises(DataError, match="test, training and validation need one patient each, got 2 altogether"):
        repeated_splits(source)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"repeats": 0}, "at least one split is needed, got 0"),
        ({"test_share": 1.0}, r"test share must lie in \[0, 1\), got 1.0"),
        ({"validation_share": 0.0}, r"validation share must lie in \(0, 1\), got 0.0"),
    ],
)
def test_numbers_out_of_range_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        repeated_splits(make_set(10), **options)
