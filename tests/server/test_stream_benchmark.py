"""What benchmarks/stream.py computes, and one short run of it against a real server."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from benchmarks.live.capacity_search import largest_that_holds
from benchmarks.live.console import KEPT, RESULT, UNANSWERED, ConsoleLog, FrameLog, Timetable
from benchmarks.live.figures import Budget, Spread, latencies_ms, spread, stream_figures
from benchmarks.live.metrics_page import Histogram, parse_lag
from benchmarks.live.table import markdown_table
from benchmarks.record import commit_of, without_folders
from benchmarks.stream import main
from server.live import RunningServer

TIMING = (1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 25.0)  # queue, decode, preprocess, infer, postprocess, encode, total


def result(due: float, latency_ms: float, rung: int = 0) -> FrameLog:
    return FrameLog(due, due + 0.001, due + latency_ms / 1000, RESULT, 25.0, TIMING, rung)


def test_a_timetable_keeps_its_pace_whatever_the_jitter() -> None:
    due = Timetable(fps=25, seconds=2, jitter_ms=5, phase_ms=8, seed=1).due_s()
    assert len(due) == 50
    late = [1000 * (moment - 0.008 - k / 25) for k, moment in enumerate(due)]
    assert all(0 <= jitter <= 5.0001 for jitter in late)
    assert max(late) - min(late) > 3
    assert due == Timetable(fps=25, seconds=2, jitter_ms=5, phase_ms=8, seed=1).due_s()


@pytest.mark.parametrize(("fps", "seconds", "jitter_ms"), [(0, 1, 0), (25, 0, 0), (25, 1, 40), (25, 1, -1)])
def test_a_timetable_that_makes_no_sense_is_refused(fps: float, seconds: float, jitter_ms: float) -> None:
    with pytest.raises(ValueError, match="expected fps and seconds above 0 and a jitter below the time of a frame"):
        Timetable(fps, seconds, jitter_ms)


def test_shares_count_every_frame_that_was_due_and_the_worst_console_decides() -> None:
    good = ConsoleLog([result(10.0 + k, 30.0) for k in range(4)])
    poor = ConsoleLog(
        [
            result(5.0, 500.0),  # before the end of the warm-up
            result(10.0, 39.0),
            result(11.0, 41.0, rung=1),
            FrameLog(12.0, 12.0, 12.1, "superseded", 3.0),
            FrameLog(13.0, outcome=KEPT),
        ]
    )
    figures = stream_figures([good, poor], measured_from=10.0, budget=Budget(latency_ms=40.0))
    assert (figures.due, figures.results, figures.in_time, figures.kept) == (8, 6, 5, 1)
    assert (figures.worst_in_time, figures.worst_skipped) == (0.25, 0.25)
    assert figures.skipped == {"superseded": 1}
    assert figures.rungs == {0: 5, 1: 1}
    assert not figures.holds(Budget(latency_ms=40.0))
    assert figures.holds(Budget(latency_ms=40.0, share=0.25, skipped=0.25))


def test_durations_are_taken_apart_as_the_table_says() -> None:
    figures = stream_figures([ConsoleLog([result(10.0, 30.0)])], measured_from=0.0, budget=Budget())
    p50 = {name.strip(): values.p50 for name, values in figures.durations.items()}
    assert p50["due to answered"] == pytest.approx(30)
    assert p50["due to sent: the console is late"] == pytest.approx(1)
    assert p50["sent to answered"] == pytest.approx(29)
    assert p50["both ways, outside the server"] == pytest.approx(4)  # 29 - 25
    assert p50["server: last byte to answer"] == 25
    assert p50["total without decode, preprocess, infer, postprocess"] == 11  # 25 - 2 - 3 - 4 - 5
    assert "| due to answered " in figures.table()


def test_a_frame_that_nobody_answered_fails_a_run_even_during_the_warm_up() -> None:
    log = ConsoleLog([FrameLog(1.0, 1.0, outcome=UNANSWERED), *(result(10.0 + k, 20.0) for k in range(1000))])
    figures = stream_figures([log], measured_from=10.0, budget=Budget())
    assert (figures.unanswered, figures.worst_in_time) == (1, 1.0)
    assert not figures.holds(Budget())
    assert figures.in_budget(Budget())


def test_a_run_without_any_result_has_figures_too() -> None:
    log = ConsoleLog([FrameLog(1.0, 1.0, 1.1, "engine_error", 5.0)])
    figures = stream_figures([log], measured_from=0.0, budget=Budget())
    assert (figures.results, figures.durations, figures.skipped) == (0, {}, {"engine_error": 1})
    assert latencies_ms([log], measured_from=0.0) == [math.inf]


def test_a_warm_up_as_long_as_the_run_is_refused() -> None:
    with pytest.raises(ValueError, match="no frame is left to measure"):
        stream_figures([ConsoleLog([result(1.0, 1.0)])], measured_from=2.0, budget=Budget())


def test_a_spread_is_made_of_known_percentiles() -> None:
    assert spread(range(101)) == Spread(50.0, 95.0, 99.0, 100.0)
    with pytest.raises(ValueError, match="at least one value"):
        spread([])


PAGE = """# HELP fetalseg_event_loop_lag_seconds by how much the event loop is late
# TYPE fetalseg_event_loop_lag_seconds histogram
fetalseg_event_loop_lag_seconds_bucket{le="0.001"} 50.0
fetalseg_event_loop_lag_seconds_bucket{le="0.002"} 90.0
fetalseg_event_loop_lag_seconds_bucket{le="+Inf"} 100.0
fetalseg_event_loop_lag_seconds_sum 0.2
fetalseg_frames_total{outcome="result"} 7.0
"""


def test_a_metrics_page_gives_the_event_loops_lag() -> None:
    lag = parse_lag(PAGE)
    assert lag.quantile(0.25) == pytest.approx(0.0005)  # half way through the first bucket
    assert lag.quantile(0.7) == pytest.approx(0.0015)  # 50 + 20 of 40 in the second
    assert lag.quantile(0.99) == 0.002  # beyond the last bound


def test_a_histogram_is_read_from_one_look_to_the_next() -> None:
    before = Histogram({0.001: 10.0, math.inf: 10.0})
    later = Histogram({0.001: 10.0, math.inf: 12.0})
    assert later.since(before).cumulative == {0.001: 0.0, math.inf: 2.0}
    assert before.since(before).quantile(0.5) is None
    assert parse_lag("").quantile(0.5) is None


@pytest.mark.parametrize("most", [1, 2, 5, 8, 13])
def test_the_search_finds_every_largest_number_without_trying_one_twice(most: int) -> None:
    for largest in range(most + 1):
        tried: list[int] = []

        def holds(count: int, tried: list[int] = tried, largest: int = largest) -> bool:
            tried.append(count)
            return count <= largest

        assert largest_that_holds(holds, most) == largest
        assert len(tried) == len(set(tried))
        assert all(1 <= count <= most for count in tried)


def test_a_table_can_be_pasted_as_markdown() -> None:
    assert markdown_table(["ms", "p50"], [["infer", "1.25"]]).splitlines() == [
        "| ms    |  p50 |",
        "| :---- | ---: |",
        "| infer | 1.25 |",
    ]
    with pytest.raises(ValueError, match="expected 2 cells, got 1"):
        markdown_table(["ms", "p50"], [["infer"]])


def test_outside_of_a_checkout_the_commit_is_unknown(tmp_path: Path) -> None:
    assert commit_of(tmp_path) == "unknown"


def test_a_record_says_which_model_was_served_and_not_where_it_lay() -> None:
    words = ["--model", "/somewhere/models/fetalseg-s.onnx", "--models=/somewhere/models/", "--workers", "2"]
    assert without_folders(words) == ["--model", "fetalseg-s.onnx", "--models=models", "--workers", "2"]


@pytest.mark.parametrize("codec", ["jpeg", "gray8"])
def test_a_short_run_answers_every_frame_and_writes_its_figures(
    server: RunningServer, tmp_path: Path, capsys: pytest.CaptureFixture[str], codec: str
) -> None:
    figures, plot = tmp_path / "figures" / "stream.json", tmp_path / "stream.png"
    # A budget that any machine holds: the test is about the answers.
    arguments = ["--url", server.http, "--codec", codec, "--masks", "labelmap", "--size", "160x120"]
    arguments += ["--seconds", "1", "--warm-up", "0.2", "--deadline-ms", "60000", "--budget-ms", "60000"]
    main([*arguments, "--window", "0", "--json", str(figures), "--plot", str(plot)])
    printed = capsys.readouterr().out
    assert "| due to answered " in printed
    assert "FAULT" not in printed
    content = json.loads(figures.read_text())
    (run,) = content["runs"].values()
    assert {"date", "commit", "machine", "tool"} <= set(content)
    assert run["server"]["model"]["name"] == "crafted"
    assert (run["unanswered"], run["unsent"], run["kept"], run["faults"]) == (0, 0, 0, [])
    assert run["due"] == run["results"] + sum(run["skipped"].values())
    assert run["results"] > 0
    assert plot.stat().st_size > 0


@pytest.mark.parametrize("size", ["640", "0x480", "640x", "axb", "640x-1"])
def test_a_size_that_is_none_is_refused(size: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--size", size])
    assert f"argument --size: expected WxH, got {size}" in capsys.readouterr().err


def test_the_search_for_the_most_consoles_keeps_the_runs_that_it_tried(server: RunningServer, tmp_path: Path) -> None:
    figures = tmp_path / "capacity.json"
    arguments = ["--url", server.http, "--find-capacity", "--max-consoles", "2", "--size", "160x120", "--seconds", "1"]
    arguments += ["--warm-up", "0.2", "--deadline-ms", "60000", "--budget-ms", "0.001", "--json", str(figures)]
    assert main(arguments) == 1  # nobody is as quick as this
    content = json.loads(figures.read_text())
    assert content["most_consoles"] == 0
    assert [(count, run["holds"]) for count, run in content["runs"].items()] == [("1", False)]


def test_a_server_that_is_not_there_is_said_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--url", "http://127.0.0.1:1", "--seconds", "1", "--warm-up", "0"]) == 1
    assert capsys.readouterr().err.startswith("stream: ")
