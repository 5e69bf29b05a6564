"""Engines that were built at start, kept in a folder for the next start."""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path

from fetalseg.engines.tensorrt_builder import BuildSettings, build_engine, planned_header
from fetalseg.engines.tensorrt_file import SUFFIX, EngineFile, EngineHeader, read_engine, write_engine
from fetalseg.errors import ModelFileError

__all__ = ["cache_path", "load_or_build"]

logger = logging.getLogger(__name__)


def cache_path(folder: Path, header: EngineHeader, suffix: str = SUFFIX) -> Path:
    """Where an engine is kept, or what belongs to it: the name says everything that it depends on."""
    gpu = hashlib.sha256(header.gpu.encode()).hexdigest()[:8]
    place = f"sm{header.compute_capability.replace('.', '')}-{gpu}"
    made_by = f"{header.library}-{header.library_version}"
    name = f"{header.model_sha256[:16]}-{header.facts.precision}-{made_by}-{place}-batch{header.max_batch}{suffix}"
    return folder / name


def load_or_build(model: Path, settings: BuildSettings, folder: Path) -> EngineFile:
    """The engine of a model from a folder, else a new one, which is put there.

    A file that is damaged, or that says it was built from or for something else, is built anew with a warning. An
    engine that can't be written is used all the same, with a warning.

    Args:
        model: an exported .onnx file.
        settings: how it is built.
        folder: made if it isn't there.

    Raises:
        ValueError, MissingExtraError, ModelFileError, EngineError: see `build_engine`.
    """
    expected = planned_header(model, settings)
    path = cache_path(folder, expected)
    if path.is_file():
        try:
            engine = read_engine(path)
            if engine.header == expected:
                logger.info("took the engine of %s from %s", model.name, path)
                return engine
            logger.warning("%s is not the engine that its name says; it is built anew", path)
        except ModelFileError as error:
            logger.warning("the kept engine can't be used and is built anew: %s", error)
    engine = build_engine(model, settings)
    try:
        write_engine(path, engine)
    except ModelFileError as error:
        logger.warning("the engine is not kept for the next start: %s", error)
    return engine
