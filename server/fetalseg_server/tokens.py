"""Tokens, and to whom they belong."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

__all__ = ["ANYONE", "Client", "NotAuthorisedError", "TokenTable"]


class NotAuthorisedError(Exception):
    """A token is missing or opens nothing; the text can be shown to who gave it."""


@dataclass(frozen=True)
class Client:
    """Who a token belongs to, and what that one may do.

    Attributes:
        name: for logs and the audit; never the token.
        weight: share of a busy engine, against the weights of others.
        max_sessions: streams at a time with this token; None no limit but the server's.
        max_fps: frames per second of all its streams together; None no limit but the server's for each stream.
        admin: may change the server (reload its model).
    """

    name: str
    weight: float = 1.0
    max_sessions: int | None = None
    max_fps: float | None = None
    admin: bool = False


# Whoever comes while the server has no tokens: another program of this machine.
ANYONE = Client("anyone")


class TokenTable:
    """The tokens that open the server.

    Only digests are kept, and every token is compared in full each time, so that neither memory nor time
    gives one away.

    Args:
        entries: each token and its client.
    """

    def __init__(self, entries: Iterable[tuple[str, Client]] = ()) -> None:
        self._entries = [(_digest(token), client) for token, client in entries]

    @classmethod
    def read(cls, file: Path | None, text: str | None) -> TokenTable:
        """Tokens from a file and from an environment variable.

        One a line (in the variable also separated by commas), as `token` or `name:token`; `#` starts a comment line.

        Raises:
            ValueError: the file can't be read or holds no token, or a name appears twice.
        """
        lines = [] if text is None else text.replace(",", "\n").splitlines()
        if file is not None:
            try:
                lines += file.read_text(encoding="utf-8").splitlines()
            except (OSError, UnicodeDecodeError) as error:
                raise ValueError(f"can't read the tokens file: {error}") from None
        tokens: dict[str, str] = {}
        for line in (line.strip() for line in lines):
            if not line or line.startswith("#"):
                continue
            name, colon, token = line.partition(":")
            name, token = (name.strip(), token.strip()) if colon else (f"token-{len(tokens) + 1}", line)
            if not token or name in tokens:
                raise ValueError(f"the token named {name!r} is {'given twice' if token else 'empty'}")
            tokens[name] = token
        if not tokens and file is not None:
            raise ValueError("the tokens file holds no token; without it the server asks for none")
        return cls((token, Client(name)) for name, token in tokens.items())

    def __len__(self) -> int:
        return len(self._entries)

    def client_of(self, token: str | None) -> Client | None:
        """Whose token it is, None where it opens nothing."""
        found = None
        given = _digest(token or "")
        for digest, client in self._entries:
            if hmac.compare_digest(given, digest):
                found = client
        return found


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
