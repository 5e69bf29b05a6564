from functools import cache
from itertools import pairwise

import numpy as np
import pytest

from fetalseg.anatomy import structure
from fetalseg.phantom import PhantomFrame, cine
from fetalseg.phantom.cine import examined

SMALL = {"height": 112, "width": 160}


def pixels(frames: list[PhantomFrame]) -> list[bytes]:
    return [frame.pixels.tobytes() for frame in frames]


@cache
def swept() -> list[PhantomFrame]:
    """From a head to a belly and a little on; the planes change at frame 24."""
    return list(cine(frames=30, seed=5, fps=12, views=("head", "abdomen"), view_seconds=2, **SMALL))


@cache
def frozen() -> list[PhantomFrame]:
    """A neck; the picture stands from 1.35 to 2.29 s and calipers come at 1.75 s."""
    return list(cine(frames=27, seed=0, fps=10, views=("neck",), **SMALL))


def changed(frames: list[PhantomFrame]) -> list[float]:
    """Share of pixels that differ between each frame and the next."""
    return [float((a.pixels != b.pixels).mean()) for a, b in pairwise(frames)]


def likeness(first: PhantomFrame, second: PhantomFrame) -> float:
    return float(np.corrcoef(first.pixels.ravel(), second.pixels.ravel())[0, 1])


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


def test_each_structure_keeps_its_number_through_the_cine_and_no_two_share_one() -> None:
    names: dict[int, str] = {}
    for frame in cine(frames=24, seed=2, fps=4, view_seconds=1, **SMALL):
        assert len(set(frame.track_ids)) == len(frame.names) == len(frame.track_ids)
        assert all(track >= 1 for track in frame.track_ids)
        for track, name in zip(frame.track_ids, frame.names, strict=True):
            assert names.setdefault(track, name) == name
    assert len(names) >= 10


def test_a_limb_keeps_its_number_over_all_visits_of_a_cine() -> None:
    frames = cine(frames=6, seed=2, fps=1, views=("extremity",), view_seconds=1, **SMALL)
    near = examined(2).lie.near
    shown = [frame for frame in frames if frame.names]
    assert len(shown) >= 5
    for frame in shown:
        expected = {2 * structure(name).label + near + 1 for name in frame.names}
        assert expected & set(frame.track_ids)


def test_the_left_and_the_right_plexus_are_not_exchanged() -> None:
    frames = list(cine(frames=12, seed=6, fps=8, views=("head",), **SMALL))
    places: dict[int, list[np.ndarray]] = {}
    for frame in frames:
        for track, name, mask in zip(frame.track_ids, frame.names, frame.masks, strict=True):
            if name == "choroid_plexus":
                places.setdefault(track, []).append(np.argwhere(mask).mean(axis=0))
    assert len(places) == 2
    first, second = (np.array(course) for course in places.values())
    apart = np.linalg.norm(first[0] - second[0])
    for course in (first, second):
        assert np.linalg.norm(np.diff(course, axis=0), axis=1).max() < 0.25 * apart


def test_masks_move_on_from_frame_to_frame_without_jumps() -> None:
    frames = list(cine(frames=20, seed=8, fps=12, views=("abdomen",), **SMALL))
    trunks = [frame.masks[frame.names.index("abdominal_circumference")] for frame in frames]
    for before, after in pairwise(trunks):
        assert (before & after).sum() > 0.8 * (before | after).sum()


def test_a_view_melts_into_the_next_one_within_half_a_second_and_nothing_is_scored_meanwhile() -> None:
    frames = swept()
    assert [frame.view for frame in frames[:18]] == ["head"] * 18
    assert frames[24].view == "abdomen"
    melted = [index for index, frame in enumerate(frames) if frame.names and frame.ignored.all()]
    assert melted
    assert set(melted) <= set(range(18, 30))
    for index in melted:
        assert not set(frames[index].annotated) & set(frames[index].visible)
    # a cut would leave nothing of the picture before
    assert min(likeness(a, b) for a, b in pairwise(frames[12:])) > 0.5


def test_small_structures_are_gone_before_the_plane_of_the_next_view_comes() -> None:
    frames = swept()[:24]
    assert "choroid_plexus" in frames[10].names
    assert "choroid_plexus" not in frames[23].names
    area = [f.masks[f.names.index("cranium")].sum() for f in frames if "cranium" in f.names]
    assert area[-1] < 0.8 * area[10]


def test_a_frozen_picture_stands_still_and_then_moves_on_from_there() -> None:
    frames = frozen()
    steps = changed(frames)
    # the picture stands from frame 14 to 22; calipers come with frame 18
    assert [index for index, step in enumerate(steps) if step == 0.0] == [14, 15, 16, 18, 19, 20, 21]
    assert all(step > 0.2 for step in [*steps[:14], *steps[22:]])
    assert likeness(frames[22], frames[23]) > 0.9
    assert [frame.timestamp_ms for frame in frames] == [100.0 * index for index in range(27)]


def test_calipers_come_onto_the_frozen_picture_and_go_with_it() -> None:
    frames = frozen()
    share = float((frames[17].pixels != frames[18].pixels).mean())
    assert 0 < share < 0.05
    np.testing.assert_array_equal(frames[17].masks, frames[18].masks)
    translucency = frames[18].masks[frames[18].names.index("nuchal_translucency")]
    rows, columns = np.nonzero(frames[17].pixels != frames[18].pixels)
    near = np.argwhere(translucency)
    assert min(np.abs(near - place).sum(axis=1).min() for place in zip(rows, columns, strict=True)) <= 2


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"frames": 0}, "at least 1, got 0"),
        ({"fps": 0}, "above 0, got 0"),
        ({"views": ()}, "at least one view"),
        ({"views": ("kidney",)}, "unknown view 'kidney'"),
    ],
)
def test_bad_arguments_are_refused_at_the_call(wrong: dict[str, object], message: str) -> None:
    arguments: dict[str, object] = {"frames": 2, "seed": 1, **wrong}
    with pytest.raises(ValueError, match=message):
        cine(**arguments)  # type: ignore[arg-type]
