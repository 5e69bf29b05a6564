"""An engine that raises, returns NaN, hangs and is killed: the short mode of `python -m benchmarks.faults`."""

from __future__ import annotations

import json
import math
from collections import Counter
from pathlib import Path

import pytest

from benchmarks.faults import FAULTS, KILLED, Incident, longest_gap_s, main, passes, rows_of
from benchmarks.live.console import RESULT, UNANSWERED, ConsoleLog, FrameLog


def frames(*moments: float, outcome: str = RESULT) -> list[FrameLog]:
    return [FrameLog(moment, moment, moment + 0.01, outcome) for moment in moments]


def test_frames_belong_to_the_fault_before_them() -> None:
    log = ConsoleLog([*frames(1.0, 2.0), *frames(3.0, outcome="engine_error"), *frames(4.0)], close_code=1000)
    incidents = [Incident("raises", 1.5, "engine_error"), Incident(KILLED, 2.5, None)]
    raised, killed = rows_of([log], incidents)
    assert (raised["due"], raised["outcomes"]) == (1, Counter({RESULT: 1}))
    assert (killed["due"], killed["outcomes"]) == (2, Counter({RESULT: 1, "engine_error": 1}))
    assert killed["gaps_s"] == [1.51]  # from 2.5 to the answer at 4.01
    assert passes([log], [raised, killed])


def test_the_longest_gap_reaches_to_the_end_where_no_result_came() -> None:
    assert longest_gap_s(frames(1.0, 2.0), begin=0.0, end=10.0) == pytest.approx(7.99)
    assert longest_gap_s([], begin=0.0, end=5.0) == 5.0
    assert longest_gap_s(frames(1.0), begin=0.5, end=math.inf) == pytest.approx(0.51)


@pytest.mark.parametrize("flaw", ["lost", "unanswered", "no fault"])
def test_a_lost_session_an_unanswered_frame_or_a_fault_that_was_none_fails_the_run(flaw: str) -> None:
    log = ConsoleLog(frames(1.0), close_code=None if flaw == "lost" else 1000)
    if flaw == "unanswered":
        log.frames[0].outcome = UNANSWERED
    incident = Incident("raises", 0.5, "result" if flaw == "no fault" else "engine_error")
    assert not passes([log], rows_of([log], [incident]))


def test_sessions_outlive_every_fault_of_the_engine(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "faults.json"
    code = main(["--rounds", "1", "--sessions", "2", "--pause", "1.5", "--json", str(out)])
    printed = capsys.readouterr()
    assert code == 0, printed
    content = json.loads(out.read_text())
    rows = {row["fault"]: row for row in content["rows"]}
    assert content["sessions_stayed"] == 2
    assert list(rows) == list(FAULTS)
    assert all(rows[fault]["answers"] == {"engine_error": 1} for fault in ("returns NaN", "raises", "hangs"))
    assert rows["none"]["outcomes"]["result"] > 0
    assert rows["hangs"]["outcomes"]["engine_error"] > 0
