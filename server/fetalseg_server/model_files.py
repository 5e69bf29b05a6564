"""Which models there are, and what their files say of themselves."""

from __future__ import annotations

import contextlib
from pathlib import Path

from fetalseg.model_file import ModelFacts, file_digest, list_models, read_facts
from fetalseg_server.messages import ModelDescription

__all__ = ["describe_model", "known_models"]


def describe_model(path: Path) -> ModelDescription:
    """What a model file says of itself.

    Raises:
        ModelFileError: not one of ours.
    """
    facts: ModelFacts = read_facts(path)
    return ModelDescription(
        facts.name, facts.version, file_digest(path), (facts.input.height, facts.input.width), facts.structures
    )


def known_models(loaded: Path) -> list[dict[str, object]]:
    """All models that can be used by name, and the loaded one wherever it lies."""
    paths = {path.resolve(): path for path in (loaded, *list_models().values())}
    models: list[dict[str, object]] = []
    for path in paths.values():
        with contextlib.suppress(Exception):
            description = describe_model(path)
            models.append({**description.__dict__, "loaded": path.resolve() == loaded.resolve()})
    return models
