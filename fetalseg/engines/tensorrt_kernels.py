"""What TensorRT-RTX compiles for a GPU when it runs, kept for the next start.

An engine of TensorRT-RTX is portable code, from which it compiles kernels for the very GPU while it runs: seconds at
each start (TensorRT-RTX documentation, "Working with Runtime Cache").
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from fetalseg.engines.sealed_file import read_sealed, write_sealed
from fetalseg.errors import ModelFileError

__all__ = ["SUFFIX", "KeptKernels"]

SUFFIX = ".kernels"

_MAGIC = b"FSKERNEL"

logger = logging.getLogger(__name__)


class KeptKernels:
    """The kernels of one engine in a file, which needn't be there yet. Nothing about them stops an engine.

    Args:
        path: of the file.
        config: the `IRuntimeConfig` of the context that will use and fill them.
    """

    def __init__(self, path: Path, config: Any) -> None:
        self._path = path
        self._cache = config.create_runtime_cache()
        self._kept = self._read()
        # The library itself refuses what another GPU, driver or version compiled.
        if self._kept and not self._cache.deserialize(self._kept):
            logger.info("the kernels in %s are of another GPU, driver or TensorRT; they are compiled anew", path)
        config.set_runtime_cache(self._cache)

    def _read(self) -> bytes:
        if not self._path.is_file():
            return b""
        try:
            return read_sealed(self._path, _MAGIC, "a file of kernels")
        except ModelFileError as error:
            logger.warning("the kept kernels can't be used and are compiled anew: %s", error)
            return b""

    def keep(self) -> None:
        """Writes the file, if there are other kernels than in it."""
        kernels = self._cache.serialize()
        if kernels is None or bytes(kernels) == self._kept:
            return
        self._kept = bytes(kernels)
        try:
            write_sealed(self._path, _MAGIC, self._kept)
        except ModelFileError as error:
            logger.warning("the kernels are not kept for the next start: %s", error)
