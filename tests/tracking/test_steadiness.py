"""The benchmark of steadiness."""

from __future__ import annotations

import pytest

from benchmarks.steadiness import main


def test_it_prints_a_table_and_refuses_no_frames(capsys: pytest.CaptureFixture[str], default_model: object) -> None:
    assert main(["--frames", "2", "--seeds", "1", "--threads", "1"]) == 0
    assert "| flicker, changes a second |" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main(["--frames", "0"])
    assert "--frames must be at least 1, got 0" in capsys.readouterr().err
    assert main(["--model", "no-such-model"]) == 1
    assert capsys.readouterr().err.startswith("steadiness: ")
