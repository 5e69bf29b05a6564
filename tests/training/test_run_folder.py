import errno

import pytest

from fetalseg.training.errors import TrainingError
from fetalseg.training.run_folder import RunFolder


@pytest.fixture
def folder(tmp_path):
    return RunFolder(tmp_path / "run")


@pytest.mark.parametrize("name", ["state.safetensors", "best.safetensors", "log.csv", "validation.csv"])
def test_a_folder_that_holds_a_run_is_refused(folder, name):
    folder.create()
    (folder.path / name).touch()

    with pytest.raises(TrainingError, match=rf"already holds a run \({name}\); go on with it by --resume"):
        folder.check_unused()


def test_a_folder_with_other_files_is_free(folder):
    folder.check_unused()
    folder.create()
    (folder.path / "notes.txt").touch()
    folder.check_unused()


def test_half_written_files_of_a_killed_process_are_cleared_away(folder):
    folder.create()
    for name in (".state.safetensors.4711", ".hidden", "notes.4711"):
        (folder.path / name).touch()

    folder.create()

    assert sorted(path.name for path in folder.path.iterdir()) == [".hidden", "notes.4711"]


def test_a_full_disk_is_one_clear_message(folder):
    with pytest.raises(TrainingError, match=r"can't write run/log.csv: No space left on device$"), folder.writing():
        raise OSError(errno.ENOSPC, "No space left on device", "run/log.csv")
    folder.create()
    folder.state.touch()
    with pytest.raises(TrainingError, match="last good checkpoint is intact"), folder.writing():
        raise OSError(errno.ENOSPC, "No space left on device")


def test_a_reader_of_the_output_that_has_gone_is_no_full_disk(folder):
    with pytest.raises(BrokenPipeError), folder.writing():
        raise BrokenPipeError
