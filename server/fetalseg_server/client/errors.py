"""How a stream fails, in plain words."""

from __future__ import annotations

from fetalseg.errors import FetalsegError

__all__ = ["ConnectionFailedError", "StreamError", "close_in_words"]

_CLOSE_WORDS = {
    1000: "the session has ended",
    1001: "the server is shutting down",
    1006: "the connection broke off",
    1008: "the server does not accept the token",
    1009: "a message was larger than the server accepts",
    1011: "the server met an internal error",
    1012: "the server is restarting",
    4000: "the server reports a protocol error",
    4001: "the server did not receive the greeting in time",
    4002: "the session was idle for too long",
    4003: "the server has no capacity for another session",
    4004: "the answers were read too slowly",
    4005: "more messages were sent than the server allows",
    4006: "the session goes on over another connection",
}


# Another attempt would end the same way: the session is over (1000), one side breaks the protocol, the token is wrong,
# a message is too large, this client sends too much, or another one took the session.
_NEVER_AGAIN = frozenset({1000, 1002, 1003, 1007, 1008, 1009, 1010, 4000, 4005, 4006})


class StreamError(FetalsegError):
    """The session ended, or an option was refused; the text says why in plain words.

    Args:
        message: for a person to read.
        code: word of the server's `error` message, "" where none came.
        close_code: of the WebSocket, None while it is open.
        permanent: another attempt can't succeed, whatever the close code.
    """

    def __init__(self, message: str, *, code: str = "", close_code: int | None = None, permanent: bool = False) -> None:
        super().__init__(message)
        self.code = code
        self.close_code = close_code
        self._permanent = permanent

    @property
    def can_retry(self) -> bool:
        """Whether another attempt may succeed: a broken line, a server that restarts or is full."""
        return not self._permanent and self.close_code not in _NEVER_AGAIN


class ConnectionFailedError(StreamError):
    """No session came about: nobody listens, no stream endpoint, no greeting."""


def close_in_words(close_code: int | None) -> str:
    """What a WebSocket close code means; None, a connection that broke off without one."""
    code = close_code or 1006
    return _CLOSE_WORDS.get(code, f"the connection was closed with code {code}")
