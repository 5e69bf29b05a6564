"""The dispatcher: words, exit codes, and that it stays light."""

from __future__ import annotations

import subprocess
import sys

import pytest

from fetalseg import __version__
from fetalseg.cli import COMMANDS, main


def exit_code(*arguments: str) -> int:
    with pytest.raises(SystemExit) as raised:
        main(arguments)
    assert isinstance(raised.value.code, int)
    return raised.value.code


def test_version_is_the_packages(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code("--version") == 0
    assert capsys.readouterr().out == f"fetalseg {__version__}\n"


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code("--help") == 0
    text = capsys.readouterr().out
    for word in COMMANDS:
        assert f"\n    {word} " in text


def test_an_unknown_command_lists_the_known_ones(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code("segment") == 2
    error = capsys.readouterr().err
    assert "invalid choice: 'segment'" in error
    for word in COMMANDS:
        assert word in error


def test_no_command_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code() == 2
    assert "COMMAND" in capsys.readouterr().err


def test_an_unknown_option_lists_the_commands_own(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code("predict", "a.png", "--colour") == 2
    error = capsys.readouterr().err
    assert "usage: fetalseg predict" in error
    assert "--min-score" in error
    assert "unrecognized arguments: --colour" in error


def test_an_error_of_ours_is_one_line_and_exit_code_1(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["predict", "a.png", "--model", "no-such-model"]) == 1
    error = capsys.readouterr().err
    assert error.startswith("fetalseg predict: no model named 'no-such-model'")
    assert error.count("\n") == 1


def test_help_imports_nothing_heavy() -> None:
    code = """
import sys
from fetalseg.cli import main
try:
    main(["--help"])
except SystemExit:
    pass
heavy = {"torch", "onnx", "onnxruntime", "openvino", "pydicom", "fastapi", "rich"} & set(sys.modules)
sys.exit(f"imported: {heavy}" if heavy else 0)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_reader_that_closes_the_pipe_is_no_traceback() -> None:
    command = [sys.executable, "-m", "fetalseg.cli", "models", "--json"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    error = process.stderr.read()
    process.stderr.close()
    assert process.wait(timeout=60) == 1
    assert "Traceback" not in error
    assert "BrokenPipe" not in error
