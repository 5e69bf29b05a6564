import numpy as np
import pytest

from fetalseg.phantom.console import Console, draw_console
from fetalseg.phantom.psf import spread_at

DRAWN = {
    probe: [draw_console(np.random.default_rng([seed, 1]), probe) for seed in range(150)]
    for probe in ("transabdominal", "transvaginal")
}


def range_of(consoles: list[Console], name: str) -> tuple[float, float]:
    values = [getattr(console, name) for console in consoles]
    return min(values), max(values)


def test_the_same_seed_draws_the_same_settings() -> None:
    first, second, other = (draw_console(np.random.default_rng(seed), "transvaginal") for seed in (4, 4, 5))
    assert first == second != other


@pytest.mark.parametrize(
    ("probe", "frequency", "radius", "half_angle", "depth"),
    [
        ("transabdominal", (3, 7), (50, 60), (30, 37), (20, 60)),
        ("transvaginal", (5, 9), (10, 12), (55, 75), (6, 25)),
    ],
)
def test_both_probes_have_their_own_frequency_curve_and_depth(
    probe: str,
    frequency: tuple[float, float],
    radius: tuple[float, float],
    half_angle: tuple[float, float],
    depth: tuple[float, float],
) -> None:
    ranges = {"frequency_mhz": frequency, "radius_mm": radius, "half_angle_deg": half_angle, "depth_mm": depth}
    for name, (low, high) in ranges.items():
        drawn = range_of(DRAWN[probe], name)
        assert low <= drawn[0] < drawn[1] <= high
        assert drawn[1] - drawn[0] > 0.8 * (high - low)  # the whole range is used


def test_the_focus_lies_below_the_upper_edge_of_a_zoomed_frame() -> None:
    assert all(5 <= c.focus_mm - c.depth_mm <= 35 for consoles in DRAWN.values() for c in consoles)


def test_an_endocavity_probe_has_the_finer_grain() -> None:
    def middle(probe: str) -> tuple[float, float]:
        spreads = [spread_at(console, console.depth_mm + 20.0) for console in DRAWN[probe]]
        return float(np.median([s.along for s in spreads])), float(np.median([s.across for s in spreads]))

    fine, coarse = middle("transvaginal"), middle("transabdominal")
    assert fine[0] < 0.85 * coarse[0]
    assert fine[1] < 0.85 * coarse[1]


def test_the_gain_gives_soft_tissue_a_middling_grey_on_every_curve() -> None:
    for console in DRAWN["transabdominal"]:
        display = console.display
        share = 1.0 - display.white_db / display.dynamic_range_db  # of an echo at 0 dB
        assert 0.2 < share**display.gamma < 0.55


def test_the_whole_range_of_displays_occurs() -> None:
    displays = [console.display for consoles in DRAWN.values() for console in consoles]
    shares = {
        "hard": np.mean([d.contrast >= 0.3 for d in displays]),
        "posterised": np.mean([d.levels < 30 for d in displays]),
        "filtered": np.mean([d.speckle_filter > 0 for d in displays]),
        "blurred": np.mean([d.sharpness < 0.7 for d in displays]),
        "lossy": np.mean([d.jpeg_quality is not None for d in displays]),
    }
    assert shares == pytest.approx(
        {"hard": 0.4, "posterised": 0.12, "filtered": 0.6, "blurred": 0.3, "lossy": 0.75}, abs=0.1
    )
