"""`fetalseg serve`: the streaming server."""

from __future__ import annotations

import argparse
import importlib
from typing import Any

from fetalseg.errors import MissingExtraError

__all__ = ["add_arguments", "run"]

# The library never imports the server: its command line starts it by name.
_SETTINGS = "fetalseg_server.settings"
_SERVE = "fetalseg_server.serving"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the command's arguments: one for each setting of the server."""
    _load(_SETTINGS).add_flags(parser)


def run(args: argparse.Namespace) -> int:
    """Runs the server until SIGTERM or Ctrl-C."""
    settings = _load(_SETTINGS)
    flags = settings.flags_given(args)
    if args.verbose:
        flags.setdefault("log_level", "debug")
    chosen = settings.load_settings(file=args.config, flags=flags)
    _load(_SERVE).serve(chosen, on_ready=lambda address: print(f"fetalseg is ready at {address}", flush=True))
    return 0


def _load(module: str) -> Any:
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name and error.name.split(".")[0] in ("fetalseg", "fetalseg_server"):
            raise
        raise MissingExtraError(error.name or module, "server") from None
