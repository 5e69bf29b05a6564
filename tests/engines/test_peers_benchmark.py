"""benchmarks/peers.py runs networks side by side, and what is measured of each is what it says."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import types
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

pytest.importorskip("torchvision", reason="the peers need the extra train")

import torch
from torch import nn

from benchmarks.peer_models.figures import bar_line
from benchmarks.peer_models.mask_iou_head import MaskIouHead
from benchmarks.peer_models.network_file import NetworkAlone
from benchmarks.peer_models.peer import FrameToMasks, PeerFacts
from benchmarks.peer_models.place import Place
from benchmarks.peer_models.rcnn import MaskRcnn
from benchmarks.peer_models.yolo import InstalledYolo, predictions_and_prototypes, yolo_candidates
from benchmarks.peers import main
from benchmarks.speed.turns import Samples
from fetalseg.errors import EngineError, ModelFileError

ROOT = Path(__file__).resolve().parent.parent.parent
FRAME = np.random.default_rng(0).integers(0, 256, (48, 64), np.uint8)


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """On a busy machine two of torch's threads wait for each other most of the time."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def source(tmp_path: Path) -> list[str]:
    import cv2

    path = tmp_path / "frame.png"
    cv2.imwrite(str(path), FRAME)
    return ["--source", str(path), "--threads", "1"]


def _write_network(path: Path, shape: list[int | str], kind: int = TensorProto.FLOAT) -> Path:
    """A file whose only node multiplies its input by 2."""
    two = np.array(2, np.float16 if kind == TensorProto.FLOAT16 else np.float32)
    graph = helper.make_graph(
        [helper.make_node("Mul", ["images", "two"], ["output0"])],
        "doubling",
        [helper.make_tensor_value_info("images", kind, shape)],
        [helper.make_tensor_value_info("output0", kind, shape)],
        [numpy_helper.from_array(two, "two")],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), path)
    return path


def test_our_networks_stand_side_by_side_in_every_runtime(
    source: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    figures = tmp_path / "peers.json"
    options = ["--input", "96x64", "--frames", "7", "--json", str(figures)]

    assert main(["--peers", "fetalseg-test", *options, *source]) == 0

    table = [line.split("|") for line in capsys.readouterr().out.splitlines() if line.startswith("| fetalseg")]
    runtimes = ["torch", "onnxruntime", "openvino"]
    assert [cells[1].split()[2] for cells in table] == runtimes
    assert " to " in table[1][4], "seven frames are enough for an interval"
    rows = json.loads(figures.read_text())["rows"]
    assert [row["facts"]["runtime"] for row in rows] == runtimes
    for row in rows:
        assert row["facts"]["weights"] == "random weights: speed only"
        assert row["instances"] == 12
        assert row["p50_ms"]["model"] < row["p50_ms"]["frame_to_masks"]


def test_a_few_frames_have_no_interval(source: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--runtime", "onnxruntime", "openvino", "--input", "96x64", "--frames", "2"]

    assert main(["--peers", "fetalseg-test", *options, *source]) == 0

    printed = capsys.readouterr().out
    table = [line.split("|") for line in printed.splitlines() if line.startswith("| fetalseg")]
    assert table[1][4].endswith("(too few frames) ")
    assert "; onnxruntime" in printed
    assert "torch" not in printed, "the versions are those of the runtimes that took part"


def test_a_networks_bar_is_another_one_alone_at_the_same_input_in_the_same_runtime(
    source: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    yolo = _write_network(tmp_path / "yolo.onnx", [1, 3, 64, 96])
    options = ["--runtime", "onnxruntime", "--frames", "7", "--yolo-onnx", str(yolo)]

    assert main(["--peers", "fetalseg-test", "--input", "96x64", *options, *source]) == 0

    bars = [line for line in capsys.readouterr().out.splitlines() if line.startswith("bar: ")]
    assert len(bars) == 1
    assert bars[0].startswith("bar: fetalseg-s 96x64, onnxruntime fp32 frame to masks ")
    assert "yolo 96x64, onnxruntime fp32 network alone" in bars[0]
    assert bars[0].endswith("MISSED"), "doubling an image is faster than any network"


@pytest.mark.parametrize(("name", "package"), [("detectron2", "detectron2"), ("yolo11n-seg", "ultralytics")])
def test_who_is_not_installed_is_left_out(
    name: str, package: str, source: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    if importlib.util.find_spec(package) is not None:
        pytest.skip(f"{package} is installed here")

    code = main(["--peers", name, "fetalseg-test", "--runtime", "torch", "--input", "96x64", "--frames", "1", *source])

    assert code == 0
    assert f"left out: {name}" in capsys.readouterr().out
    assert main(["--peers", name, "--runtime", "torch", *source]) == 1
    assert "none of these networks can be run here" in capsys.readouterr().err


def test_why_a_network_is_not_run_in_a_runtime_is_said(source: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    peers = ["--peers", "fetalseg-test", "mask-rcnn", "--input", "96x64", "--frames", "1", *source]

    assert main([*peers, "--runtime", "openvino", "onnxruntime", "--precision", "bf16"]) == 0

    printed = capsys.readouterr().out
    assert "left out: mask-rcnn: it runs in torch alone" in printed
    assert "left out: onnxruntime: onnxruntime computes fetalseg-test.onnx in fp32; 'bf16' can't be chosen" in printed
    table = [line.split("|") for line in printed.splitlines() if line.startswith("| fetalseg")]
    assert [cells[1].split()[2:4] for cells in table] == [["openvino", "bf16"]]
    assert table[0][3].strip().endswith("/ -"), "one frame has no p95"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--frames", "0"], "argument --frames: expected a whole number from 1 on, got '0'"),
        (["--threads", "0"], "argument --threads: expected a whole number from 1 on, got '0'"),
        (["--yolo-onnx", "no-such.onnx"], "argument --yolo-onnx: no file no-such.onnx"),
        (
            ["--yolo-onnx", __file__, "--runtime", "torch"],
            "--yolo-onnx needs --runtime onnxruntime or openvino, got torch",
        ),
        (["--json", "."], "argument --json: can't write .: Is a directory"),
    ],
)
def test_a_bad_argument_is_wrong_usage(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_code:
        main(words)

    assert exit_code.value.code == 2
    assert said in capsys.readouterr().err


def test_a_file_that_is_no_network_is_said(source: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--peers", "fetalseg-s", "--runtime", "onnxruntime", "--yolo-onnx", __file__, *source]) == 1
    assert "peers: onnxruntime can't run test_peers_benchmark.py: " in capsys.readouterr().err


def test_an_unknown_network_is_said_in_one_line(source: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--peers", "no-such-network", "--runtime", "torch", *source]) == 1
    assert capsys.readouterr().err.startswith("peers: no model named 'no-such-network'")


def test_mask_rcnn_looks_at_so_many_proposals_and_keeps_twelve() -> None:
    peer = MaskRcnn((64, 96), Place("fp32", "cpu"), proposals=30)
    contestant = FrameToMasks(peer, [FRAME])

    figures = contestant(range(2))

    assert figures["instances"] == [12, 12]
    assert figures["area"] == pytest.approx([1.5, 1.5], abs=0.02)
    assert peer.proposals == [30, 30]
    assert all(0 < one < whole for one, whole in zip(figures["model"], figures["frame_to_masks"], strict=True))


def test_mask_scoring_changes_the_scores_and_nothing_else() -> None:
    place = Place("fp32", "cpu")
    plain, scoring = (MaskRcnn((64, 64), place, proposals=20, mask_scoring=one) for one in (False, True))
    image = plain.prepare(FRAME)

    before, after = plain.infer(image, {}).found, scoring.infer(image, {}).found

    for name in ("boxes", "labels", "masks"):
        assert torch.equal(before[name], after[name])
    assert not torch.allclose(before["scores"], after["scores"])


def test_the_mask_iou_head_has_the_layers_of_the_paper() -> None:
    head = MaskIouHead(classes=18)

    ious = head(torch.zeros(5, 256, 14, 14), torch.zeros(5, 1, 28, 28))

    assert ious.shape == (5, 18)
    # 3x3 convolutions of 257 and three times 256 channels to 256; 256*7*7 to 1024 to 1024 to 18; a bias each
    convolutions = (257 * 9 + 1) * 256 + 3 * (256 * 9 + 1) * 256
    connected = (12544 + 1) * 1024 + (1024 + 1) * 1024 + (1024 + 1) * 18
    assert sum(weight.numel() for weight in head.parameters()) == convolutions + connected == 16_276_754


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_a_file_that_leaves_its_size_open_gets_the_common_one(runtime: str, tmp_path: Path) -> None:
    path = _write_network(tmp_path / "open.onnx", ["batch", 3, "height", "width"])

    network = NetworkAlone(path, runtime, device="cpu", precision="fp32", threads=1, size=(32, 64))

    assert str(network.facts) == f"open 64x32, {runtime} fp32"
    assert len(network(range(3))["model"]) == 3


def test_a_file_of_half_precision_is_fed_so(tmp_path: Path) -> None:
    path = _write_network(tmp_path / "half.onnx", [1, 3, 32, 32], TensorProto.FLOAT16)

    network = NetworkAlone(path, "onnxruntime", device="cpu", precision="fp32", threads=1, size=(8, 8))

    assert (network.facts.precision, network.facts.input) == ("fp16", (32, 32))
    assert network(range(1))["model"][0] > 0


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_a_file_with_another_input_is_said(runtime: str, tmp_path: Path) -> None:
    path = _write_network(tmp_path / "gray.onnx", [1, 1, 32, 32])

    with pytest.raises(ModelFileError, match=r"gray\.onnx: expected an input \[1, 3, h, w\]"):
        NetworkAlone(path, runtime, device="cpu", precision="fp32", threads=1, size=(32, 32))


def test_predictions_of_yolo_become_candidates() -> None:
    # two anchors, two classes, one coefficient; columns are anchors
    predictions = np.array([[[10, 20], [30, 40], [4, 8], [6, 2], [0.1, 0.9], [0.2, 0.3], [-1, 2]]], np.float32)
    prototypes = np.ones((1, 1, 4, 4), np.float32)

    found = yolo_candidates(predictions, prototypes, classes=2)

    assert found.boxes.tolist() == [[[16, 39, 24, 41], [8, 27, 12, 33]]]  # the second anchor has the best score
    assert found.scores == pytest.approx(np.array([[[0.9, 0.3], [0.1, 0.2]]]))
    assert found.coefficients.tolist() == [[[2], [-1]]]
    found.check()


def test_outputs_that_are_none_of_yolo_are_said() -> None:
    with pytest.raises(EngineError, match=r"got \(1, 300, 38\)"):
        predictions_and_prototypes([torch.zeros(1, 300, 38)], classes=80)


class _Published(nn.Module):
    """Answers in the shapes and nesting of ultralytics' segmentation networks."""

    def __init__(self) -> None:
        super().__init__()
        self.names = {0: "a", 1: "b"}
        self.layer = nn.Conv2d(3, 4, 4, stride=4)

    def fuse(self, verbose: bool = True) -> None:
        """As theirs: nothing to fold here."""

    def forward(self, images: torch.Tensor) -> object:
        prototypes = self.layer(images)
        anchors = torch.rand(1, 4 + 2 + 4, 50) * 40
        anchors[:, 4:6] = torch.rand(1, 2, 50)
        return anchors, ([images], anchors[:, 6:], prototypes)


def test_an_installed_yolo_is_run_from_frame_to_masks(monkeypatch: pytest.MonkeyPatch) -> None:
    package = types.ModuleType("ultralytics")
    package.YOLO = lambda name, verbose: types.SimpleNamespace(model=_Published())  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "ultralytics", package)

    peer = InstalledYolo("yolo11n-seg", (50, 70), Place("fp32", "cpu"))
    contestant = FrameToMasks(peer, [FRAME])
    figures = contestant(range(1))

    assert peer.facts.input == (96, 64), "the next multiples of 32"
    assert figures["instances"] == [12]


def _samples(name: str, values: list[float]) -> Samples:
    return Samples(blocks=[{name: [value]} for value in values])


@pytest.mark.parametrize(("ours", "verdict"), [(8.0, "HELD"), (12.0, "MISSED"), (10.0, "HELD")])
def test_the_bar_is_held_by_who_takes_no_longer(ours: float, verdict: str) -> None:
    facts = PeerFacts("any", "openvino", "fp32", (96, 64), "", "")

    line = bar_line(facts, _samples("frame_to_masks", [ours] * 6), facts, _samples("model", [10.0] * 6))

    assert f"{ours / 10:.2f} (" in line
    assert line.endswith(f": {verdict}")


def test_the_bar_is_open_where_noise_hides_the_difference() -> None:
    facts = PeerFacts("any", "openvino", "fp32", (96, 64), "", "")
    ours = _samples("frame_to_masks", [8.0, 13.0, 9.0, 12.0, 8.0, 13.0])

    assert bar_line(facts, ours, facts, _samples("model", [10.0] * 6)).endswith("no difference to be seen")
    assert bar_line(facts, ours, facts, _samples("model", [10.0] * 6)).count("ms") == 2


def test_it_runs_as_a_script_and_as_a_module() -> None:
    for way in (["benchmarks/peers.py"], ["-m", "benchmarks.peers"]):
        done = subprocess.run([sys.executable, *way, "--help"], cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert "--yolo-onnx" in done.stdout
