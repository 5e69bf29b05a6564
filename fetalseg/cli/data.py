"""`fetalseg data`: check, describe, split, look at and import annotated data sets."""

from __future__ import annotations

import argparse

from fetalseg.cli import data_anchors, data_check, data_import, data_select, data_split, data_stats, data_view

__all__ = ["add_arguments", "run"]

# word: (module, what `fetalseg data --help` says)
_ACTIONS = {
    "check": (data_check, "find everything that is wrong with sets, and what they share that they shouldn't"),
    "stats": (data_stats, "count and measure what sets hold, with charts"),
    "split": (data_split, "a fixed test part and repeated 4:1 splits, by patient and stratified by view"),
    "select": (data_select, "a part of a set, by what its images' records say"),
    "view": (data_view, "many annotated frames on one picture"),
    "import": (data_import, "turn a public data set, as its publishers offer it, into a set"),
    "anchors": (data_anchors, "fit anchor shapes to the boxes of sets, and measure those of a network"),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the actions and their options."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    for word, (module, summary) in _ACTIONS.items():
        module.add_arguments(actions.add_parser(word, help=summary, description=summary))


def run(args: argparse.Namespace) -> int:
    """Runs the chosen action."""
    return int(_ACTIONS[args.action][0].run(args))
