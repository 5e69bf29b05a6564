"""Who may use the server: tokens, the Host and Origin rules, and the headers of every answer."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fetalseg.examination_report import STYLE_SOURCE
from fetalseg_server.access.addresses import FailedAttempts
from fetalseg_server.access.journal import Journal
from fetalseg_server.access.tokens import ANYONE, Client, NotAuthorisedError, TokenTable

__all__ = [
    "SECURE_HEADERS",
    "Access",
    "Client",
    "Gate",
    "NotAuthorisedError",
    "TokenTable",
    "address_of",
    "is_loopback",
    "refusal_of_bind",
    "vouch_for",
]

_LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
_PROTECTED_PREFIXES = ("/v1/", "/metrics")
_STREAM_PATH = "/v1/stream"

# The viewer opens a report, fetched with the token, in a new tab. The tab inherits the viewer's policy, which therefore
# names the style of reports.
_POLICY = (
    f"default-src 'none'; script-src 'self'; style-src 'self' {STYLE_SOURCE}; img-src 'self' blob: data:; "
    "media-src 'self' blob:; connect-src 'self'; worker-src 'self'; manifest-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)

# Of every answer. Strict-Transport-Security is left to whoever runs the host: it would bind all of its ports.
SECURE_HEADERS: tuple[tuple[bytes, bytes], ...] = (
    (b"content-security-policy", _POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(self), microphone=(), geolocation=(), display-capture=(self)"),
)


def _host_name(host: str) -> str:
    """The name in a Host header or an origin, without its port; "" where it is malformed."""
    try:
        return (urlsplit(f"//{host}").hostname or "").lower()
    except ValueError:
        return ""


def is_loopback(host: str) -> bool:
    """Whether a host name, with or without a port, means this machine only."""
    return _host_name(f"[{host}]" if host.count(":") > 1 and not host.startswith("[") else host) in _LOOPBACK_NAMES


def refusal_of_bind(host: str, tokens: TokenTable, *, encrypted: bool) -> str | None:
    """Why a server must not listen at `host`, or None.

    Args:
        host: the address to listen at.
        tokens: who may use it.
        encrypted: by itself, or by a trusted proxy.
    """
    if is_loopback(host):
        return None
    if not len(tokens):
        return (
            f"without tokens the server listens on this machine only, got host {host}; "
            "give tokens with --tokens-file or FETALSEG_TOKENS"
        )
    if not encrypted:
        return (
            f"without TLS the server listens on this machine only, got host {host}: tokens and frames would cross the "
            "network in the clear; give --tls-cert and --tls-key, or --trusted-proxy where a proxy has them"
        )
    return None


class Access:
    """The rules for one request, HTTP or WebSocket.

    Args:
        tokens: without any, only this machine is served.
        allow_origins: "https://console.example" and the like, of web pages that may use the server.
        max_failed_attempts: wrong tokens a minute of one address.
    """

    def __init__(self, tokens: TokenTable, allow_origins: Iterable[str], *, max_failed_attempts: int = 10) -> None:
        self._tokens = tokens
        self._failed = FailedAttempts(max_failed_attempts)
        self._allow_origins = frozenset(origin.rstrip("/").lower() for origin in allow_origins)

    def client_of(self, token: str | None, address: str) -> Client:
        """Whose token it is; without tokens, anyone's.

        Args:
            token: as it was given, None where none was.
            address: of who gave it.

        Raises:
            NotAuthorisedError: a token is required and this one isn't known, or the address was wrong too often.
        """
        if not len(self._tokens):
            return ANYONE
        if not token:
            raise NotAuthorisedError("a token is required")
        if (wait_s := math.ceil(self._failed.wait_s(address))) > 0:
            raise NotAuthorisedError(f"too many wrong tokens; try again in {wait_s} s", wait_s=wait_s)
        client = self._tokens.client_of(token)
        if client is None:
            self._failed.failed(address)
            raise NotAuthorisedError("this token is not known")
        return client

    def bearer_of(self, authorization: str | None, address: str) -> Client:
        """The same for an `Authorization` header."""
        scheme, _, token = (authorization or "").partition(" ")
        return self.client_of(token.strip() if scheme.lower() == "bearer" else None, address)

    def replace_tokens(self, tokens: TokenTable) -> set[str]:
        """From now on other tokens count.

        Returns:
            The names of clients whose tokens open nothing any more.

        Raises:
            ValueError: there would be none, or there were none: whether tokens are needed is decided at the start.
        """
        if bool(len(self._tokens)) != bool(len(tokens)):
            raise ValueError(f"tokens can't be {'added' if len(tokens) else 'removed'} altogether without a new start")
        former, self._tokens = self._tokens, tokens
        return former.names_lost(tokens)

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
        same = origin.lower().partition("://")[2] == (host or "").lower()
        if same and is_loopback(host or ""):  # the server's own viewer
            return None
        return f"origin {origin!r} is not on the server's list (--allow-origin)"

    def page_problem(self, host: str | None, origin: str | None) -> str | None:
        """Why a request is refused by what its Host and Origin say, or None."""
        return self.host_problem(host) or self.origin_problem(origin, host)


class Gate:
    """Stands before every route: refuses, and adds the secure headers.

    A stream is let through: it is refused after its upgrade, in words.
    A protected route finds whose token was given as `request.state.client`.

    Args:
        app: what stands behind.
        access: the rules.
        journal: is told of refusals.
    """

    def __init__(self, app: ASGIApp, access: Access, journal: Journal) -> None:
        self._app = app
        self._access = access
        self._journal = journal

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handles one ASGI connection."""
        if scope["type"] == "http":
            await self._handle(scope, receive, send)
        elif scope["type"] == "websocket" and scope["path"] != _STREAM_PATH:
            await send({"type": "websocket.close"})  # before it is accepted: 403
        else:
            await self._app(scope, receive, send)

    async def _handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                given = message.get("headers", [])
                # A page with rules of its own (a report) keeps them: a browser obeys both policies where there are two.
                names = {name for name, _ in given}
                message["headers"] = [*given, *(header for header in SECURE_HEADERS if header[0] not in names)]
            await send(message)

        refusal = self._refusal(scope)
        if refusal is not None:
            await self._journal.refused(address_of(scope), f"http_{refusal.status_code}")
        await (refusal or self._app)(scope, receive, send_with_headers)

    def _refusal(self, scope: Scope) -> JSONResponse | None:
        headers = Headers(scope=scope)
        if (problem := self._access.page_problem(headers.get("host"), headers.get("origin"))) is not None:
            return _error(403, problem)
        if not scope["path"].startswith(_PROTECTED_PREFIXES):
            return None
        try:
            client = self._access.bearer_of(headers.get("authorization"), address_of(scope))
        except NotAuthorisedError as error:
            if error.wait_s:
                return _error(429, str(error), {"Retry-After": str(error.wait_s)})
            return _error(401, str(error), {"WWW-Authenticate": "Bearer"})
        vouch_for(scope)
        scope["state"]["client"] = client
        return None


def address_of(scope: Scope) -> str:
    """The address that a request comes from, as far as a trusted proxy tells."""
    return scope["client"][0] if scope.get("client") else ""


def vouch_for(scope: Scope) -> None:
    """Whoever sent this has shown who it is: its connection doesn't count as pending any more."""
    scope.setdefault("state", {}).get("vouch", lambda: None)()


def _error(status: int, message: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    return JSONResponse({"error": {"code": "not_authorised", "message": message}}, status, headers)
