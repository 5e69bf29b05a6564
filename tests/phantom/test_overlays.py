import numpy as np
import pytest

from fetalseg.phantom.overlays import CALIPERS, draw_overlays
from fetalseg.phantom.scanner import Sector

HEIGHT, WIDTH = 216, 320


def sector() -> Sector:
    return Sector(HEIGHT, WIDTH, 0.2, (32.0, -60.0), (59.9, 110.0), (-0.4, 0.4))


def written(seed: int, targets: list[np.ndarray] | None, chance: float = CALIPERS) -> tuple[np.ndarray, np.ndarray]:
    """A black picture after the console wrote on it, and what it covered."""
    picture = np.zeros((HEIGHT, WIDTH), np.uint8)
    hidden = draw_overlays(picture, sector(), np.random.default_rng(seed), targets, chance)
    return picture, hidden


def band() -> np.ndarray:
    mask = np.zeros((HEIGHT, WIDTH), np.bool_)
    mask[100:110, 60:200] = True
    return mask


def test_calipers_lie_on_both_edges_of_what_is_measured() -> None:
    for seed in range(10):
        without, hidden = written(seed, [], 1.0)
        picture, _ = written(seed, [band()], 1.0)
        assert not hidden[100:110, 60:200].any()
        rows, columns = np.nonzero(picture[:120, 55:205] != without[:120, 55:205])
        assert {100, 109} <= set(rows.tolist())
        assert np.ptp(columns) <= 2 * 3  # one above the other


def test_three_in_ten_saved_frames_are_measured_and_a_live_one_never() -> None:
    measured, live = [], []
    for seed in range(400):
        for result, targets in ((measured, [band()]), (live, None)):
            picture, _ = written(seed, targets)
            rows = np.array([picture[row, 60:200].max(initial=0) for row in (100, 109)])
            result.append(bool((rows > 120).all()))
    assert np.mean(measured) == pytest.approx(0.3, abs=0.06)
    assert np.mean(live) < 0.02


def test_calipers_are_also_where_nothing_is_measured() -> None:
    changed = 0
    for seed in range(100):
        with_targets, without_any = written(seed, [])[0], written(seed, None)[0]
        changed += int((with_targets != without_any).any())
    assert changed == pytest.approx(25, abs=12)


def test_what_the_console_covers_is_reported() -> None:
    # a picture that is grey everywhere is black or redrawn where it is covered
    covered = 0
    for seed in range(40):
        picture = np.full((HEIGHT, WIDTH), 77, np.uint8)
        hidden = draw_overlays(picture, sector(), np.random.default_rng(seed), None)
        if hidden.any():
            covered += 1
            assert (picture[hidden] != 77).mean() > 0.9
            assert hidden.mean() < 0.2
    assert covered >= 5


@pytest.mark.parametrize("size", [(64, 64), (96, 64), (1024, 768), (4096, 64), (64, 4096)])
def test_everything_fits_into_frames_of_all_allowed_sizes(size: tuple[int, int]) -> None:
    width, height = size
    mm = 45.0 / width
    fan = Sector(height, width, mm, (22.5, -60.0), (59.9, 61.0 + height * mm), (-0.4, 0.4))
    target = np.zeros((height, width), np.bool_)
    target[height // 3 : height // 2, width // 4 : width // 2] = True
    overviews = 0
    for seed in range(60):
        picture = np.full((height, width), 77, np.uint8)
        hidden = draw_overlays(picture, fan, np.random.default_rng(seed), [target], 1.0)
        overviews += bool(hidden[height // 2 :].any())  # name plates are at the top
        assert (picture != 77).any()
    assert 8 <= overviews <= 28
