"""Does the protocol's parser keep its promises for a million messages?

    python -m benchmarks.fuzz --inputs 1000000 --json benchmarks/results/fuzz.json

Conversations of valid, mutated, odd and random messages are given to the server's side of the protocol. Each message
must become an event, a refusal or a `ProtocolError`; after each it is checked that states only move forward, that
sequences increase, that a frame's header packs to the bytes that came, and that the answer can be written. The first
message that breaks one of this is shrunk and shown. The same conversations, fewer of them, are a test.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from benchmarks.live.protocol_invariants import BrokenInvariantError, CheckedConnection
from benchmarks.live.table import markdown_table
from benchmarks.machine import this_machine
from benchmarks.record import commit_of, write_record
from fetalseg.errors import MissingExtraError
from fetalseg_server.protocol import Connection

try:
    import hypothesis
    from hypothesis import HealthCheck, Phase, given, seed, settings
except ModuleNotFoundError:
    raise MissingExtraError("hypothesis", "dev") from None

from benchmarks.live.conversations import Message, conversations

_CHUNK = 500  # conversations between two lines of progress
_SHORTEST = 20


def fuzz(inputs: int, first_seed: int, connection: Callable[[], Connection] = Connection) -> Counter[str]:
    """Gives at least so many messages to connections; what came of them, by kind.

    Raises:
        BrokenInvariantError: a message broke a promise; hypothesis has printed the smallest conversation that does.
    """
    outcomes: Counter[str] = Counter()
    number = first_seed
    while outcomes.total() < inputs:
        _run_chunk(outcomes, number, connection, min(_CHUNK, 1 + (inputs - outcomes.total()) // _SHORTEST))
        number += 1
        print(f"{outcomes.total()} of {inputs} messages", file=sys.stderr, flush=True)
    return outcomes


def _run_chunk(outcomes: Counter[str], number: int, connection: Callable[[], Connection], examples: int) -> None:
    @seed(number)
    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
        report_multiple_bugs=False,  # several would come as a group of exceptions
    )
    @given(conversations(_SHORTEST))
    def run(messages: list[Message]) -> None:
        checked = CheckedConnection(connection())
        outcomes.update(checked.feed(message) for message in messages)

    run()


def main(argv: list[str] | None = None) -> int:
    """Prints what came of the messages; 0 where every promise was kept."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fuzz", description=__doc__.splitlines()[0])
    parser.add_argument("--inputs", type=int, default=1_000_000, help="messages (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="another one gives other messages")
    parser.add_argument("--json", type=Path, help="write the figures to this file as well")
    args = parser.parse_args(argv)
    if args.inputs < 1:
        parser.error(f"--inputs must be at least 1, got {args.inputs}")
    machine, commit = this_machine(), commit_of()
    print(f"{machine}; hypothesis {hypothesis.__version__}; commit {commit}; seed {args.seed}", flush=True)
    start = time.monotonic()
    try:
        outcomes = fuzz(args.inputs, args.seed)
    except BrokenInvariantError as error:
        print(f"FAIL: {error}\n" + "\n".join(getattr(error, "__notes__", [])))
        return 1
    elapsed = time.monotonic() - start
    rows = [[name, str(count), f"{100 * count / outcomes.total():.2f} %"] for name, count in outcomes.most_common()]
    print(markdown_table(["what a message became", "messages", "share"], rows))
    print(f"{outcomes.total()} messages in {elapsed:.0f} s; no promise broken: pass")
    if args.json:
        content = {"seed": args.seed, "inputs": outcomes.total(), "outcomes": dict(outcomes), "seconds": round(elapsed)}
        write_record(args.json, tool="fuzz", machine=machine, commit=commit, content=content)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
