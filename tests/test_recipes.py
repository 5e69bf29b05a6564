"""The recipes behind the shipped models: their commands are ours, their tables say what was measured."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from fetalseg.cli import main

RECIPES = Path(__file__).parent.parent / "recipes"


def test_the_script_of_a_model_uses_options_that_the_commands_have(capsys: pytest.CaptureFixture[str]) -> None:
    script = (RECIPES / "train.sh").read_text().replace("\\\n", " ")
    commands = re.findall(r"^ *(?:.*\|\| )?fetalseg (\w+) (.*)$", script, re.MULTILINE)
    assert {word for word, _ in commands} == {"phantom", "train", "export", "eval"}
    arrays = re.findall(r"(?:recipe|resume)=\((--[^)]*)", script)
    recipe = " ".join([*arrays, *re.findall(r"^ *train (.*)$", script, re.MULTILINE)])
    for word, rest in commands:
        with pytest.raises(SystemExit):
            main([word, "--help"])
        known = set(re.findall(r"--[\w-]+", capsys.readouterr().out))
        given = set(re.findall(r"(?<=\s)--[\w-]+", f" {rest} {recipe if word == 'train' else ''}"))
        assert given <= known, word


@pytest.mark.parametrize(("words", "message"), [((), "which model"), (("fetalseg-x", "data", "run"), "no recipe for")])
def test_the_script_says_what_it_needs(words: tuple[str, ...], message: str, tmp_path: Path) -> None:
    done = subprocess.run(
        ["bash", RECIPES / "train.sh", *words], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode != 0
    assert message in done.stderr
    assert not list(tmp_path.iterdir())  # and makes no synthetic set first


def test_a_card_s_table_has_what_was_measured_and_n_a_elsewhere(tmp_path: Path) -> None:
    box = {"AP50": 0.5, "AP75": 0.25, "AP": 0.125}
    palate = {"support": 3, "box": box, "mask": None, "centre_hit": 1.0, "dice": None}
    heart = {"support": 0, "box": box, "mask": None, "centre_hit": None, "dice": None}
    metrics = {"frames": 4, "box": box, "mask": None, "structures": {"palate": palate, "heart": heart}}
    (tmp_path / "nt").mkdir()
    (tmp_path / "nt" / "metrics.json").write_text(json.dumps(metrics))

    done = subprocess.run(
        [sys.executable, RECIPES / "card.py", tmp_path / "nt"], capture_output=True, text=True, check=True
    )

    assert "**nt**, 4 frames" in done.stdout
    assert "| palate | 3 | 0.500 | 0.250 | 0.125 | n/a | n/a | n/a | 1.000 | n/a |" in done.stdout
    assert "heart" not in done.stdout
