import csv
import itertools
from dataclasses import replace

import pytest
import torch

from fetalseg.errors import DataError
from fetalseg.model.checkpoint import load_checkpoint
from fetalseg.model.yolact import Yolact
from fetalseg.training.batches import FrameSet
from fetalseg.training.errors import TrainingError
from fetalseg.training.options import TrainOptions
from fetalseg.training.progress import mean_score
from fetalseg.training.run_log import read_scores
from fetalseg.training.schedule import Budget
from fetalseg.training.trainer import Trainer


class KilledError(Exception):
    """Stands for the end of the process: nothing of ours handles it."""


@pytest.fixture
def trainer(tiny, frames, tmp_path):
    """Builds a trainer of the tiny network on eight drawn frames."""

    def build(out="run", *, held_out=(), clock=None, variant=tiny, structures=None, digest="", **numbers):
        torch.manual_seed(0)
        values = {"budget": Budget(steps=6), "batch": 4, "learning_rate": 5e-3, "freeze": 0, "precision": "fp32"}
        options = TrainOptions(**{**values, "validations": 1, "average": 0.9, **numbers})
        more = {"clock": clock} if clock else {}
        if structures:
            more["structures"] = structures
        sets = [FrameSet("drawn", frames, 1.0, digest)]
        return Trainer(Yolact(variant), sets, {"drawn": held_out}, tmp_path / out, options, **more)

    return build


def _rows(folder):
    with (folder / "log.csv").open() as file:
        return list(csv.DictReader(file))


def _losses(folder):
    return [float(row["total"]) for row in _rows(folder)]


def _raise_at(step):
    def kill(report):
        if report.step == step:
            raise KilledError

    return kill


def test_a_short_run_lowers_the_loss_and_leaves_checkpoints(trainer, frames, tmp_path):
    run = trainer(held_out=frames[:2], budget=Budget(steps=40), validations=2)
    seen, scores = [], []

    assert run.run(on_step=seen.append, on_scores=scores.append) == "budget"

    losses = _losses(tmp_path / "run")
    assert len(losses) == 40
    assert sum(losses[-5:]) < 0.7 * sum(losses[:5])
    assert [report.step for report in seen] == list(range(1, 41))
    assert seen[-1].progress == 1
    assert seen[-1].time_left_s == 0
    assert seen[-1].epoch == 20  # 40 steps of 4 of 8 frames
    assert len(scores) == 2
    assert {row.structure for row in scores[0]["drawn"]} == {"cranium", "nuchal_translucency"}
    network, facts = load_checkpoint(tmp_path / "run" / "best.safetensors")
    assert network.variant.name == "fetalseg-test"
    assert facts["training"]["variant"] == "fetalseg-test"
    assert len(facts["structures"]) == 17
    assert (tmp_path / "run" / "last.safetensors").is_file()


def test_the_best_weights_are_left_in_half_precision_as_well(trainer, frames, tmp_path):
    trainer(held_out=frames[:2]).run()

    best, facts = load_checkpoint(tmp_path / "run" / "best.safetensors")
    shipped, also = load_checkpoint(tmp_path / "run" / "fetalseg-test.safetensors")

    assert also == facts
    for name, value in shipped.state_dict().items():
        # float16 has 11 significant bits.
        torch.testing.assert_close(value, best.state_dict()[name], rtol=2**-11, atol=1e-7)
    sizes = [(tmp_path / "run" / f"{n}.safetensors").stat().st_size for n in ("best", "fetalseg-test")]
    assert sizes[1] < 0.75 * sizes[0]


def test_a_resumed_run_follows_the_curve_of_the_uninterrupted_one(trainer, tmp_path):
    trainer("whole").run()

    # A state is due after step 3; step 4 is lost and done again.
    with pytest.raises(KilledError):
        trainer("parts", save_every=3).run(on_step=_raise_at(4))
    again = trainer("parts", save_every=3)
    again.resume()
    assert again.progress.step == 2  # an epoch: 8 frames, 4 a step
    again.run()

    assert _losses(tmp_path / "parts") == pytest.approx(_losses(tmp_path / "whole"), rel=1e-4)
    one, _ = load_checkpoint(tmp_path / "whole" / "last.safetensors")
    two, _ = load_checkpoint(tmp_path / "parts" / "last.safetensors")
    torch.testing.assert_close(one.state_dict(), two.state_dict(), rtol=1e-3, atol=1e-5)


def test_a_resumed_run_with_a_budget_of_minutes_follows_the_same_curve(trainer, frames, tmp_path):
    def clock():
        return itertools.count(0, 0.5).__next__  # s; half a second passes between any two looks

    numbers = {"budget": Budget(minutes=0.2), "held_out": frames[:2], "validations": 3}
    trainer("whole", clock=clock(), **numbers).run()
    with pytest.raises(KilledError):
        trainer("parts", clock=clock(), **numbers).run(on_step=_raise_at(7))
    again = trainer("parts", clock=clock(), **numbers)
    again.resume()
    again.run()

    whole, parts = _rows(tmp_path / "whole"), _rows(tmp_path / "parts")
    # A step takes 1 s and a validation 0.5 s: 12 s hold 11 steps and the first two validations.
    assert [row["step"] for row in parts] == [str(step) for step in range(1, 12)]
    for column in ("step", "progress", "learning_rate", "step_s"):
        assert [row[column] for row in parts] == [row[column] for row in whole], column
    assert _losses(tmp_path / "parts") == pytest.approx(_losses(tmp_path / "whole"), rel=1e-4)


def test_a_state_is_saved_once_an_epoch_at_least(trainer, tmp_path):
    with pytest.raises(KilledError):
        trainer(budget=Budget(steps=50), save_every=1000).run(on_step=_raise_at(5))

    again = trainer(budget=Budget(steps=50), save_every=1000)
    again.resume()
    assert again.progress.step == 4


def test_a_run_that_is_stopped_finishes_its_step_and_saves_it(trainer, tmp_path):
    run = trainer(save_every=1000, batch=8, budget=Budget(steps=50))

    def stop(report):
        if report.step == 3:
            run.stop()

    assert run.run(on_step=stop) == "stopped"

    assert len(_losses(tmp_path / "run")) == 3
    again = trainer(save_every=1000, batch=8, budget=Budget(steps=50))
    again.resume()
    assert again.progress.step == 3
    assert (tmp_path / "run" / "last.safetensors").is_file()
    assert not (tmp_path / "run" / "fetalseg-test.safetensors").exists()


def test_who_is_told_to_stop_while_it_validates_says_so_after_the_next_step(trainer, frames):
    # Another process may have begun that step, and would wait for this one.
    run = trainer(held_out=frames[:2], budget=Budget(steps=8), validations=4)

    assert run.run(on_scores=lambda _: run.stop()) == "stopped"

    assert run.progress.step == 3  # validated after two of eight steps


def test_a_run_without_better_scores_ends_early_and_keeps_the_best(trainer, frames, tmp_path):
    def build():
        run = trainer(
            held_out=frames[:2], budget=Budget(steps=40), validations=40, patience=3, learning_rate=1e-9, save_every=1
        )
        for network in (run.network, run.average.network):
            for head in network.heads:
                with torch.no_grad():
                    head.classes.bias.view(-1, 17)[:, 0] = 3  # everything is a cranium: some boxes hit one
        return run

    run = build()
    assert run.run() == "patience"

    by_step = [mean_score(read_scores(run.folder, step)) for step in range(1, run.progress.step + 1)]
    assert run.progress.best == max(by_step) > 0
    assert by_step.index(max(by_step)) == run.progress.best_step - 1 == run.progress.step - 4
    _, facts = load_checkpoint(tmp_path / "run" / "best.safetensors")
    assert facts["training"]["steps"] == run.progress.best_step
    again = build()
    again.resume()
    assert again.run() == "patience"
    assert again.progress.step == run.progress.step


def test_patience_needs_frames_to_validate_on(trainer):
    with pytest.raises(ValueError, match="patience needs held-out frames"):
        trainer(patience=2)


def test_without_held_out_frames_the_newest_weights_are_the_best(trainer, tmp_path):
    trainer(validations=3).run()

    _, facts = load_checkpoint(tmp_path / "run" / "best.safetensors")
    assert facts["training"]["steps"] == 6


def test_a_loss_that_is_not_finite_stops_the_run_and_names_the_terms(trainer, tmp_path):
    run = trainer()
    with torch.no_grad():
        run.network.semantic.bias.fill_(torch.nan)

    with pytest.raises(TrainingError, match=r"loss of step 0 is not finite \(classification .* semantic nan"):
        run.run()

    again = trainer()
    again.resume()  # the state of the start
    assert again.progress.step == 0


def test_a_state_of_other_settings_is_not_resumed(trainer):
    trainer().run()

    with pytest.raises(DataError, match=r"other settings: batch was 4 and is 2"):
        trainer(batch=2).resume()
    with pytest.raises(DataError, match=r"sets was .*'drawn': \[8, 1.0, ''\].* and is .*'drawn': \[8, 1.0, 'abc'\]"):
        trainer(digest="abc").resume()


def test_how_long_and_on_what_a_run_computes_may_change_when_it_is_resumed(trainer):
    trainer().run()

    resumed = trainer(save_every=7, loaders=2, validations=9)
    resumed.resume()

    assert resumed.progress.step == 6


def test_a_run_resumed_with_fewer_validations_still_ends_with_one(trainer, frames, tmp_path):
    numbers = {"held_out": frames[:2], "budget": Budget(steps=8)}
    with pytest.raises(KilledError):
        trainer(validations=8, **numbers).run(on_step=_raise_at(6))
    resumed = trainer(validations=2, ship="last", **numbers)
    resumed.resume()
    resumed.run()

    assert read_scores(resumed.folder, 8)
    assert load_checkpoint(tmp_path / "run" / "fetalseg-test.safetensors")[1]["training"]["steps"] == 8


def test_there_must_be_something_to_resume(trainer, tmp_path):
    with pytest.raises(DataError, match="nothing to resume"):
        trainer().resume()
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "state.safetensors").write_bytes(b"not a tensor file")
    with pytest.raises(DataError, match="is not a safetensors file"):
        trainer().resume()


def test_nothing_is_written_before_a_run_starts(trainer, tmp_path):
    trainer()

    assert not (tmp_path / "run").exists()


def test_frozen_stages_and_batch_statistics_of_the_backbone_stay_as_they_were(trainer):
    run = trainer(freeze=1)
    before = {name: value.clone() for name, value in run.network.backbone.state_dict().items()}

    run.run()

    after = run.network.backbone.state_dict()
    for name, value in after.items():
        if "running_" in name or name.startswith("stages.0."):
            assert torch.equal(value, before[name]), name
    assert any(not torch.equal(value, before[name]) for name, value in after.items())


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_a_run_in_half_precision_learns_and_resumes_to_the_same_curve(trainer, tmp_path, precision):
    numbers = {"precision": precision, "budget": Budget(steps=12)}
    trainer("whole", **numbers).run()
    with pytest.raises(KilledError):
        trainer("parts", **numbers).run(on_step=_raise_at(7))
    again = trainer("parts", **numbers)
    again.resume()
    again.run()

    losses = _losses(tmp_path / "whole")
    assert sum(losses[-3:]) < sum(losses[:3])
    assert _losses(tmp_path / "parts") == pytest.approx(losses, rel=1e-4)


def test_a_network_of_other_structures_is_scored_and_saved_by_their_names(trainer, tiny, frames, tmp_path):
    names = tuple(f"part {number}" for number in range(17))
    scores = []

    trainer(held_out=frames[:2], variant=replace(tiny, structures=17), structures=names).run(on_scores=scores.append)

    assert {row.structure for row in scores[0]["drawn"]} == {"part 0", "part 5"}
    _, facts = load_checkpoint(tmp_path / "run" / "best.safetensors")
    assert facts["structures"] == list(names)


@pytest.mark.parametrize(("ship", "steps"), [("best", 2), ("last", 4)])
def test_the_weights_to_ship_are_the_best_or_those_of_the_end(trainer, frames, tmp_path, ship, steps):
    run = trainer(held_out=frames[:2], budget=Budget(steps=4), validations=2, ship=ship)

    def remember(scores):
        # As if the first validation had gone better than any other can.
        run.progress.best = 2.0

    run.run(on_scores=remember)

    files = [path for path in (tmp_path / "run").glob("*.safetensors") if path.stem != "state"]
    written = {path.stem: load_checkpoint(path)[1]["training"]["steps"] for path in files}
    assert written == {"best": 2, "last": 4, "fetalseg-test": steps}
