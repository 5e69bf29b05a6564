"""Splits as folders: what is written can be trained on, is the same every time, and passes the check."""

import json

import pytest

from fetalseg.data.check import check_sets
from fetalseg.data.coco import read_coco
from fetalseg.data.protocol import repeated_splits
from fetalseg.data.split_files import read_groups, write_splits
from fetalseg.errors import DataError


@pytest.fixture
def source(write_set, content):
    images = [{"id": i, "file_name": f"{i}.png", "height": 40, "width": 60, "patient": f"p{i // 3}"} for i in range(30)]
    content["images"] = images
    content["annotations"] = [
        {"id": i, "image_id": i, "category_id": 1, "bbox": [5, 5, 20, 20], "iscrowd": 0} for i in range(30)
    ]
    return read_coco(write_set(content, "hospital"))


def test_every_part_is_a_set_of_its_own(source, tmp_path):
    splits = repeated_splits(source, repeats=2)

    write_splits(source, splits, tmp_path / "out", seed=0)

    parts = {
        "hospital-test": splits.test,
        "hospital-train-0": splits.folds[0].train,
        "hospital-validation-0": splits.folds[0].validation,
        "hospital-train-1": splits.folds[1].train,
        "hospital-validation-1": splits.folds[1].validation,
    }
    assert {path.name for path in (tmp_path / "out").iterdir()} == {*parts, "splits.json"}
    for name, ids in parts.items():
        part = read_coco(tmp_path / "out" / name)
        assert tuple(image.id for image in part.images) == ids
        assert part.images[0].path == source.subset(ids).images[0].path.resolve()
        assert part.images[0].annotations == source.subset(ids).images[0].annotations


def test_the_summary_says_what_was_split_and_how(source, tmp_path):
    splits = repeated_splits(source, repeats=1, seed=4)

    summary = json.loads(write_splits(source, splits, tmp_path, seed=4).read_text())

    assert summary["schema"] == 1
    assert (summary["unit"], summary["group"], summary["seed"]) == ("patient", "patient", 4)
    assert summary["source_sha256"] == source.sha256
    assert summary["folds"] == [
        {"train": "hospital-train-0", "validation": "hospital-validation-0", "test": "hospital-test"}
    ]
    assert [part["images"] for part in summary["parts"].values()] == [len(splits.test), *map(len, splits.folds[0])]
    assert sorted(name for part in summary["parts"].values() for name in part["file_names"]) == sorted(
        f"{i}.png" for i in range(30)
    )


def test_the_same_split_has_the_same_digests_wherever_it_lies(source, tmp_path):
    first, second = (
        json.loads(write_splits(source, repeated_splits(source), tmp_path / name, seed=0).read_text()) for name in "ab"
    )

    assert first == second
    digests = [part["sha256"] for part in first["parts"].values()]
    assert len(set(digests)) == len(digests)


def test_without_a_test_part_none_is_written(source, tmp_path):
    write_splits(source, repeated_splits(source, repeats=1, test_share=0), tmp_path, seed=0)

    assert not (tmp_path / "hospital-test").exists()
    assert read_groups(tmp_path) == [[tmp_path / "hospital-train-0", tmp_path / "hospital-validation-0"]]


def test_the_parts_of_a_fold_share_no_patient(source, tmp_path):
    write_splits(source, repeated_splits(source, repeats=2), tmp_path, seed=0)

    groups = read_groups(tmp_path)
    report = check_sets(groups)

    assert [len(group) for group in groups] == [3, 3]
    assert len(report.sets) == 5
    assert [f for f in report.findings if f.rule == "patient-in-two"] == []


def test_splits_are_not_written_over_others(source, tmp_path):
    splits = repeated_splits(source)
    write_splits(source, splits, tmp_path, seed=0)

    with pytest.raises(DataError, match=r"splits\.json exists; expected a folder without splits"):
        write_splits(source, splits, tmp_path, seed=0)


def test_a_file_in_the_place_of_the_folder_is_a_clear_error(source, tmp_path):
    (tmp_path / "taken").write_text("")

    with pytest.raises(DataError, match=r"can't write to .*taken"):
        write_splits(source, repeated_splits(source), tmp_path / "taken", seed=0)


@pytest.mark.parametrize("text", ["", "[]", '{"folds": 3}', '{"folds": ["a"]}'])
def test_a_broken_summary_is_a_clear_error(tmp_path, text):
    (tmp_path / "splits.json").write_text(text)

    with pytest.raises(DataError, match=r"splits\.json is no summary of splits"):
        read_groups(tmp_path)


def test_a_missing_summary_is_a_clear_error(tmp_path):
    with pytest.raises(DataError, match=r"can't read .*splits\.json: No such file"):
        read_groups(tmp_path)
