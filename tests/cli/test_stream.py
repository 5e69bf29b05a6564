"""`fetalseg stream` as a console uses it, against a real server."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from crafted_model import crafted_facts, write_crafted_model
from server.broken_link import BrokenLink
from server.live import RunningServer, running

from fetalseg.cli import main
from fetalseg_server.settings import Settings


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    model = write_crafted_model(tmp_path_factory.mktemp("model") / "crafted.onnx")
    with running(Settings(port=0, model=str(model), threads=1, drain_grace_s=0.0)) as live:
        yield live


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Six dark frames of 64 x 48."""
    frames = tmp_path / "frames"
    frames.mkdir()
    for number in range(6):
        cv2.imwrite(str(frames / f"{number}.png"), np.full((48, 64), 10 * number, np.uint8))
    return frames


def test_the_summary_counts_every_frame(
    server: RunningServer, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    figures = folder.parent / "figures.json"
    assert main(["stream", str(folder), server.url, "--fps", "10", "--json", str(figures)]) == 0
    written = json.loads(figures.read_text())
    assert written["sent"] + written["dropped"] + written["late"] == 6
    assert written["answered"] == written["sent"]
    assert written["structures"] == {"cranium": written["answered"]}
    assert written["views"] == {"head": written["answered"]}
    latency = written["latency"]
    assert 0 < latency["p50"] <= latency["p95"] <= latency["p99"] <= latency["max"]
    output = capsys.readouterr().out
    assert "Cranium" in output
    assert "structures seen (1 of 17)" in output


def test_structures_of_another_model_are_reported_by_its_own_names(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = ("yolk_sac", *(f"part {number}" for number in range(2, 18)))
    facts = crafted_facts(structures=names)
    model = write_crafted_model(folder.parent / "crafted.onnx", facts=facts.to_json())
    figures = folder.parent / "figures.json"
    with running(Settings(port=0, model=str(model), threads=1, drain_grace_s=0.0)) as live:
        assert main(["stream", str(folder), live.url, "--fps", "10", "--json", str(figures)]) == 0
    written = json.loads(figures.read_text())
    assert written["structures"] == {"yolk_sac": written["answered"]}
    assert written["views"] == {}
    assert written["model_structures"] == list(names)
    output = capsys.readouterr().out
    assert "structures seen (1 of 17)" in output
    assert f"Yolk sac {written['answered']}" in output


def test_a_loop_lasts_as_long_as_asked_with_a_line_a_second(
    server: RunningServer, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--fps", "25", "--seconds", "2.2", "--loop", "--codec", "gray8", "--masks", "labelmap"]
    figures = folder.parent / "figures.json"
    assert main(["stream", str(folder), server.url, *arguments, "--json", str(figures)]) == 0
    written = json.loads(figures.read_text())
    assert written["sent"] + written["dropped"] + written["late"] == 55  # 2.2 s at 25 FPS, whatever the load
    lines = [line for line in capsys.readouterr().out.splitlines() if " answered " in line and " s  " in line]
    assert [line.split()[0] for line in lines] == ["1", "2"]


def test_signals_mean_afterwards_what_they_meant_before(server: RunningServer, folder: Path) -> None:
    def handler(number: int, frame: object) -> None:
        raise AssertionError("nobody sends a signal")

    before = signal.signal(signal.SIGTERM, handler)
    try:
        assert main(["stream", str(folder), server.url, "--seconds", "0.1"]) == 0
        assert signal.getsignal(signal.SIGTERM) is handler
    finally:
        signal.signal(signal.SIGTERM, before)


def test_frames_are_resized(folder: Path) -> None:
    model = write_crafted_model(folder.parent / "crafted.onnx")
    settings = Settings(port=0, model=str(model), threads=1, drain_grace_s=0.0, max_pixels=32 * 24)
    arguments = ["--seconds", "0.5", "--codec", "rgb24", "--masks", "none"]
    with running(settings) as small:
        assert main(["stream", str(folder), small.url, *arguments]) == 1  # 64x48 px are too large there
        assert main(["stream", str(folder), small.url, *arguments, "--resize", "32x24"]) == 0


def test_the_token_is_read_from_the_environment_or_a_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = write_crafted_model(folder.parent / "crafted.onnx")
    settings = Settings(port=0, model=str(model), threads=1, drain_grace_s=0.0, tokens="console:sesame-sesame-sesame")
    with running(settings) as guarded:
        assert main(["stream", str(folder), guarded.url]) == 1
        monkeypatch.setenv("FETALSEG_TOKEN", "sesame-sesame-sesame")
        assert main(["stream", str(folder), guarded.url]) == 0
        monkeypatch.delenv("FETALSEG_TOKEN")
        file = folder.parent / "token.txt"
        file.write_text("sesame-sesame-sesame\n")
        assert main(["stream", str(folder), guarded.url, "--token-file", str(file)]) == 0


def test_a_console_that_reconnects_goes_on_after_a_break(
    server: RunningServer, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    link = BrokenLink(int(server.host.rpartition(":")[2]))
    link.cut_after = 20_000  # within the sixth frame or the seventh
    try:
        arguments = ["--loop", "--seconds", "3", "--codec", "gray8", "--reconnect"]
        assert main(["stream", str(folder), link.url, *arguments]) == 0
    finally:
        link.close()
    assert "(connections made anew: 1)" in capsys.readouterr().out
    assert link.connections == 2


def test_certificates_are_for_secure_addresses_only(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["stream", str(folder), "ws://127.0.0.1:9/v1/stream", "--ca-file", "ca.pem"]) == 1
    assert "certificates are for wss:// addresses" in capsys.readouterr().err


def test_no_server_is_an_error_in_plain_words(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["stream", str(folder), "ws://127.0.0.1:9/v1/stream"]) == 1
    assert capsys.readouterr().err.startswith("fetalseg stream: no server listens at ws://127.0.0.1:9/v1/stream")


def test_a_source_that_is_not_there_is_an_error_in_plain_words(
    server: RunningServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["stream", str(tmp_path / "none.mp4"), server.url]) == 1
    assert "no file or folder" in capsys.readouterr().err


def test_nothing_answered_is_a_failure(server: RunningServer, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["stream", str(folder), server.url, "--deadline-ms", "0.001"]) == 1  # nothing is that quick
    captured = capsys.readouterr()
    assert "no frame was answered with a result" in captured.err
    assert "deadline" in captured.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--fps", "0"], "expected a number above 0, got 0"),
        (["--quality", "0"], "expected a whole number within 1..100, got 0"),
        (["--resize", "640"], "expected WIDTHxHEIGHT such as 640x480, got 640"),
        (["--fps", "fast"], "invalid positive value: 'fast'"),
    ],
)
def test_wrong_usage_says_what_is_expected(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["stream", "phantom", "ws://127.0.0.1:9/v1/stream", *arguments])
    assert caught.value.code == 2
    assert message in capsys.readouterr().err
