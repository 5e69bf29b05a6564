"""The command `fetalseg`: one file a subcommand, each imported only when it is called.

A subcommand's module offers `add_arguments(parser)` and `run(args) -> int`.
"""

from __future__ import annotations

import argparse
import importlib
import logging
import os
import sys
from collections.abc import Sequence

from fetalseg.errors import FetalsegError

__all__ = ["main"]

# word: (module, what `fetalseg --help` says)
COMMANDS = {
    "predict": ("fetalseg.cli.predict", "find the structures in images, videos, folders or DICOM files"),
    "models": ("fetalseg.cli.models", "list the models that can be used by name"),
    "serve": ("fetalseg.cli.serve", "start the streaming server"),
    "stream": ("fetalseg.cli.stream", "stream a source to a server as a console would, and measure"),
    "demo": ("fetalseg.cli.demo", "start a server and stream a real and a synthetic cine to it"),
    "eval": ("fetalseg.cli.evaluate", "average precision on a COCO data set"),
    "compare": ("fetalseg.cli.compare", "compare two evaluations, and hold back a model that got worse"),
    "verify": ("fetalseg.cli.verify", "hold every engine, and a running server, against a reference"),
    "phantom": ("fetalseg.cli.phantom", "make synthetic first-trimester frames with exact masks"),
    "data": ("fetalseg.cli.data", "check, describe, split, look at and import data sets"),
    "train": ("fetalseg.cli.train", "train a model"),
    "export": ("fetalseg.cli.export", "write a trained model as one ONNX file and check it"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one subcommand.

    Returns:
        Exit code: 0 done, 1 failed with a message on standard error, 2 wrong usage, 130 interrupted.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    parser = argparse.ArgumentParser(prog="fetalseg", description="First-trimester ultrasound: 17 structures, live.")
    parser.add_argument("--version", action="version", version=_version())
    parser.add_argument("-v", "--verbose", action="store_true", help="say more on standard error")
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    chosen = next((word for word in arguments if not word.startswith("-")), None)
    command_parser = parser
    for word, (module, summary) in COMMANDS.items():
        subparser = subparsers.add_parser(word, help=summary, description=summary)
        if word == chosen:
            command = importlib.import_module(module)
            command.add_arguments(subparser)
            command_parser = subparser
    args, unknown = parser.parse_known_args(arguments)
    if unknown:
        # By the subcommand's parser, whose usage lists the options that there are.
        command_parser.error(f"unrecognized arguments: {' '.join(unknown)}")
    logging.basicConfig(
        level=logging.DEBUG if args.verbose else logging.WARNING, format="%(levelname)s %(name)s: %(message)s"
    )
    try:
        code = int(command.run(args))
        sys.stdout.flush()
        return code
    except (FetalsegError, ValueError) as error:
        _tell(args, str(error))
        return 1
    except BrokenPipeError:
        # The reader of a pipe has had enough; what is still buffered must not raise again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        # What is read is told by errors of our own: this is a file that can't be written, or a full disk.
        what = error.strerror or str(error)
        _tell(args, f"{error.filename}: {what}" if error.filename else what)
        return 1
    except KeyboardInterrupt:
        return 130


def _tell(args: argparse.Namespace, message: str) -> None:
    """One line about the exception that is being handled; with --verbose its traceback, too."""
    if args.verbose:
        logging.getLogger(__name__).exception("failed")
    print(f"fetalseg {args.command}: {message}", file=sys.stderr)


def _version() -> str:
    from fetalseg import __version__

    return f"fetalseg {__version__}"
