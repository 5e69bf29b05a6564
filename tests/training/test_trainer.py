import csv

import pytest
import torch

from fetalseg.errors import DataError
from fetalseg.model.checkpoint import load_checkpoint
from fetalseg.model.yolact import Yolact
from fetalseg.training.batches import FrameSet
from fetalseg.training.schedule import Budget
from fetalseg.training.trainer import Trainer, TrainingError, TrainOptions, mean_score
from fetalseg.training.validation import Score


@pytest.fixture
def trainer(tiny, frames, tmp_path):
    """Builds a trainer of the tiny network on eight drawn frames."""

    def build(out="run", *, held_out=(), **numbers):
        torch.manual_seed(0)
        values = {"budget": Budget(steps=6), "batch": 4, "learning_rate": 5e-3, "freeze": 0, "bfloat16": False}
        options = TrainOptions(**{**values, "validations": 1, "average": 0.9, **numbers})
        return Trainer(Yolact(tiny), [FrameSet("drawn", frames, 1.0)], {"drawn": held_out}, tmp_path / out, options)

    return build


def _losses(folder):
    with (folder / "log.csv").open() as file:
        return [float(row["total"]) for row in csv.DictReader(file)]


def test_a_short_run_lowers_the_loss_and_leaves_checkpoints(trainer, frames, tmp_path):
    run = trainer(held_out=frames[:2], budget=Budget(steps=40), validations=2)
    seen, scores = [], []

    run.run(on_step=seen.append, on_scores=scores.append)

    losses = _losses(tmp_path / "run")
    assert len(losses) == 40
    assert sum(losses[-5:]) < 0.7 * sum(losses[:5])
    assert [report.step for report in seen] == list(range(1, 41))
    assert seen[-1].progress == 1
    assert len(scores) == 2
    assert {row.structure for row in scores[0]["drawn"]} == {"cranium", "nuchal_translucency"}
    network, facts = load_checkpoint(tmp_path / "run" / "best.safetensors")
    assert network.variant.name == "fetalseg-test"
    assert facts["training"]["variant"] == "fetalseg-test"
    assert (tmp_path / "run" / "last.safetensors").is_file()


def test_a_resumed_run_follows_the_curve_of_the_uninterrupted_one(trainer, tmp_path):
    trainer("whole").run()

    class StopError(Exception):
        pass

    def stop(report):
        if report.step == 4:
            raise StopError

    with pytest.raises(StopError):
        trainer("parts", save_every=3).run(on_step=stop)
    again = trainer("parts", save_every=3)
    again.resume()
    assert again.progress.step == 3
    again.run()

    whole, parts = _losses(tmp_path / "whole"), _losses(tmp_path / "parts")
    # Step 4 was done twice: its second time counts.
    assert parts[:3] + parts[4:] == pytest.approx(whole, rel=1e-4)
    one, _ = load_checkpoint(tmp_path / "whole" / "last.safetensors")
    two, _ = load_checkpoint(tmp_path / "parts" / "last.safetensors")
    torch.testing.assert_close(one.state_dict(), two.state_dict(), rtol=1e-3, atol=1e-5)


def test_an_interruption_saves_what_is_done(trainer, tmp_path):
    def interrupt(report):
        if report.step == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trainer().run(on_step=interrupt)

    again = trainer()
    again.resume()
    assert again.progress.step == 2
    assert (tmp_path / "run" / "last.safetensors").is_file()


def test_a_loss_that_is_not_finite_stops_the_run_and_names_the_terms(trainer, tmp_path):
    run = trainer()
    with torch.no_grad():
        run.network.semantic.bias.fill_(torch.nan)

    with pytest.raises(TrainingError, match=r"loss of step 0 is not finite \(classification .* semantic nan\)"):
        run.run()
    assert not (tmp_path / "run" / "state.safetensors").exists()


def test_a_state_of_other_settings_is_not_resumed(trainer):
    trainer().run()

    with pytest.raises(DataError, match=r"other settings: batch was 4 and is 2"):
        trainer(batch=2).resume()


def test_there_must_be_something_to_resume(trainer, tmp_path):
    with pytest.raises(DataError, match="nothing to resume"):
        trainer().resume()
    (tmp_path / "run" / "state.safetensors").write_bytes(b"not a tensor file")
    with pytest.raises(DataError, match="is not a safetensors file"):
        trainer().resume()


def test_frozen_stages_and_batch_statistics_of_the_backbone_stay_as_they_were(trainer):
    run = trainer(freeze=1)
    before = {name: value.clone() for name, value in run.network.backbone.state_dict().items()}

    run.run()

    after = run.network.backbone.state_dict()
    for name, value in after.items():
        if "running_" in name or name.startswith("stages.0."):
            assert torch.equal(value, before[name]), name
    assert any(not torch.equal(value, before[name]) for name, value in after.items())


def test_sets_weigh_the_same_in_the_mean_however_many_structures_they_have():
    real = [Score("cranium", 5, box=1.0, mask=0.8, centre=1.0)]
    drawn = [Score(name, 5, box=0.2, mask=None, centre=0.0) for name in ("hand", "foot", "thigh")]

    assert mean_score({"real": real, "drawn": drawn}) == pytest.approx((0.9 + 0.2) / 2)
    assert mean_score({}) == 0
