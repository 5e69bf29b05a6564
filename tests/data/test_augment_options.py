"""Groups of augmentations: what switching them on and off leaves."""

import dataclasses

import pytest

from fetalseg.data.augment import AUGMENTATIONS, AugmentOptions


def test_every_group_but_the_mosaic_is_on_by_default():
    assert AugmentOptions().groups == tuple(group for group in AUGMENTATIONS if group != "mosaic")
    assert AugmentOptions(mosaic_share=0.1).groups == AUGMENTATIONS


def test_no_group_is_on_when_all_are_switched_off():
    assert AugmentOptions().only().groups == ()
    assert AugmentOptions().without(*AUGMENTATIONS) == AugmentOptions().only()


@pytest.mark.parametrize("group", [group for group in AUGMENTATIONS if group != "mosaic"])
def test_one_group_is_switched_on_or_off_alone(group):
    options = AugmentOptions(degrees=33, flip_vertical=0.1)

    assert options.only(group).groups == (group,)
    assert set(options.without(group).groups) == set(options.groups) - {group}
    # Together they hold every number of the whole once.
    alone, rest = dataclasses.asdict(options.only(group)), dataclasses.asdict(options.without(group))
    assert all(value in (alone[name], rest[name]) for name, value in dataclasses.asdict(options).items())


def test_every_number_belongs_to_one_group_or_only_shapes_one():
    off = dataclasses.asdict(AugmentOptions().only())
    switched = {
        name for name, value in dataclasses.asdict(AugmentOptions(mosaic_share=1)).items() if off[name] != value
    }
    assert off.keys() - switched == {"box_iou", "crop_zoom", "speckle", "blur"}


@pytest.mark.parametrize("select", [AugmentOptions.only, AugmentOptions.without])
def test_an_unknown_group_is_an_error_that_lists_the_known_ones(select):
    with pytest.raises(ValueError, match=r"unknown augmentation colour; known are flip, geometry, .*, mosaic"):
        select(AugmentOptions(), "flip", "colour")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"flip_vertical": 1.5}, "flip_vertical is a probability, expected 0..1, got 1.5"),
        ({"haze_share": -0.1}, "haze_share is a probability"),
        ({"box_iou": 0}, "box_iou must be above 0 and at most 1, got 0"),
        ({"zoom": (1.2, 0.8)}, r"zoom must be .*, got \(1.2, 0.8\)"),
        ({"zoom": (0, 1)}, "zoom must be"),
    ],
)
def test_numbers_that_make_no_sense_are_refused(values, message):
    with pytest.raises(ValueError, match=message):
        AugmentOptions(**values)
