"""Where a client's server is and how to get in: address, token, certificates; and the opening of a connection."""

from __future__ import annotations

import asyncio
import logging
import os
import ssl
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as websocket_connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidMessage, InvalidStatus, InvalidURI
from websockets.typing import Subprotocol

from fetalseg_server.client.answers import Ready, read_ready
from fetalseg_server.client.errors import ConnectionFailedError, close_in_words
from fetalseg_server.messages import hello_message
from fetalseg_server.options import SessionOptions
from fetalseg_server.protocol import SUBPROTOCOL, ProtocolError, parse_message

__all__ = ["TOKEN_VARIABLE", "Endpoint", "Tls", "read_token"]

logger = logging.getLogger(__name__)

TOKEN_VARIABLE = "FETALSEG_TOKEN"
MAX_ANSWER_BYTES = 64 * 1024 * 1024  # of one message; a label map of the largest frame stays far below
CLOSE_S = 2.0  # for the other side's half of the closing handshake
_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_BROKEN_OFF = (InvalidMessage, ssl.SSLEOFError, ConnectionResetError, ConnectionAbortedError, BrokenPipeError)
_BUSY = (408, 425, 429, 500, 502, 503, 504)  # what a proxy says while its server restarts


@dataclass(frozen=True)
class Tls:
    """Certificates for `wss://`; without any, the system's authorities are trusted and no certificate is shown.

    The server's certificate and name are always checked, TLS is at least 1.2.

    Attributes:
        ca_file: PEM with the authorities to trust instead of the system's: a hospital's own, say.
        certificate_file: PEM with this client's certificate and those between it and the authority (mutual TLS).
        key_file: PEM with its key; None where the certificate's file holds it.
        key_password: of an encrypted key.
    """

    ca_file: str | Path | None = None
    certificate_file: str | Path | None = None
    key_file: str | Path | None = None
    key_password: str | None = field(default=None, repr=False)

    def context(self) -> ssl.SSLContext:
        """Ready for connections.

        Raises:
            ValueError: a file can't be read, or holds something else.
        """
        what = f"the CA file {self.ca_file}"
        try:
            context = ssl.create_default_context(cafile=self.ca_file)
            if self.certificate_file is not None:
                what = f"the certificate {self.certificate_file} with the key {self.key_file or 'in it'}"
                # An empty password makes an encrypted key an error; without it OpenSSL would ask on the terminal.
                context.load_cert_chain(self.certificate_file, self.key_file, self.key_password or "")
        except (OSError, ssl.SSLError) as error:
            raise ValueError(f"can't use {what}: {error.strerror or error}") from None
        return context


def read_token(token: str | Path | None) -> str | None:
    """The token to show.

    Args:
        token: the token itself; the path of a file whose first line that is neither empty nor a comment (`#`) is the
            token; None for the environment variable `FETALSEG_TOKEN`.

    Returns:
        None where there is no token; a token of "" is none, too.

    Raises:
        ValueError: the file can't be read, or holds no token.
    """
    if not isinstance(token, Path):
        return (os.environ.get(TOKEN_VARIABLE) if token is None else token) or None
    try:
        lines = [line.strip() for line in token.read_text(encoding="utf-8").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"can't read the token file {token}: {error}") from None
    found = next((line for line in lines if line and not line.startswith("#")), None)
    if found is None:
        raise ValueError(f"the token file {token} holds no token")
    return found


class _Connect(websocket_connect):
    """Follows no redirect: a token is for the server that was named, not for one that it points to."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        return exc


class Endpoint:
    """One server, to be connected to as often as needed.

    Args:
        url: "ws://host:port/v1/stream", or wss.
        token: see `read_token`; a file is read for each connection, so that a token may be replaced meanwhile.
        tls: for wss; None trusts the system's authorities.
        timeout_s: for connection and greeting each.

    Raises:
        ValueError: certificates that can't be used, or certificates for `ws://`.
    """

    def __init__(self, url: str, *, token: str | Path | None, tls: Tls | None, timeout_s: float) -> None:
        parts = urlsplit(url)
        if tls is not None and parts.scheme != "wss":
            raise ValueError(f"certificates are for wss:// addresses, got {url!r}")
        self._url = url
        self._token = token
        self._ssl = (tls or Tls()).context() if parts.scheme == "wss" else None
        self._shows_certificate = tls is not None and tls.certificate_file is not None
        self._timeout_s = timeout_s
        if self._ssl is None and read_token(token) and parts.hostname not in _LOOPBACK:
            logger.warning("the token travels to %s unencrypted; use wss://", parts.hostname)

    async def open(self, options: SessionOptions, *, resume: str | None = None) -> tuple[ClientConnection, Ready]:
        """Connects and greets.

        Args:
            options: what the session wants.
            resume: id of the session to take up again.

        Raises:
            ValueError: not a WebSocket address, or a token file that can't be used.
            ConnectionFailedError: no session came about; `can_retry` says whether another attempt makes sense.
        """
        hello = hello_message(options.to_json(), token=read_token(self._token), resume=resume)
        websocket = await self._open()
        try:
            return websocket, await self._greet(websocket, hello)
        except BaseException:
            websocket.transport.abort()
            raise

    async def _open(self) -> ClientConnection:
        url = self._url
        try:
            # A live stream goes straight to its server: no proxy, no compression of pictures that are compressed
            # already. The link's own pings watch the connection.
            return await _Connect(
                url,
                subprotocols=[Subprotocol(SUBPROTOCOL)],
                compression=None,
                max_size=MAX_ANSWER_BYTES,
                open_timeout=self._timeout_s,
                close_timeout=CLOSE_S,
                ping_interval=None,
                proxy=None,
                ssl=self._ssl,
            )
        except InvalidURI:
            raise ValueError(f"expected an address such as ws://127.0.0.1:8420/v1/stream, got {url!r}") from None
        except InvalidStatus as error:
            status = error.response.status_code
            if status in _BUSY:
                raise ConnectionFailedError(f"{url} is not available now: it answered HTTP {status}") from None
            raise ConnectionFailedError(
                f"{url} is no stream: it answered HTTP {status}; expected an address such as ws://HOST:PORT/v1/stream",
                permanent=True,
            ) from None
        except ssl.SSLCertVerificationError as error:
            raise ConnectionFailedError(
                f"the certificate of {url} is not trusted: {error.verify_message}", permanent=True
            ) from None
        except ConnectionRefusedError:
            raise ConnectionFailedError(f"no server listens at {url} (connection refused)") from None
        except TimeoutError:
            raise ConnectionFailedError(f"{url} did not answer within {self._timeout_s:g} s") from None
        except (OSError, InvalidHandshake) as error:
            # A server that dies in the middle sends half an answer or none: that may be better next time.
            permanent = isinstance(error, ssl.SSLError | InvalidHandshake) and not isinstance(error, _BROKEN_OFF)
            raise ConnectionFailedError(f"can't connect to {url}: {self._why(error)}", permanent=permanent) from None

    def _why(self, error: Exception) -> str:
        if isinstance(error, _BROKEN_OFF):
            doubts = ["does it speak TLS"] if self._ssl else ["does it want wss://"]
            doubts += ["does it ask for a client's certificate"] if self._ssl and not self._shows_certificate else []
            return f"it hung up before it answered; {' or '.join(doubts)}?"
        if isinstance(error, ssl.SSLError):
            return f"TLS failed ({(error.reason or str(error)).lower().replace('_', ' ')}); does it speak TLS?"
        return str(error)

    async def _greet(self, websocket: ClientConnection, hello: str) -> Ready:
        message = None
        try:
            async with asyncio.timeout(self._timeout_s):
                await websocket.send(hello)
                message = parse_message(str(await websocket.recv()))
                if message["type"] != "error":
                    return read_ready(message)
                await websocket.wait_closed()
        except TimeoutError:
            if message is None:
                raise ConnectionFailedError(f"the server sent no greeting within {self._timeout_s:g} s") from None
        except ConnectionClosed:
            words = close_in_words(websocket.close_code)
            raise ConnectionFailedError(f"{words} before the greeting", close_code=websocket.close_code) from None
        except ProtocolError as error:
            raise ConnectionFailedError(f"this is no fetalseg server: {error}", permanent=True) from None
        assert message is not None
        raise ConnectionFailedError(
            f"{close_in_words(websocket.close_code)}: {message.get('message')}",
            code=str(message.get("code")),
            close_code=websocket.close_code,
        )
