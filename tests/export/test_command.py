from fetalseg.cli import main
from fetalseg.model_file import file_digest, read_facts


def test_the_command_hands_the_facts_on_and_prints_how_far_the_file_is_from_the_network(checkpoint, tmp_path, capsys):
    out = tmp_path / "new" / "mine.onnx"
    arguments = ["export", str(checkpoint), "--out", str(out), "--candidates", "30", "--name", "mine"]
    assert main([*arguments, "--version", "3.0.0", "--licence", "MIT"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["frames", "output", "largest", "difference", "tolerance"]
    assert [line.split()[:2] for line in lines[1:6]] == [
        ["noise", output] for output in ("scores", "boxes", "coefficients", "prototypes", "ranks")
    ]
    assert lines[-1].startswith(f"wrote {out} (0.")
    facts = read_facts(out)
    assert (facts.name, facts.version, facts.candidates) == ("mine", "3.0.0", 30)
    assert facts.training_data == ("phantom, seed 0",)
    assert (facts.licence, facts.commit) == ("MIT", "abc")
    assert facts.postprocess == {"min_score": 0.4}
    assert facts.weights_sha256 == file_digest(checkpoint)
    assert [path.name for path in out.parent.iterdir()] == ["mine.onnx"]


def test_a_pickle_is_refused_with_a_message(tmp_path, capsys):
    path = tmp_path / "best.pth"
    path.write_bytes(b"\x80\x04N.")
    assert main(["export", str(path), "--out", str(tmp_path / "a.onnx")]) == 1
    assert "pickles are never opened; got best.pth" in capsys.readouterr().err
    assert not (tmp_path / "a.onnx").exists()
