"""Who may use the server: tokens, the Host and Origin rules, and the headers of every HTTP answer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fetalseg_server.tokens import ANYONE, Client, NotAuthorisedError, TokenTable

__all__ = ["Access", "Client", "Gate", "NotAuthorisedError", "TokenTable", "is_loopback", "refusal_of_bind"]

_LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
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

    def client_of(self, token: str | None) -> Client:
        """Whose token it is; without tokens, anyone's.

        Raises:
            NotAuthorisedError: a token is required, and this one isn't known.
        """
        if not len(self._tokens):
            return ANYONE
        client = self._tokens.client_of(token)
        if client is None:
            raise NotAuthorisedError("this token is not known" if token else "a token is required")
        return client

    def bearer_of(self, authorization: str | None) -> Client:
        """The same for an `Authorization` header."""
        scheme, _, token = (authorization or "").partition(" ")
        return self.client_of(token.strip() if scheme.lower() == "bearer" else None)

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

    def page_problem(self, host: str | None, origin: str | None) -> str | None:
        """Why a request is refused by what its Host and Origin say, or None."""
        return self.host_problem(host) or self.origin_problem(origin, host)


class Gate:
    """Stands before every HTTP route: refuses, and adds the secure headers. WebSockets pass: they are refused later.

    A protected route finds whose token was given as `request.state.client`.
    """

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
                given = message.get("headers", [])
                # A page with rules of its own (a report) keeps them: a browser obeys both policies where there are two.
                names = {name for name, _ in given}
                message["headers"] = [*given, *(header for header in SECURE_HEADERS if header[0] not in names)]
            await send(message)

        refusal = self._refusal(scope)
        await (refusal or self._app)(scope, receive, send_with_headers)

    def _refusal(self, scope: Scope) -> JSONResponse | None:
        headers = Headers(scope=scope)
        if (problem := self._access.page_problem(headers.get("host"), headers.get("origin"))) is not None:
            return _error(403, problem)
        if not scope["path"].startswith(_PROTECTED_PREFIXES):
            return None
        try:
            client = self._access.bearer_of(headers.get("authorization"))
        except NotAuthorisedError as error:
            return _error(401, str(error), {"WWW-Authenticate": "Bearer"})
        scope.setdefault("state", {})["client"] = client
        return None


def _error(status: int, message: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    return JSONResponse({"error": {"code": "not_authorised", "message": message}}, status, headers)
