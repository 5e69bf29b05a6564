import json
from dataclasses import asdict, replace

import pytest

from fetalseg.model.variants import VARIANTS, AnchorShape, Variant, variant
from fetalseg.model.yolact import Yolact
from fetalseg.preprocess import InputRule


@pytest.mark.parametrize("name", VARIANTS)
def test_a_variant_survives_json(name):
    values = json.loads(json.dumps(asdict(variant(name))))
    assert Variant.from_dict(values) == variant(name)


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(
        ValueError, match=r"unknown variant 'yolo'; expected one of yolact-r50, fetalseg-s, fetalseg-m, fetalseg-test"
    ):
        variant("yolo")


def test_an_unknown_key_is_named():
    with pytest.raises(ValueError, match="unknown keys of a variant: colour"):
        Variant.from_dict({**asdict(variant("fetalseg-test")), "colour": "red"})


def test_a_missing_key_is_named():
    values = asdict(variant("fetalseg-test"))
    del values["backbone"]
    with pytest.raises(ValueError, match=r"incomplete variant: .*backbone"):
        Variant.from_dict(values)


def test_sizes_of_levels_round_up():
    # 550 -> 68.75, 34.375, 17.1875, 8.59, 4.30
    assert variant("yolact-r50").level_shapes == ((69, 69), (35, 35), (18, 18), (9, 9), (5, 5))
    assert variant("fetalseg-s").level_shapes == ((36, 52), (18, 26), (9, 13), (5, 7))


def test_prototypes_are_twice_as_fine_as_the_finest_level():
    assert variant("yolact-r50").prototype_shape == (138, 138)
    assert variant("fetalseg-s").prototype_shape == (72, 104)


def test_rows_and_columns_multiply_the_anchors_of_a_place():
    shapes = (AnchorShape(4, 2, columns=2, rows=3), AnchorShape(8, 8))
    one = (AnchorShape(16, 16),)
    assert replace(variant("fetalseg-test"), anchors=(shapes, one, one)).anchors_per_place == (7, 1, 1)


def test_a_shared_head_needs_equally_many_anchors_on_every_level():
    with pytest.raises(ValueError, match=r"equally many anchors on every level, got \(3, 2, 1\)"):
        replace(variant("fetalseg-test"), head_shared=True)


def test_a_pyramid_has_at_least_three_levels():
    with pytest.raises(ValueError, match=r"anchors on 3 levels .* got \[1, 1\]"):
        replace(variant("fetalseg-test"), anchors=((AnchorShape(8, 8),),) * 2)


def test_features_of_stride_4_need_sides_that_are_multiples_of_8():
    with pytest.raises(ValueError, match=r"multiples of 8, got \(60, 96\)"):
        replace(variant("fetalseg-test"), input=InputRule(height=60, width=96, channels=1))


def test_every_weight_of_the_default_fits_the_medium_network():
    shapes = [
        {weight: tensor.shape for weight, tensor in Yolact(variant(name)).state_dict().items()}
        for name in ("fetalseg-s", "fetalseg-m")
    ]
    assert shapes[0] == shapes[1]
