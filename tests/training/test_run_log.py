import csv

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from fetalseg.training.run_folder import RunFolder
from fetalseg.training.run_log import RunLog, StepReport, read_scores
from fetalseg.training.validation import Score

CRANIUM = Score("cranium", support=3, box=0.5, mask=0.75, mask75=0.25, dice=0.875, centre=1.0)
PALATE = Score("palate", support=2, box=0.125, mask=None, mask75=None, dice=None, centre=0.5)


@pytest.fixture
def folder(tmp_path):
    folder = RunFolder(tmp_path / "run")
    folder.create()
    return folder


def _report(step, total):
    return StepReport(
        step=step, epoch=step / 2, progress=step / 10, losses={"box": total / 2, "total": total}, learning_rate=1e-3,
        step_s=0.5, images_per_s=8.0, waiting=0.01, time_left_s=10.0,
    )  # fmt: skip


def _write(folder, start, totals):
    log = RunLog(folder, start)
    for step, total in enumerate(totals, start + 1):
        log.step(_report(step, total))
        log.scores(step, {"drawn": [CRANIUM, PALATE]})
    log.close()


def _column(path, name):
    with path.open() as file:
        return [row[name] for row in csv.DictReader(file)]


def _events(folder):
    events = EventAccumulator(str(folder.tensorboard))
    events.Reload()
    return events


def test_the_curves_are_there_as_csv_and_for_tensorboard(folder):
    _write(folder, 0, [4.0, 2.0])

    assert _column(folder.losses, "total") == ["4.0", "2.0"]
    assert _column(folder.scores, "structure") == ["cranium", "palate"] * 2
    events = _events(folder)
    assert [(e.step, e.value) for e in events.Scalars("loss/total")] == [(1, 4.0), (2, 2.0)]
    assert [e.value for e in events.Scalars("drawn/cranium/dice")] == [0.875, 0.875]
    assert [e.value for e in events.Scalars("speed/images_per_s")] == [8.0, 8.0]
    assert "drawn/palate/mask" not in events.Tags()["scalars"]  # no mask to compare with


def test_what_came_after_the_last_state_is_forgotten_when_a_run_is_resumed(folder):
    _write(folder, 0, [4.0, 3.0, 2.0])

    _write(folder, 1, [3.5, 2.5])  # resumed after step 1

    assert _column(folder.losses, "total") == ["4.0", "3.5", "2.5"]
    assert _column(folder.losses, "step") == ["1", "2", "3"]
    assert _column(folder.scores, "step") == ["1", "1", "2", "2", "3", "3"]
    points = [(e.step, e.value) for e in _events(folder).Scalars("loss/total")]
    assert points == [(1, 4.0), (2, 3.5), (3, 2.5)]


def test_a_row_that_was_cut_off_is_forgotten(folder):
    _write(folder, 0, [4.0, 3.0])
    text = folder.losses.read_text()
    folder.losses.write_text(text[:-9])

    _write(folder, 1, [3.5])

    assert _column(folder.losses, "total") == ["4.0", "3.5"]


def test_scores_are_read_back_as_they_were_written(folder):
    _write(folder, 0, [4.0, 2.0])

    assert read_scores(folder, 2) == {"drawn": [CRANIUM, PALATE]}
    assert read_scores(folder, 7) == {}


def test_a_run_without_validation_has_no_scores(folder):
    assert read_scores(folder, 0) == {}
