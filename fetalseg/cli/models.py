"""`fetalseg models`: the models that can be used by name."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from fetalseg.errors import ModelFileError
from fetalseg.model_file import file_digest, list_models, model_directories, read_facts

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options."""
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")


def run(args: argparse.Namespace) -> int:
    """Lists the models found; files in the model folders that are not ours are named on standard error."""
    models = []
    for name, path in list_models().items():
        try:
            models.append(_describe(name, path))
        except ModelFileError as error:
            print(f"fetalseg models: {error}", file=sys.stderr)
    if args.json:
        print(json.dumps(models, indent=2))
    elif models:
        _print(models)
    else:
        print(f"no models (looked in {', '.join(str(place) for place in model_directories())})")
    return 0


def _describe(name: str, path: Path) -> dict[str, Any]:
    facts = read_facts(path)
    return {
        "name": name,
        "version": facts.version,
        "input": {"height": facts.input.height, "width": facts.input.width, "channels": facts.input.channels},
        "precision": facts.precision,
        "size_bytes": path.stat().st_size,
        "licence": facts.licence,
        "training_data": list(facts.training_data),
        "sha256": file_digest(path),
        "path": str(path),
    }


def _print(models: list[dict[str, Any]]) -> None:
    console = Console()
    table = Table(box=SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0))
    for heading in ("name", "version", "input", "precision", "size", "sha256"):
        table.add_column(heading, overflow="fold", no_wrap=True)
    for model in models:
        shape = model["input"]
        table.add_row(
            model["name"],
            model["version"],
            f"{shape['width']}x{shape['height']} {'gray' if shape['channels'] == 1 else 'RGB'}",
            model["precision"],
            f"{model['size_bytes'] / 1e6:.1f} MB",
            model["sha256"][:12],
        )
    console.print(table)
    for model in models:
        console.print(f"{model['name']}: {model['path']}", soft_wrap=True, markup=False, highlight=False)
        console.print(f"  licence {model['licence'] or 'not stated'}", soft_wrap=True, markup=False, highlight=False)
        for line in model["training_data"]:
            console.print(f"  trained on {line}", soft_wrap=True, markup=False, highlight=False)
