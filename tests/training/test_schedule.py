import pytest
import torch

from fetalseg.model.yolact import Yolact
from fetalseg.training.ema import MovingAverage
from fetalseg.training.schedule import Budget, learning_rate_factor


def test_the_rate_rises_linearly_and_falls_along_half_a_cosine():
    rates = [learning_rate_factor(p, warm_up=0.2, final=0.1) for p in (0.0, 0.1, 0.2, 0.6, 1.0)]

    # In the middle of the fall the cosine is 0: half way between 1 and 0.1.
    assert rates == pytest.approx([0.0, 0.5, 1.0, 0.55, 0.1])


def test_progress_counts_steps_or_minutes():
    assert Budget(steps=40).progress(10, 1e9) == 0.25
    assert Budget(minutes=2).progress(10**9, 30) == 0.25
    assert Budget(minutes=2).progress(0, 500) == 1


def test_the_time_left_follows_the_pace_of_now():
    # 30 steps to go at 2 s each, however long the first ten took: they may have been another machine's.
    assert Budget(steps=40).left_s(10, 1e9, step_s=2) == 60
    assert Budget(steps=40).left_s(41, 0, step_s=2) == 0
    assert Budget(minutes=2).left_s(10**9, 30, step_s=2) == 90
    assert Budget(minutes=2).left_s(0, 500, step_s=2) == 0


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ({}, "either steps or minutes, got None and None"),
        ({"steps": 5, "minutes": 1}, "either steps or minutes, got 5 and 1"),
        ({"steps": 0}, "steps must be above 0, got 0"),
        ({"minutes": -1.5}, "minutes must be above 0, got -1.5"),
        ({"minutes": float("nan")}, "minutes must be above 0, got nan"),
    ],
)
def test_a_budget_is_either_steps_or_minutes(numbers, message):
    with pytest.raises(ValueError, match=message):
        Budget(**numbers)


def test_the_average_forgets_a_random_start_soon_and_then_moves_slowly(tiny):
    network = Yolact(tiny)
    average = MovingAverage(network, decay=0.9)
    weight = network.semantic.bias
    with torch.no_grad():
        average.network.semantic.bias.zero_()
        weight.fill_(1)

    average.update(network)
    # Decay (1 + 1) / (10 + 1): nine elevenths of the new value.
    torch.testing.assert_close(average.network.semantic.bias, torch.full_like(weight, 9 / 11))

    average.updates = 10_000
    average.update(network)
    torch.testing.assert_close(average.network.semantic.bias, torch.full_like(weight, 1 - 0.9 * 2 / 11))


def test_the_average_keeps_no_gradient_and_leaves_the_network_alone(tiny):
    network = Yolact(tiny).train()
    average = MovingAverage(network, decay=0.9)

    average.update(network)

    assert network.training
    assert not average.network.training
    assert not any(p.requires_grad for p in average.network.parameters())
    assert all(p.requires_grad for p in network.parameters())
