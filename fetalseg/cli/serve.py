"""`fetalseg serve`: the streaming server."""

from __future__ import annotations

import argparse
import importlib
from typing import Any

from fetalseg.errors import MissingExtraError

__all__ = ["add_arguments", "run"]

# The library never imports the server: its command line starts it by name.
_SETTINGS = "fetalseg_server.settings:load_settings"
_SERVE = "fetalseg_server.serving:serve"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the command's arguments; each default is the server's own."""
    parser.add_argument("--host", help="address to listen at (default 127.0.0.1; others need tokens)")
    parser.add_argument("--port", type=int, help="port, 0 for a free one (default 8420)")
    parser.add_argument("--model", help="name or path of a model (default fetalseg-s)")
    parser.add_argument("--engine", help="auto, openvino, onnxruntime or torch (default auto)")
    parser.add_argument("--precision", help="what to compute in, where the engine has a choice")
    parser.add_argument("--threads", type=int, help="threads of one inference (default: one for each core)")
    parser.add_argument("--max-sessions", type=int, help="streams at a time (default 8)")
    parser.add_argument("--tokens-file", metavar="FILE", help="one token a line, 'token' or 'name:token'")
    parser.add_argument(
        "--allow-origin",
        dest="allow_origins",
        action="append",
        metavar="ORIGIN",
        help="origin of a web page that may use the server, https://console.example; may be repeated",
    )
    parser.add_argument("--config", metavar="FILE", help="TOML file with any setting, see server/README.md")


def run(args: argparse.Namespace) -> int:
    """Runs the server until SIGTERM or Ctrl-C."""
    names = ("host", "port", "model", "engine", "precision", "threads", "max_sessions", "tokens_file")
    flags: dict[str, Any] = {name: getattr(args, name) for name in names}
    if args.allow_origins:
        flags["allow_origins"] = tuple(args.allow_origins)
    settings = _load(_SETTINGS)(file=args.config, flags=flags)
    _load(_SERVE)(settings, on_ready=lambda address: print(f"fetalseg is ready at {address}", flush=True))
    return 0


def _load(name: str) -> Any:
    module, _, attribute = name.partition(":")
    try:
        return getattr(importlib.import_module(module), attribute)
    except ModuleNotFoundError as error:
        if error.name and error.name.split(".")[0] in ("fetalseg", "fetalseg_server"):
            raise
        raise MissingExtraError(error.name or module, "server") from None
