"""What a benchmark's command line has in common with the others: one line for each error, and an exit code."""

from __future__ import annotations

import sys
from collections.abc import Callable

from fetalseg.engines.base import is_out_of_memory
from fetalseg.errors import FetalsegError, MissingExtraError

__all__ = ["exit_code_of"]

_TRAINING = ("torch", "torchvision", "onnx", "onnxscript", "safetensors")  # what the extra train installs


def exit_code_of(tool: str, run: Callable[[], int]) -> int:
    """Runs a tool; what goes wrong with its input, its machine or its files is told on standard error.

    Args:
        tool: its name.
        run: all of it, with its own exit code.

    Returns:
        That code; 1 where something went wrong, 130 where the user interrupted it.
    """
    try:
        return run()
    except (FetalsegError, ValueError) as error:
        said = str(error)
    except (MemoryError, RuntimeError) as error:  # torch's are of the second kind
        if not is_out_of_memory(error):
            raise
        said = f"not enough memory: {error}; remedy: a smaller batch or input"
    except OSError as error:
        said = f"{error.filename}: {error.strerror}" if error.filename else str(error)
    except ModuleNotFoundError as error:
        if error.name not in _TRAINING:
            raise
        said = str(MissingExtraError(error.name, "train"))
    except KeyboardInterrupt:
        return 130
    print(f"{tool}: {said}", file=sys.stderr)
    return 1
