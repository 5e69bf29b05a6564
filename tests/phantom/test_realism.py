"""The figures that compare real frames with synthetic ones, on pictures whose figures are known."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from benchmarks.frame_statistics import STATISTICS, MeasuredFrame, autocorrelation_width, measure_frames
from benchmarks.realism import main, page, read_set, table
from fetalseg.phantom.dataset import write_dataset


def test_the_width_of_filtered_noise_is_that_of_its_filter() -> None:
    # white noise filtered by Gaussians of SD s has an autocorrelation of SD s * sqrt(2), full width 2.3548 of that
    noise = np.random.default_rng(0).standard_normal((400, 400), dtype=np.float32)
    patch = cv2.GaussianBlur(noise, (0, 0), sigmaX=4.0, sigmaY=2.0)
    along, across = autocorrelation_width(patch)
    assert along == pytest.approx(2.0 * 2**0.5 * 2.3548, rel=0.08)
    assert across == pytest.approx(4.0 * 2**0.5 * 2.3548, rel=0.08)


def test_a_flat_patch_is_as_wide_as_it_is_large() -> None:
    stripes = np.tile(np.array([-1.0, 1.0], np.float32), (30, 20))  # never changes down the columns
    assert autocorrelation_width(stripes) == (30.0, pytest.approx(1.0 / 2, abs=0.01))


def head() -> MeasuredFrame:
    """A head of 24 mm in grey tissue at 0.1 mm/px: brain 50, a skull line of 200, tissue 90, one quarter black."""
    pixels = np.full((400, 400), 90, np.uint8)
    pixels[:, :100] = 0
    cv2.circle(pixels, (220, 200), 120, 200.0, -1)
    cv2.circle(pixels, (220, 200), 110, 50.0, -1)
    mask = np.zeros((400, 400), np.uint8)
    cv2.circle(mask, (220, 200), 120, 1.0, -1)
    return MeasuredFrame(pixels, 0.1, mask > 0)


def test_grey_levels_of_a_head_are_read_where_they_lie() -> None:
    figures = measure_frames([head()])
    assert figures["brain"].tolist() == [50.0]
    assert figures["rim"].tolist() == [200.0]
    assert figures["around"].tolist() == [90.0]
    assert figures["black"][0] == pytest.approx(25.0, abs=0.1)


def test_a_frame_of_unknown_scale_gives_no_figure_in_millimetres() -> None:
    frame = head()
    figures = measure_frames([MeasuredFrame(frame.pixels, None, frame.cranium)])
    assert len(figures["black"]) == 1
    assert not len(figures["speckle_along"])
    assert not len(figures["brain"])


@pytest.mark.parametrize("upright", [False, True])
def test_the_lines_of_a_translucency_stand_above_its_band(upright: bool) -> None:
    pixels = np.full((120, 200), 30, np.uint8)
    pixels[50:54], pixels[54:64], pixels[64:68] = 180, 10, 140
    box = np.array([40, 52, 160, 66], np.float32)
    if upright:
        pixels, box = pixels.T.copy(), box[[1, 0, 3, 2]]
    figures = measure_frames([MeasuredFrame(pixels, None, boxes={"nuchal_translucency": box})])
    assert figures["band"].tolist() == [130.0]  # the weaker line, 140, above 10


def test_a_nasal_bone_stands_above_what_lies_around_it() -> None:
    pixels = np.full((100, 100), 40, np.uint8)
    pixels[45:53, 30:60] = 190
    box = np.array([30, 45, 60, 53], np.float32)
    assert measure_frames([MeasuredFrame(pixels, None, boxes={"nasal_bone": box})])["nasal_bone"].tolist() == [150.0]


def test_boxes_at_the_edge_of_the_frame_or_without_size_are_no_trouble() -> None:
    pixels = np.full((60, 80), 40, np.uint8)
    boxes = {
        "nuchal_translucency": np.array([0, 0, 80, 60], np.float32),
        "palate": np.array([0, 0, 80, 60], np.float32),
        "nasal_bone": np.array([79, 59, 80, 60], np.float32),
    }
    figures = measure_frames([MeasuredFrame(pixels, 0.1, boxes=boxes)])
    assert figures["palate"].tolist() == []
    assert figures["nasal_bone"].tolist() == []
    assert figures["band"].tolist() == [0.0]


def test_no_frames_give_empty_figures_and_dashes_in_the_table() -> None:
    figures = measure_frames([])
    assert list(figures) == list(STATISTICS)
    lines = table(figures, measure_frames([head()])).splitlines()
    assert len(lines) == 2 + len(STATISTICS)
    assert "| grey of the brain | - | 50 (50-50), 1 |" in lines


@pytest.fixture(scope="module")
def phantom(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("set"), frames=4, seed=2, size=(320, 216), views=("head",)).parent


def test_the_command_prints_both_columns_and_writes_a_page(
    phantom: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, figures = tmp_path / "page.png", tmp_path / "realism.json"
    arguments = ["--real", str(phantom), "--synthetic", str(phantom)]
    assert main([*arguments, "--page", str(out), "--json", str(figures)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "| figure: median (10-90 %), number of values | real | synthetic |"
    _, real, synthetic = lines[2].strip("| ").split(" | ")
    assert real == synthetic != "-"
    picture = cv2.imread(str(out), cv2.IMREAD_GRAYSCALE)
    assert picture.shape == (6 * 216 + 30, 2 * 3 * 320 + 12)
    written = json.loads(figures.read_text())
    assert {"date", "commit", "machine"} <= set(written)
    assert written["real"]["black"] == written["synthetic"]["black"]
    assert written["real"]["black"]["values"] == 4
    assert list(written["real"]) == list(STATISTICS)


def test_a_limit_spreads_over_the_set_and_large_heads_are_left_out(phantom: Path) -> None:
    two = read_set([phantom], max_hc=None, mm_per_px=None, limit=2)
    assert [image.id for image, _ in two.images] == [1, 4]
    assert all(mm is not None and 0.05 < mm < 0.4 for _, mm in two.images)
    both = read_set([phantom, phantom], max_hc=None, mm_per_px=None, limit=None)
    assert len(both.images) == 8
    assert page(two, both).dtype == np.uint8
    with pytest.raises(ValueError, match=r"no frame of .* is left to measure"):
        read_set([phantom], max_hc=-1.0, mm_per_px=None, limit=None)


def test_a_missing_set_and_a_strange_page_are_refused_in_one_line(
    phantom: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--real", str(tmp_path / "none"), "--synthetic", str(phantom)]) == 1
    assert capsys.readouterr().err.startswith("realism: can't read")
    with pytest.raises(SystemExit):
        main(["--real", str(phantom), "--synthetic", str(phantom), "--page", "page.gif"])
    assert "--page must end in one of .jpg, .jpeg, .png, got page.gif" in capsys.readouterr().err
