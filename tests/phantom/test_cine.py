import numpy as np
import pytest

from fetalseg.phantom import PhantomFrame, cine

SMALL = {"height": 112, "width": 160}


def pixels(frames: list[PhantomFrame]) -> list[bytes]:
    return [frame.pixels.tobytes() for frame in frames]


def test_the_same_seed_gives_the_same_cine_and_a_longer_one_begins_with_it() -> None:
    short, long = (list(cine(frames=n, seed=4, **SMALL)) for n in (3, 5))
    assert pixels(short) == pixels(long[:3])
    assert pixels(short) != pixels(list(cine(frames=3, seed=5, **SMALL)))


def test_time_runs_at_the_frame_rate() -> None:
    assert [frame.timestamp_ms for frame in cine(frames=3, seed=0, fps=25, **SMALL)] == [0.0, 40.0, 80.0]


def test_all_six_views_come_one_after_the_other_and_then_again() -> None:
    frames = cine(frames=8, seed=1, fps=1, view_seconds=1, **SMALL)
    assert [frame.view for frame in frames] == [
        *("head", "neck", "thorax", "abdomen", "extremity", "spine"),
        *("head", "neck"),
    ]


def test_neighbouring_frames_are_alike_and_not_the_same() -> None:
    first, second = cine(frames=2, seed=3, **SMALL)
    assert np.corrcoef(first.pixels.ravel(), second.pixels.ravel())[0, 1] > 0.97
    assert (first.pixels != second.pixels).any()
    assert first.names == second.names


def test_the_heart_beats() -> None:
    # 150 to 175 beats a minute: 10 frames at 25 a second hold a whole beat
    frames = cine(frames=10, seed=3, views=("thorax",), **SMALL)
    areas = [int(frame.masks[frame.names.index("heart")].sum()) for frame in frames]
    assert max(areas) > 1.06 * min(areas)


def test_the_fetus_moves() -> None:
    places = []
    for frame in cine(frames=4, seed=3, fps=1, views=("abdomen",), **SMALL):
        trunk = frame.masks[frame.names.index("abdominal_circumference")]
        places.append(np.argwhere(trunk).mean(axis=0))
    assert np.ptp(np.array(places), axis=0).max() > 0.5


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"frames": 0}, "at least 1, got 0"),
        ({"fps": 0}, "above 0, got 0"),
        ({"views": ()}, "at least one view"),
        ({"views": ("kidney",)}, "unknown view 'kidney'"),
    ],
)
def test_bad_arguments_are_refused_at_the_call(changed: dict[str, object], message: str) -> None:
    arguments: dict[str, object] = {"frames": 2, "seed": 1, **changed}
    with pytest.raises(ValueError, match=message):
        cine(**arguments)  # type: ignore[arg-type]
