"""TensorRT comes as two libraries with one Python API: `tensorrt` and, for RTX cards, `tensorrt_rtx`."""

from __future__ import annotations

import importlib
import importlib.util
import logging
from collections import deque
from functools import lru_cache
from typing import Any, Literal, NamedTuple

from fetalseg.errors import EngineError, MissingExtraError

__all__ = ["LIBRARIES", "LibraryName", "TensorRtLibrary", "load_library"]

LibraryName = Literal["tensorrt", "tensorrt_rtx"]
LIBRARIES: tuple[LibraryName, ...] = ("tensorrt", "tensorrt_rtx")  # in the order in which an installed one is taken

_TITLES: dict[LibraryName, str] = {"tensorrt": "TensorRT", "tensorrt_rtx": "TensorRT-RTX"}

logger = logging.getLogger(__name__)


class TensorRtLibrary(NamedTuple):
    """An imported library.

    Attributes:
        name: its import name.
        module: the module.
        log: the `ILogger` to hand to every builder and runtime; `log.take_errors()` is what went wrong lately.
    """

    name: LibraryName
    module: Any
    log: Any

    @property
    def title(self) -> str:
        """How people call it."""
        return _TITLES[self.name]

    @property
    def version(self) -> str:
        """All four numbers: an engine is bound to each of them."""
        return str(self.module.__version__)

    def capabilities(self) -> tuple[str, ...] | None:
        """Compute capabilities, "8.9", for which it builds; None: for whatever GPU it finds."""
        if self.name == "tensorrt":
            return None
        words = [word.removeprefix("SM") for word in self.module.ComputeCapability.__members__ if word.startswith("SM")]
        return tuple(f"{word[:-1]}.{word[-1]}" for word in words)

    def check_capability(self, capability: str, gpu: str) -> None:
        """Refuses a GPU that the library has no code for.

        Args:
            capability: compute capability, "9.0".
            gpu: what has it, in words.

        Raises:
            EngineError: with the remedy.
        """
        known = self.capabilities()
        if known is not None and capability not in known:
            raise EngineError(
                f"{self.title} runs on GPUs of compute capability {', '.join(known)}; {gpu} has {capability}; "
                "remedy: install the library for data-centre GPUs: pip install tensorrt-cu13"
            )


def load_library(name: LibraryName | None = None) -> TensorRtLibrary:
    """Imports a library.

    Args:
        name: which; None: the first installed of `LIBRARIES`.

    Raises:
        MissingExtraError, EngineError: not installed, or it can't be loaded.
    """
    return _import(name or _first_installed())


@lru_cache  # one logger for the process, however the library was asked for
def _import(name: LibraryName) -> TensorRtLibrary:
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name:
            raise EngineError(f"{name} is installed in part only: {error}") from None
        if name == "tensorrt_rtx":
            raise MissingExtraError(name, "tensorrt") from None
        raise EngineError("tensorrt is not installed; install it with: pip install tensorrt-cu13") from None
    except (ImportError, OSError, RuntimeError) as error:  # its own libraries are absent, or those of CUDA
        raise EngineError(f"{name} is installed but can't be loaded: {error}") from None
    return TensorRtLibrary(name, module, _make_log(module))


def _first_installed() -> LibraryName:
    for name in LIBRARIES:
        if importlib.util.find_spec(name) is not None:
            return name
    raise MissingExtraError("tensorrt_rtx", "tensorrt")


def _make_log(module: Any) -> Any:
    """A logger that speaks through `logging` and keeps the last errors for the exception that follows them.

    One for the process: the library keeps the first that it is given.
    """
    severities = module.ILogger.Severity
    levels = {
        # What is an error is told by the exception that follows; dozens of lines of information are for who asks.
        severities.INTERNAL_ERROR: logging.INFO,
        severities.ERROR: logging.INFO,
        severities.WARNING: logging.WARNING,
        severities.INFO: logging.DEBUG,
    }

    class Log(module.ILogger):  # type: ignore[misc]  # the library's base class is known only now
        def __init__(self) -> None:
            module.ILogger.__init__(self)
            self._errors: deque[str] = deque(maxlen=8)

        def log(self, severity: Any, message: str) -> None:
            level = levels.get(severity)
            if level is None:  # thousands of verbose lines
                return
            logger.log(level, "%s", message)
            if severity in (severities.INTERNAL_ERROR, severities.ERROR):
                self._errors.append(message.strip())

        def take_errors(self) -> str:
            """The last errors, and forgets them."""
            text = "; ".join(self._errors)
            self._errors.clear()
            return text or "it gives no reason"

    return Log()
