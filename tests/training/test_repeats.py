import csv
import json

import pytest
from rich.console import Console

from fetalseg.cli.train_display import repeats_table
from fetalseg.errors import DataError
from fetalseg.training.repeats import Spread, keep_protocol, read_json, summarise, write_tables


def _metrics(box, mask, *, sha256="a"):
    """Of a set with one cranium; no spine."""
    return {
        "data": {"sha256": sha256},
        "box": {"AP50": box, "n": 1},
        "mask": {"AP50": mask, "n": 1},
        "structures": {
            "cranium": {"support": 4, "mask_support": 3, "box": {"AP50": box}, "mask": {"AP50": mask}},
            "spine": {"support": 0, "mask_support": 0, "box": {"AP50": None}, "mask": {"AP50": None}},
        },
    }


def test_the_spread_of_three_repeats_is_mean_and_sample_sd():
    cranium, spine, mean = summarise([_metrics(0.5, 0.2), _metrics(0.6, 0.2), _metrics(0.7, 0.2)])

    # Deviations -0.1, 0, 0.1: the sum of squares 0.02 over n - 1 = 2 is 0.01.
    assert cranium.box.mean == pytest.approx(0.6)
    assert cranium.box.sd == pytest.approx(0.1)
    assert cranium.mask.sd == pytest.approx(0, abs=1e-12)
    assert str(cranium.box) == "0.600 ± 0.100"
    assert (spine.box, spine.mask) == (None, None)
    assert (cranium.support, cranium.mask_support) == (4, 3)
    assert (mean.structure, mean.support, mean.mask_support) == ("mean", 1, 1)
    assert mean.box.values == (0.5, 0.6, 0.7)


def test_one_repeat_has_no_sd():
    row = summarise([_metrics(0.5, 0.25)])[0]

    assert row.box == Spread(0.5, None, (0.5,))
    assert str(row.box) == "0.500"


def test_a_set_without_masks_has_no_figures_by_mask():
    metrics = _metrics(0.5, None)
    metrics["mask"] = None
    for figures in metrics["structures"].values():
        figures["mask"], figures["mask_support"] = None, 0

    rows = summarise([metrics])
    assert [row.mask for row in rows] == [None, None, None]
    assert [row.mask_support for row in rows] == [0, 0, 0]


def test_repeats_of_different_test_parts_are_not_averaged():
    with pytest.raises(ValueError, match="tested on different frames"):
        summarise([_metrics(0.5, 0.5), _metrics(0.5, 0.5, sha256="b")])
    with pytest.raises(ValueError, match="no repeat"):
        summarise([])


def test_the_table_is_written_as_csv_and_json(tmp_path):
    write_tables(tmp_path, {"drawn": summarise([_metrics(0.5, 0.25), _metrics(0.7, 0.25)])}, {"repeats": 2})

    with (tmp_path / "table4.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["structure"] for row in rows] == ["cranium", "spine", "mean"]
    assert float(rows[0]["box_AP50_mean"]) == pytest.approx(0.6)
    assert [rows[0][name] for name in ("box_n", "box_runs", "mask_n", "mask_runs")] == ["4", "2", "3", "2"]
    assert float(rows[0]["mask_AP50_sd"]) == 0
    assert [rows[1][name] for name in ("box_n", "box_AP50_mean", "box_AP50_sd", "box_runs")] == ["0", "", "", "0"]
    content = json.loads((tmp_path / "table4.json").read_text())
    assert content["repeats"] == 2
    assert content["sets"]["drawn"][1]["box"] is None


def test_repeats_with_other_settings_are_not_mixed(tmp_path):
    path = tmp_path / "run" / "protocol.json"
    keep_protocol(path, {"seed": 0, "data": ["a", 1.0]})

    keep_protocol(path, {"seed": 0, "data": ("a", 1.0)})
    with pytest.raises(DataError, match="other settings: seed was 0 and is 1"):
        keep_protocol(path, {"seed": 1, "data": ["a", 1.0]})
    path.write_text('{"seed": ')  # what a full disk left
    keep_protocol(path, {"seed": 1})
    assert json.loads(path.read_text()) == {"seed": 1}


def test_the_printed_mean_says_how_many_structures_it_is_over(capsys):
    metrics = _metrics(0.5, 0.25)
    metrics["structures"]["spine"] = {"support": 2, "mask_support": 0, "box": {"AP50": 0.7}, "mask": None}
    metrics["box"] = {"AP50": 0.6, "n": 2}

    Console(width=100).print(repeats_table("drawn", summarise([metrics, metrics]), 2))

    printed = capsys.readouterr().out
    assert "drawn: AP50, mean ± SD of 2 runs" in printed
    assert "SD with n - 1" in printed
    rows = {line[:8].strip(): line.split() for line in printed.splitlines() if line.strip()}
    assert rows["spine"][-1] == "n/a"
    assert rows["mean of"][2:5] == ["2", "(1", "by"]


def test_figures_that_were_cut_off_are_none(tmp_path):
    path = tmp_path / "metrics.json"
    assert read_json(path) is None
    path.write_text('{"box": ')
    assert read_json(path) is None
    path.write_text('{"box": 1}')
    assert read_json(path) == {"box": 1}
