from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fetalseg_server.pool.fair_queue import FairQueue


@dataclass(frozen=True)
class Source:
    name: str
    weight: float = 1.0
    flow: str = ""


def source(name: str, weight: float = 1.0) -> Source:
    return Source(name, weight, name)


def served(queue: FairQueue[Source], turns: int) -> list[str]:
    """Whose turn it is, while everybody always has a next frame."""
    names = []
    for _ in range(turns):
        chosen = queue.pop()
        queue.serve()
        names.append(chosen.name)
        queue.add(chosen)
    return names


def test_equals_take_turns() -> None:
    queue: FairQueue[Source] = FairQueue()
    for name in "abc":
        queue.add(source(name))
    assert served(queue, 7) == ["a", "b", "c", "a", "b", "c", "a"]


def test_twice_the_weight_is_twice_the_share() -> None:
    queue: FairQueue[Source] = FairQueue()
    for name, weight in (("a", 1.0), ("b", 2.0), ("c", 0.5)):
        queue.add(source(name, weight))
    assert Counter(served(queue, 70)) == {"a": 20, "b": 40, "c": 10}


def test_silence_earns_no_credit() -> None:
    queue: FairQueue[Source] = FairQueue()
    queue.add(source("busy"))
    served(queue, 100)
    queue.add(source("late"))
    assert Counter(served(queue, 10)) == {"busy": 5, "late": 5}


def test_a_newer_frame_keeps_the_place_of_the_one_before() -> None:
    queue: FairQueue[Source] = FairQueue()
    for name in "aba":
        queue.add(source(name))
    assert len(queue) == 2
    assert served(queue, 2) == ["a", "b"]


def test_sources_of_one_flow_share_its_part() -> None:
    queue: FairQueue[Source] = FairQueue()
    for number in range(4):
        queue.add(Source(f"image {number}", 0.5, "images"))
    queue.add(source("live"))
    order = []
    for _ in range(6):
        chosen = queue.pop()
        queue.serve()
        order.append(chosen.name)
        if chosen.name == "live":
            queue.add(chosen)
    # An image takes the time of two live frames.
    assert order == ["image 0", "live", "live", "image 1", "live", "live"]


def test_a_frame_that_was_withdrawn_or_expired_costs_nothing() -> None:
    queue: FairQueue[Source] = FairQueue()
    unlucky, other = source("unlucky"), source("other")
    for _ in range(5):
        queue.add(unlucky)
        queue.remove(unlucky)
        queue.add(unlucky)
        queue.refund(queue.pop())
    queue.remove(unlucky)
    queue.add(unlucky)
    queue.add(other)
    assert Counter(served(queue, 4)) == {"unlucky": 2, "other": 2}


def test_nobody_to_serve_is_an_error() -> None:
    with pytest.raises(ValueError, match="empty"):
        FairQueue[Source]().pop()


@given(st.lists(st.floats(0.1, 10), min_size=1, max_size=8))
def test_everybody_is_served_in_proportion_to_the_weights(weights: list[float]) -> None:
    queue: FairQueue[Source] = FairQueue()
    for number, weight in enumerate(weights):
        queue.add(source(str(number), weight))
    counts = Counter(served(queue, 400))
    # Published for start-time fair queueing: two busy flows differ by one frame of each at the most, in its own time.
    times = [counts[str(number)] / weight for number, weight in enumerate(weights)]
    for first, time_1 in zip(weights, times, strict=True):
        for second, time_2 in zip(weights, times, strict=True):
            assert abs(time_1 - time_2) <= 1 / first + 1 / second + 1e-6
