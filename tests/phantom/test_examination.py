import numpy as np
import pytest

from fetalseg.phantom.examination import CRL_MM, draw_examination, sizes_at


def test_sizes_at_a_crown_rump_length_of_65_mm_are_the_published_means() -> None:
    sizes = sizes_at(65.0)
    assert sizes["nt"] == pytest.approx(1.55)
    assert sizes["nasal_bone"] == pytest.approx(2.7)
    assert sizes["palate"] == pytest.approx(6.6)
    # head circumference of an ellipse, pi * (3 (a + b) - sqrt((3a + b)(a + 3b))): 84 mm at this age
    a, b = sizes["ofd"] / 2, sizes["bpd"] / 2
    assert np.pi * (3 * (a + b) - np.sqrt((3 * a + b) * (a + 3 * b))) == pytest.approx(84.0, abs=1.0)


def test_every_size_grows_with_the_fetus() -> None:
    small, large = sizes_at(50.0), sizes_at(80.0)
    assert all(small[name] < large[name] for name in small)


def test_the_same_seed_draws_the_same_examination() -> None:
    first, second = (draw_examination(np.random.default_rng(8)) for _ in range(2))
    assert first == second
    assert first != draw_examination(np.random.default_rng(9))


def test_drawn_examinations_spread_as_real_ones() -> None:
    drawn = [draw_examination(np.random.default_rng(seed)) for seed in range(400)]
    assert all(CRL_MM[0] <= one.crl_mm <= CRL_MM[1] for one in drawn)
    vaginal = np.mean([one.probe == "transvaginal" for one in drawn])
    assert vaginal == pytest.approx(0.3, abs=0.08)
    assert np.mean([one.sizes["nt"] >= 3.0 for one in drawn]) == pytest.approx(0.12, abs=0.05)
    assert np.mean([one.nasal_bone for one in drawn]) == pytest.approx(0.95, abs=0.04)
    short = [one.sizes["nasal_bone"] < 0.62 * sizes_at(one.crl_mm)["nasal_bone"] for one in drawn]
    assert np.mean(short) == pytest.approx(0.05, abs=0.03)
    assert np.mean([one.stomach for one in drawn]) == pytest.approx(0.57, abs=0.07)
    by_probe = {one.probe: one.console.radius_mm for one in drawn}
    assert by_probe["transvaginal"] <= 12.0 < 50.0 <= by_probe["transabdominal"]
