from dataclasses import replace

import pytest

from fetalseg.data.coco import read_coco
from fetalseg.data.splits import Split, split_set
from fetalseg.errors import DataError
from fetalseg.training.training_data import SharedSet, common_structures, decode_sets, divide


@pytest.fixture
def drawn(drawn_set):
    return SharedSet(read_coco(drawn_set), 1.0)


def test_frames_go_where_the_split_says(drawn, tiny):
    split = split_set(drawn.source, 0.3)

    data = divide([drawn], decode_sets([drawn], tiny.input), [split], validation_frames=100)

    assert [frame.image_id for frame in data.sets[0].frames] == list(split.train)
    assert [frame.image_id for frame in data.held_out["drawn"]] == list(split.held_out)
    assert data.sets[0].digest == drawn.source.sha256
    assert len(data.structures) == 17


def test_frames_to_validate_on_are_spread_over_what_is_held_out(drawn, tiny):
    frames = decode_sets([drawn], tiny.input)
    split = Split(train=(1, 2, 3), held_out=tuple(range(4, 13)), unit="image")

    data = divide([drawn], frames, [split], validation_frames=3)

    assert [frame.image_id for frame in data.held_out["drawn"]] == [4, 7, 10]


def test_sets_of_one_name_or_of_other_structures_are_refused(drawn, tiny):
    other = SharedSet(replace(drawn.source, structures=("amnion",)), 1.0)

    with pytest.raises(ValueError, match="different names, got drawn, drawn"):
        decode_sets([drawn, drawn], tiny.input)
    with pytest.raises(DataError, match="drawn has amnion; drawn has cranium, "):
        common_structures([other.source, drawn.source])
