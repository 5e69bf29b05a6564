"""Tokens, and to whom they belong."""

from __future__ import annotations

import hashlib
import hmac
import math
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from fetalseg_server.access.private_file import read_private

__all__ = ["ANYONE", "Client", "NotAuthorisedError", "TokenTable"]


class NotAuthorisedError(Exception):
    """A token is missing, opens nothing, or isn't looked at; the text can be shown to who gave it.

    Attributes:
        wait_s: after how long another attempt is looked at; 0 at once.
    """

    def __init__(self, message: str, *, wait_s: float = 0.0) -> None:
        super().__init__(message)
        self.wait_s = wait_s


@dataclass(frozen=True)
class Client:
    """Who a token belongs to, and what that one may do.

    Attributes:
        name: for logs and the audit; never the token.
        weight: share of a busy engine, against the weights of others.
        max_sessions: streams at a time with this token; None no limit but the server's.
        max_fps: frames per second of all its streams and single images together, sustained; None no limit but the
            server's for each stream.
        admin: may change the server (reload its model).
        token_digest: of the token, empty where none is asked for; a name may be given to another token.

    Raises:
        ValueError: a number that makes no sense.
    """

    name: str
    weight: float = 1.0
    max_sessions: int | None = None
    max_fps: int | None = None
    admin: bool = False
    token_digest: bytes = field(default=b"", repr=False, compare=False)

    def __post_init__(self) -> None:
        if not (math.isfinite(self.weight) and self.weight > 0):
            raise ValueError(f"weight must be finite and above 0, got {self.weight}")
        for name, value in (("max_sessions", self.max_sessions), ("max_fps", self.max_fps)):
            if value is not None and value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")

    def has_token_of(self, other: Client) -> bool:
        """Whether both were let in by the very same token, whatever they are called."""
        return hmac.compare_digest(self.token_digest, other.token_digest)


# Whoever comes while the server has no tokens: another program of this machine.
ANYONE = Client("anyone")

# What a table of a TOML tokens file may say beside its token.
_LIMITS: dict[str, tuple[type, ...]] = {
    "weight": (float, int),
    "max_sessions": (int,),
    "max_fps": (int,),
    "admin": (bool,),
}


class TokenTable:
    """The tokens that open the server.

    Only digests are kept, and every token is compared in full each time, so that neither memory nor time
    gives one away.

    Args:
        entries: each token and its client.

    Raises:
        ValueError: a token is empty, or a token or a name is given twice.
    """

    def __init__(self, entries: Iterable[tuple[str, Client]] = ()) -> None:
        self._clients: list[Client] = []
        for token, client in entries:
            if not token:
                raise ValueError(f"the token named {client.name!r} is empty")
            if client.name in (known.name for known in self._clients):
                raise ValueError(f"the token named {client.name!r} is given twice")
            if (other := self.client_of(token)) is not None:
                raise ValueError(f"{other.name!r} and {client.name!r} have the same token")
            self._clients.append(replace(client, token_digest=_digest(token)))

    @classmethod
    def read(cls, file: Path | None, text: str | None) -> TokenTable:
        """Tokens from a file and from an environment variable.

        A file named *.toml has a table for each client; any other one token a line (in the variable also separated by
        commas), as `token` or `name:token`; `#` starts a comment line.

        Raises:
            ValueError: the file can't be read, is open to others or holds no token, or a name or token is given twice.
        """
        entries = [] if text is None else _from_lines(text.replace(",", "\n"), 1)
        if file is not None:
            content = read_private(file, "tokens file")
            named = _from_toml(content) if file.suffix == ".toml" else _from_lines(content, len(entries) + 1)
            if not named:
                raise ValueError("the tokens file holds no token; without it the server asks for none")
            entries += named
        return cls(entries)

    def __len__(self) -> int:
        return len(self._clients)

    def client_of(self, token: str | None) -> Client | None:
        """Whose token it is, None where it opens nothing."""
        found = None
        given = _digest(token or "")
        for client in self._clients:
            if hmac.compare_digest(given, client.token_digest):
                found = client
        return found

    def names_lost(self, newer: TokenTable) -> set[str]:
        """Clients of this table that `newer` doesn't have, or knows by another token."""
        kept = {(client.token_digest, client.name) for client in newer._clients}
        return {client.name for client in self._clients if (client.token_digest, client.name) not in kept}


def _from_lines(text: str, first: int) -> list[tuple[str, Client]]:
    """`first` is the number that a token without a name is called by if it is the first one."""
    entries: list[tuple[str, Client]] = []
    for line in (line.strip() for line in text.splitlines()):
        if line and not line.startswith("#"):
            name, colon, token = line.partition(":")
            if not colon:
                name, token = f"token-{first + len(entries)}", line
            entries.append((token.strip(), Client(name.strip())))
    return entries


def _from_toml(text: str) -> list[tuple[str, Client]]:
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"the tokens file is not TOML: {error}") from None
    return [_from_table(name, values) for name, values in tables.items()]


def _from_table(name: str, values: Any) -> tuple[str, Client]:
    """The messages name no value: it may be a token in the wrong place."""
    if not isinstance(values, dict) or not isinstance(values.get("token"), str):
        raise ValueError(f"the tokens file needs a table [{name}] with a token as text")
    limits = {key: value for key, value in values.items() if key != "token"}
    for key, value in limits.items():
        if key not in _LIMITS:
            raise ValueError(f"unknown key {key} in [{name}] of the tokens file; known keys are token, {_known()}")
        kinds = _LIMITS[key]
        if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
            raise ValueError(f"{key} in [{name}] of the tokens file must be {kinds[0].__name__}")
    try:
        return values["token"], Client(name, **limits)
    except ValueError as error:
        raise ValueError(f"[{name}] of the tokens file: {error}") from None


def _known() -> str:
    return ", ".join(_LIMITS)


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
