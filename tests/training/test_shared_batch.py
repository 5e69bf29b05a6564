"""Several processes that share a batch compute what one would."""

import csv
import json
import os
import subprocess
import sys

import pytest
import torch
import torch.distributed as dist
from torch import nn

from fetalseg.cli import main
from fetalseg.data.augment import AugmentOptions, plain
from fetalseg.model.yolact import RawPredictions, Yolact
from fetalseg.training.batches import BatchMaker, FrameSet, collate
from fetalseg.training.criterion import Criterion, loss_config, matching_rules
from fetalseg.training.distributed import Processes, join_processes
from fetalseg.training.global_batch_norm import GlobalBatchNorm, use_global_batch_norm


@pytest.fixture
def alone_in_a_group():
    """A process group of this process only."""
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    yield
    dist.destroy_process_group()


def test_the_parts_of_a_batch_are_the_batch(tiny, frames):
    def maker(*part):
        part = part or (0, 1)
        return BatchMaker([FrameSet("a", frames, 1.0)], tiny, size=5, options=AugmentOptions(), seed=0, part=part)

    whole, one, two = maker().batch(3), maker(0, 2).batch(3), maker(1, 2).batch(3)

    assert torch.equal(whole.images[0::2], one.images)
    assert torch.equal(whole.images[1::2], two.images)
    assert all(torch.equal(a, b) for a, b in zip(whole.boxes[1::2], two.boxes, strict=True))


def test_a_batch_has_a_frame_for_every_process(tiny, frames):
    with pytest.raises(ValueError, match="a batch of 2 frames is too small for 3 processes"):
        BatchMaker([FrameSet("a", frames, 1.0)], tiny, size=2, options=AugmentOptions(), seed=0, part=(0, 3))


def test_the_losses_of_the_parts_add_up_to_those_of_the_batch(tiny, frames):
    torch.manual_seed(0)
    network = Yolact(tiny).train()
    # Three frames with a cranium (mask) and an NT (box alone), and one with nothing: the parts differ in every count.
    batch = collate([plain(f, tiny.input, tiny.prototype_shape) for f in frames[:4]], 1)
    empty = {name: [*getattr(batch, name)[:3], getattr(batch, name)[3][:0]] for name in ("boxes", "labels")}
    empty |= {name: [*getattr(batch, name)[:3], getattr(batch, name)[3][:0]] for name in ("masks", "has_mask")}
    batch = batch._replace(**empty)
    raw = network(batch.images.float())
    criterion = Criterion(tiny, loss_config(tiny), matching_rules(tiny))

    def losses(rows, totals):
        part = batch._replace(
            images=batch.images[rows], known=batch.known[rows], **{name: v[rows] for name, v in lists.items()}
        )
        generators = [torch.Generator().manual_seed(i) for i in range(4)[rows]]
        found = RawPredictions(*(t[rows] for t in raw))
        return criterion(found, part, network.anchors, generators, totals=totals)

    lists = {name: getattr(batch, name) for name in ("boxes", "labels", "masks", "has_mask")}
    halves = [slice(0, 1), slice(1, 4)]
    counts = []
    for rows in halves:
        losses(rows, lambda numbers: counts.append(list(numbers)) or numbers)
    totals = [sum(pair) for pair in zip(*counts, strict=True)]

    whole = losses(slice(0, 4), None)
    parts = [losses(rows, lambda _: totals) for rows in halves]

    assert len(set(totals)) > 2
    for name in whole._fields:
        both = sum(getattr(part, name) for part in parts)
        torch.testing.assert_close(both, getattr(whole, name), rtol=1e-5, atol=1e-6)


def test_batch_norm_over_all_processes_is_batch_norm(alone_in_a_group):
    torch.manual_seed(0)
    layers = nn.Sequential(nn.BatchNorm2d(3), nn.BatchNorm2d(3).eval())
    with torch.no_grad():
        layers[0].weight.uniform_()
        layers[0].bias.uniform_()
    shared = nn.Sequential(nn.BatchNorm2d(3), nn.BatchNorm2d(3).eval())
    shared.load_state_dict(layers.state_dict())
    use_global_batch_norm(shared)
    assert [type(layer) for layer in shared] == [GlobalBatchNorm, nn.BatchNorm2d]  # the frozen one stays
    x = torch.randn(4, 3, 5, 7) * 3 + 100

    ours, theirs = x.clone().requires_grad_(), x.clone().requires_grad_()
    shared(ours).square().mean().backward()
    layers(theirs).square().mean().backward()

    torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-3, atol=1e-6)
    torch.testing.assert_close(shared[0].weight.grad, layers[0].weight.grad, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(shared.state_dict(), layers.state_dict(), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(shared.eval()(x), layers.eval()(x), rtol=1e-5, atol=1e-5)


def test_a_process_alone_adds_nothing_up():
    processes = Processes()

    assert processes.first
    assert processes.totals([1.5, 2.5]) == [1.5, 2.5]
    network = nn.Linear(1, 1)
    assert processes.share(network) is network


def test_one_gpu_is_not_shared_by_several_processes(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")

    with pytest.raises(ValueError, match="give the device cuda, got 'cuda:1'"), join_processes("cuda:1"):
        pass


def _curve(run, column="total"):
    with (run / "log.csv").open() as file:
        return [float(row[column]) for row in csv.DictReader(file)]


@pytest.mark.timeout(280)
def test_two_processes_have_the_loss_curve_of_one(drawn_set, tmp_path):
    # Five frames in a step: three for one process, two for the other.
    arguments = ["train", "--data", str(drawn_set), "--variant", "fetalseg-test", "--steps", "6", "--batch", "5"]
    arguments += ["--lr", "0.005", "--precision", "fp32", "--holdout", "0.3", "--validations", "2", "--threads", "1"]
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}

    done = subprocess.run(
        [*launch, "-m", "fetalseg.cli", *arguments, "--out", str(tmp_path / "two")],
        env=environment, capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert main([*arguments, "--out", str(tmp_path / "one")]) == 0

    # Sums in another order: a few units of the sixth digit after six steps.
    assert _curve(tmp_path / "two") == pytest.approx(_curve(tmp_path / "one"), rel=1e-4)
    for term in ("classification", "box", "mask", "semantic"):
        assert _curve(tmp_path / "two", term) == pytest.approx(_curve(tmp_path / "one", term), rel=1e-3), term
    # Only the first process writes and prints.
    assert done.stdout.count("finished after 6 steps") == 1
    assert (tmp_path / "two" / "validation.csv").read_text() == (tmp_path / "one" / "validation.csv").read_text()
    # What two processes began one can finish: the number of them is no setting of the run.
    assert main([*arguments, "--out", str(tmp_path / "two"), "--resume"]) == 0
    assert json.loads((tmp_path / "two" / "holdout" / "drawn" / "split.json").read_text())["unit"] == "patient"
