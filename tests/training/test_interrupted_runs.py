"""A run in a process of its own that is killed, and the same run that is not."""

import csv
import json
import os
import signal
import subprocess
import sys
import time

import pytest
from safetensors import safe_open

from fetalseg.cli import main
from fetalseg.cli.interruption import ends_softly


def _arguments(data, out, *more):
    common = ["--variant", "fetalseg-test", "--batch", "2", "--steps", "60", "--validations", "1", "--threads", "1"]
    return ["train", "--data", str(data), "--out", str(out), *common, "--holdout", "0.3", "--precision", "fp32", *more]


def _rows(path):
    if not path.exists():
        return []
    with path.open() as file:
        return list(csv.DictReader(file))


def _saved_step(path):
    with safe_open(path, framework="pt") as file:
        return json.loads(file.metadata()["fetalseg-run"])["progress"]["step"]


@pytest.mark.timeout(280)
def test_a_killed_run_loses_at_most_an_epoch_and_goes_on_along_its_curve(drawn_set, tmp_path):
    out = tmp_path / "killed"
    command = [sys.executable, "-m", "fetalseg.cli", *_arguments(drawn_set, out)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    end = time.monotonic() + 240
    while len(_rows(out / "log.csv")) < 14:
        assert process.poll() is None, "the run ended before it could be killed"
        assert time.monotonic() < end, "the run did not start"
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL

    done = len(_rows(out / "log.csv"))
    epoch = len(json.loads((out / "holdout" / "drawn" / "split.json").read_text())["train"]) // 2
    assert done < 60
    assert 0 < done - epoch - 1 <= _saved_step(out / "state.safetensors") <= done
    assert main(_arguments(drawn_set, out, "--resume")) == 0
    assert main(_arguments(drawn_set, tmp_path / "whole")) == 0

    killed, whole = _rows(out / "log.csv"), _rows(tmp_path / "whole" / "log.csv")
    assert [row["step"] for row in killed] == [row["step"] for row in whole]
    totals = ([float(row["total"]) for row in rows] for rows in (killed, whole))
    assert next(totals) == pytest.approx(next(totals), rel=1e-3)


def test_the_second_ctrl_c_ends_at_once_and_a_job_schedulers_signal_never_does():
    stops = []
    with ends_softly(lambda: stops.append(1)):
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGINT)
        assert len(stops) == 3
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_a_launcher_may_pass_on_what_the_terminal_sent():
    stops = []
    with ends_softly(lambda: stops.append(1), alone=False):
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)

    assert len(stops) == 2


def test_signals_mean_afterwards_what_they_meant_before():
    before = signal.getsignal(signal.SIGTERM)

    with ends_softly(lambda: None):
        assert signal.getsignal(signal.SIGTERM) is not before

    assert signal.getsignal(signal.SIGTERM) is before
