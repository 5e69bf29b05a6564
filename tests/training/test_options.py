import json

import pytest

from fetalseg.training.options import TrainOptions
from fetalseg.training.schedule import Budget


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ({"precision": "fp8"}, "unknown precision 'fp8'; expected one of fp32, bf16, fp16"),
        ({"batch": 0}, "batch must be at least 1, got 0"),
        ({"patience": 0}, "patience must be at least 1, got 0"),
        ({"learning_rate": 0.0}, "learning_rate must be above 0, got 0.0"),
        ({"seed": -1}, "seed must be 0 to 4294967295, got -1"),
        ({"seed": 2**32}, "seed must be 0 to 4294967295, got 4294967296"),
    ],
)
def test_numbers_out_of_range_are_refused(numbers, message):
    with pytest.raises(ValueError, match=message):
        TrainOptions(Budget(steps=1), **numbers)


def test_what_moves_the_curve_is_a_runs_identity():
    options = TrainOptions(Budget(minutes=5), patience=3, device="cuda", loaders=4)

    identity = json.loads(json.dumps(options.identity()))

    assert identity["budget"] == {"steps": None, "minutes": 5}
    assert {"batch", "learning_rate", "seed", "precision", "clip", "freeze", "average"} <= identity.keys()
    assert identity.keys().isdisjoint({"patience", "device", "loaders", "validations", "save_every"})
