"""What two parts of a split share, and what a split would tear apart."""

import copy

import cv2
import numpy as np
import pytest

from fetalseg.data.check import check_sets


def clouds(seed):
    """A smooth picture of 60 x 40 px."""
    small = np.random.default_rng(seed).integers(0, 256, (5, 7)).astype(np.uint8)
    return np.asarray(cv2.resize(small, (60, 40), interpolation=cv2.INTER_CUBIC), np.uint8)


@pytest.fixture
def make(write_set, content):
    """Writes a set of one image for each picture; `patients` are their names."""

    def make(name, pictures, patients=None):
        made = copy.deepcopy(content)
        made["annotations"] = []
        made["images"] = [
            {"id": i, "file_name": f"{name}{i}.png", "height": 40, "width": 60} for i in range(len(pictures))
        ]
        for image, patient in zip(made["images"], patients or [], strict=False):
            image["patient"] = patient
        folder = write_set(made, name)
        for image, pixels in zip(made["images"], pictures, strict=True):
            assert cv2.imwrite(str(folder / "images" / image["file_name"]), pixels)
        return folder

    return make


def found(*folders):
    return [(f.level, f.rule, f.where, f.message) for f in check_sets([folders]).findings]


def test_sets_with_other_patients_and_other_images_share_nothing(make):
    assert found(make("a", [clouds(0), clouds(1)], ["p", "q"]), make("b", [clouds(2)], ["r"])) == []


def test_a_patient_on_two_sides_is_a_problem(make):
    first = make("a", [clouds(i) for i in range(6)], ["p", "p", "p", "p", "p", "q"])
    second = make("b", [clouds(6), clouds(7)], ["r", "p"])

    ((level, rule, where, message),) = found(first, second)

    assert (level, rule, where) == ("problem", "patient-in-two", "patient p")
    assert message == f"has image 0, image 1, image 2 and 2 more here and image 1 in {second}/instances.json"


def test_the_same_image_in_two_sets_is_a_problem(make):
    second = make("b", [clouds(1), clouds(0)])

    ((level, rule, where, message),) = found(make("a", [clouds(0)]), second)

    assert (level, rule, where) == ("problem", "duplicate", "image 0")
    assert message == f"holds the same pixels as image 1 of {second}/instances.json"


def test_an_image_saved_again_with_another_gain_is_a_problem(make):
    brighter = np.clip(clouds(0) * 1.1 + 8.0, 0, 255).astype(np.uint8)

    ((level, rule, where, message),) = found(make("a", [clouds(0)]), make("b", [clouds(1), brighter]))

    assert (level, rule, where) == ("problem", "duplicate", "image 0")
    assert message.startswith("looks like (correlation 0.99")


def test_a_mirrored_image_is_worth_a_look(make):
    ((level, rule, _, message),) = found(make("a", [clouds(0)]), make("b", [clouds(0)[:, ::-1]]))

    assert (level, rule) == ("note", "duplicate")
    assert "looks, mirrored, like (correlation 1.000) image 0 of" in message


def test_many_likenesses_of_one_image_are_one_finding(make):
    cine = [np.minimum(clouds(0), 250 - i) for i in range(4)]

    ((_, _, where, message),) = found(make("a", [clouds(0)]), make("b", cine, ["p"] * 4))

    assert where == "image 0"
    assert message.endswith(", and 3 more there")


def test_the_same_file_under_two_patients_of_one_set_is_a_problem(make):
    ((level, rule, where, message),) = found(make("a", [clouds(0), clouds(1), clouds(0)], ["p", "q", "r"]))

    assert (level, rule, where) == ("problem", "duplicate", "image 0")
    assert message == "holds the same pixels as image 2, and they are of patients p and r"


def test_the_same_image_twice_without_patients_could_come_to_two_sides(make):
    ((level, _, _, message),) = found(make("a", [clouds(0), clouds(0)]))

    assert level == "note"
    assert message == "holds the same pixels as image 1: a split by image could put them on two sides"


def test_images_of_one_patient_may_look_alike(make):
    brighter = np.clip(clouds(0) * 1.1 + 8.0, 0, 255).astype(np.uint8)

    assert found(make("a", [clouds(0), brighter], ["p", "p"])) == []


def test_sets_with_other_structures_cannot_be_trained_on_together(make, content, write_set):
    own = copy.deepcopy(content)
    for category in own["categories"]:
        category["name"] = f"own {category['id']}"
    own["images"] = own["images"][:1]
    own["annotations"] = []
    own["images"][0] |= {"file_name": "own.png", "patient": "x"}
    second = write_set(own, "own")
    assert cv2.imwrite(str(second / "images" / "own.png"), clouds(5))

    ((level, rule, where, message),) = found(make("a", [clouds(0)]), second)

    assert (level, rule, where) == ("problem", "taxonomy", "categories")
    assert "cranium, choroid_plexus" in message
    assert "own 1, own 2" in message


def test_sets_with_different_parts_of_the_seventeen_can_be_trained_on_together(make, content, write_set):
    part = copy.deepcopy(content)
    part["categories"] = [{"id": 3, "name": "palate"}]
    part["images"] = [{"id": 1, "file_name": "part.png", "height": 40, "width": 60}]
    part["annotations"] = []
    folder = write_set(part, "part")
    assert cv2.imwrite(str(folder / "images" / "part.png"), clouds(5))

    assert found(make("a", [clouds(0)]), folder) == []


def test_only_sets_of_one_group_are_compared(make):
    test, first, second = make("test", [clouds(0)]), make("first", [clouds(1)]), make("second", [clouds(1)])

    assert check_sets([[test, first], [test, second]]).findings == ()
    assert check_sets([[test, first, second]]).problems == 1
