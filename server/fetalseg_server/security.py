"""Who may use the server: tokens, the Host and Origin rules, and the headers of every HTTP answer."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Mapping
from pathlib import Path
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["Access", "Gate", "TokenTable", "is_loopback", "refusal_of_bind"]

_LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
_OPEN_PATHS = frozenset({"/healthz", "/readyz"})
_PROTECTED_PREFIXES = ("/v1/", "/metrics")

SECURE_HEADERS: tuple[tuple[bytes, bytes], ...] = (
    (
        b"content-security-policy",
        b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; media-src 'self' blob:; "
        b"connect-src 'self'; worker-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; "
        b"frame-ancestors 'none'",
    ),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(self), microphone=(), geolocation=(), display-capture=(self)"),
)


class TokenTable:
    """The tokens that open the server, each with a name for the log.

    Only digests are kept, and every token is compared in full each time, so that neither memory nor time
    gives one away.
    """

    def __init__(self, tokens: Mapping[str, str]) -> None:
        self._digests = {name: _digest(token) for name, token in tokens.items()}

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
        return cls(tokens)

    def __len__(self) -> int:
        return len(self._digests)

    def name_of(self, token: str | None) -> str | None:
        """The name of a token, None where it opens nothing."""
        found = None
        given = _digest(token or "")
        for name, digest in self._digests.items():
            if hmac.compare_digest(given, digest):
                found = name
        return found


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


def _host_name(host: str) -> str:
    """The name in a Host header or an origin, without its port; "" where it is malformed."""
    try:
        return (urlsplit(f"//{host}").hostname or "").lower()
    except ValueError:
        return ""


def is_loopback(host: str) -> bool:
    """Whether a host name, with or without a port, means this machine only."""
    return _host_name(f"[{host}]" if host.count(":") > 1 and not host.startswith("[") else host) in _LOOPBACK_NAMES


def refusal_of_bind(host: str, tokens: TokenTable) -> str | None:
    """Why a server must not listen at `host`, or None."""
    if len(tokens) or is_loopback(host):
        return None
    return (
        f"without tokens the server listens on this machine only, got host {host}; "
        "give tokens with --tokens-file or FETALSEG_TOKENS"
    )


class Access:
    """The rules for one request, HTTP or WebSocket.

    Args:
        tokens: without any, only this machine is served.
        allow_origins: "https://console.example" and the like, of web pages that may use the server.
    """

    def __init__(self, tokens: TokenTable, allow_origins: Iterable[str]) -> None:
        self._tokens = tokens
        self._allow_origins = frozenset(origin.rstrip("/").lower() for origin in allow_origins)

    def token_problem(self, token: str | None) -> str | None:
        """Why a token isn't good enough, or None."""
        if not len(self._tokens) or self._tokens.name_of(token) is not None:
            return None
        return "a token is required" if not token else "this token is not known"

    def bearer_problem(self, authorization: str | None) -> str | None:
        """The same for an `Authorization` header."""
        scheme, _, token = (authorization or "").partition(" ")
        return self.token_problem(token.strip() if scheme.lower() == "bearer" else None)

    def host_problem(self, host: str | None) -> str | None:
        """Why a Host header is refused, or None.

        Without tokens a page of another site could point its own name at this machine (DNS rebinding); its requests
        still carry that name.
        """
        if len(self._tokens) or is_loopback(host or ""):
            return None
        return f"Host must be localhost while the server has no tokens, got {host!r}"

    def origin_problem(self, origin: str | None, host: str | None) -> str | None:
        """Why a web page's origin is refused, or None. Programs that are no browser send none."""
        if origin is None or origin.lower() in self._allow_origins:
            return None
        same = urlsplit(origin).netloc.lower() == (host or "").lower()
        if same and is_loopback(host or ""):  # the server's own viewer
            return None
        return f"origin {origin!r} is not on the server's list (--allow-origin)"

    def http_problem(self, path: str, method: str, headers: Mapping[str, str]) -> tuple[int, str] | None:
        """Status and reason of a refusal, or None."""
        host, origin = headers.get("host"), headers.get("origin")
        if (problem := self.host_problem(host)) is not None:
            return 403, problem
        if (problem := self.origin_problem(origin, host)) is not None:
            return 403, problem
        if path.startswith(_PROTECTED_PREFIXES):
            problem = self.bearer_problem(headers.get("authorization"))
            if problem is not None:
                return 401, problem
        return None


class Gate:
    """Stands before every HTTP route: refuses, and adds the secure headers. WebSockets pass: they are refused later."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app = app
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handles one ASGI connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", []), *SECURE_HEADERS]
            await send(message)

        problem = self._access.http_problem(scope["path"], scope["method"], Headers(scope=scope))
        if problem is None:
            await self._app(scope, receive, send_with_headers)
            return
        status, reason = problem
        headers = {"WWW-Authenticate": "Bearer"} if status == 401 else None
        code = "not_authorised"
        response = JSONResponse({"error": {"code": code, "message": reason}}, status, headers)
        await response(scope, receive, send_with_headers)
