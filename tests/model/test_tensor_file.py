import errno

import pytest
import torch
from safetensors.torch import load_file

from fetalseg.model.tensor_file import is_partial, write_tensors


def test_a_file_is_written_and_replaced(tmp_path):
    path = tmp_path / "a.safetensors"

    write_tensors(path, {"x": torch.arange(3)}, {"key": "word"})
    write_tensors(path, {"x": torch.arange(4)}, {})

    assert load_file(path)["x"].tolist() == [0, 1, 2, 3]
    assert [p.name for p in tmp_path.iterdir()] == ["a.safetensors"]


def test_a_file_may_be_read_by_whom_others_may_be(tmp_path):
    (tmp_path / "plain").touch()

    write_tensors(tmp_path / "a.safetensors", {"x": torch.arange(3)}, {})

    assert (tmp_path / "a.safetensors").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_what_does_not_fit_on_the_disk_leaves_the_file_that_was_there(tmp_path, full_disk):
    path = tmp_path / "a.safetensors"
    write_tensors(path, {"x": torch.arange(3)}, {})

    with full_disk(10_000), pytest.raises(OSError, match="File too large") as caught:
        write_tensors(path, {"x": torch.zeros(10_000)}, {})

    assert caught.value.errno == errno.EFBIG
    assert caught.value.filename == str(path)
    assert load_file(path)["x"].tolist() == [0, 1, 2]
    assert [p.name for p in tmp_path.iterdir()] == ["a.safetensors"]


@pytest.mark.parametrize(
    ("name", "partial"),
    [(".a.safetensors.12", True), ("a.safetensors", False), (".a.safetensors.x", False), (".a.csv.12", False)],
)
def test_half_written_files_are_told_by_their_names(tmp_path, name, partial):
    assert is_partial(tmp_path / name) == partial
