import pytest

from fetalseg.data.coco import read_coco
from fetalseg.data.splits import split_set


def _many(content, count, patient):
    content["annotations"] = []
    content["images"] = [
        {"id": i, "file_name": f"{i}.png", "height": 40, "width": 60, **({"patient": patient(i)} if patient else {})}
        for i in range(count)
    ]
    return content


def test_all_images_of_a_patient_are_on_one_side(write_set, content):
    source = read_coco(write_set(_many(content, 90, lambda i: f"p{i // 3}")))

    split = split_set(source, 0.2)

    assert split.unit == "patient"
    assert sorted(split.train + split.held_out) == list(range(90))
    assert not {i // 3 for i in split.train} & {i // 3 for i in split.held_out}
    assert 6 <= len(split.held_out) <= 36


def test_a_patient_stays_on_one_side_also_where_other_images_name_none(write_set, content):
    made = _many(content, 90, lambda i: f"p{i // 3}")
    for image in made["images"][60:]:
        del image["patient"]

    split = split_set(read_coco(write_set(made)), 0.3)

    assert split.unit == "patient or image"
    train, held_out = ({i // 3 for i in part if i < 60} for part in (split.train, split.held_out))
    assert train
    assert held_out
    assert not train & held_out


def test_the_split_does_not_depend_on_order_or_on_other_images(write_set, content):
    whole = read_coco(write_set(_many(content, 40, None), "whole"))
    content["images"] = content["images"][10::-1]
    part = read_coco(write_set(content, "part"))

    assert split_set(whole, 0.3).unit == "image"
    assert set(split_set(part, 0.3).held_out) == {i for i in split_set(whole, 0.3).held_out if i <= 10}


def test_nothing_is_held_out_at_share_zero_and_a_larger_share_keeps_what_was_held_out(write_set, content):
    source = read_coco(write_set(_many(content, 60, None)))

    assert split_set(source, 0).held_out == ()
    assert set(split_set(source, 0.1).held_out) <= set(split_set(source, 0.4).held_out)


@pytest.mark.parametrize("share", [-0.1, 1, 1.5])
def test_a_share_outside_zero_to_one_is_refused(write_set, content, share):
    with pytest.raises(ValueError, match="held-out share"):
        split_set(read_coco(write_set(content)), share)
