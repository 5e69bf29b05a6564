"""A `.safetensors` file that appears whole or not at all."""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

__all__ = ["is_partial", "write_tensors"]


def write_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: dict[str, str]) -> None:
    """Writes beside `path` first: whatever happens, a file that was there stays or is replaced by a whole one.

    Args:
        path: to write; its folder exists.
        tensors: on the CPU, contiguous, sharing no memory.
        metadata: of the header.

    Raises:
        OSError: the file can't be written; nothing is left behind.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        partial.touch()
        mode = partial.stat().st_mode
        save_file(dict(tensors), partial, metadata=metadata)
        partial.chmod(mode)  # safetensors lets nobody but the owner read
        # Else a power cut may leave the new name with the old machine's cache behind it.
        with partial.open("rb") as file:
            os.fsync(file.fileno())
        partial.replace(path)
    except SafetensorError as error:
        raise _as_os_error(error, path) from None
    finally:
        partial.unlink(missing_ok=True)


def is_partial(path: Path) -> bool:
    """Whether a file is what a killed process left of a `write_tensors`."""
    stem, _, process = path.name.rpartition(".")
    return stem.startswith(".") and stem.endswith(".safetensors") and process.isdigit()


def _as_os_error(error: SafetensorError, path: Path) -> OSError:
    """The error of the system that safetensors puts into words only: "... (os error 28)"."""
    _, found, rest = str(error).rpartition("(os error ")
    number = int(rest.rstrip(")")) if found else errno.EIO
    return OSError(number, os.strerror(number) if found else str(error), str(path))
