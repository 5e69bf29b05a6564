"""The server's side of TLS: its certificate, and whose certificates it asks for."""

from __future__ import annotations

import os
import ssl
from pathlib import Path

from fetalseg_server.access.private_file import check_private

__all__ = ["Certificates"]


class Certificates:
    """Certificate, key and client authorities as a context, from files that may be replaced while the server runs.

    Args:
        cert: PEM, the server's certificate and those that lead to its root.
        key: PEM, its private key; nobody else may read the file.
        client_ca: PEM, authorities of clients; None asks for no client certificates.

    Attributes:
        context: for the listening socket, once for all.

    Raises:
        ValueError: a file can't be read, isn't what it should be, or the key is open to others.
    """

    def __init__(self, cert: Path, key: Path, client_ca: Path | None) -> None:
        self._files = cert, key, client_ca
        self.context = self._current = _load(cert, key, client_ca)
        self.context.sni_callback = self._use_current

    def reload(self) -> None:
        """Reads the files again, for connections from now on; open ones go on.

        Raises:
            ValueError: as at the start; then the former ones stay.
        """
        self._current = _load(*self._files)

    def _use_current(self, connection: ssl.SSLObject, name: str | None, context: ssl.SSLContext) -> None:
        """Called for each connection at its first message, whether or not it names a host."""
        connection.context = self._current


def _load(cert: Path, key: Path, client_ca: Path | None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols(["http/1.1"])
    _check_key(key)
    try:
        context.load_cert_chain(cert, key, password=_no_password)
    except (OSError, ssl.SSLError) as error:
        raise ValueError(f"can't use tls_cert {cert} with tls_key {key}: {error}") from None
    if client_ca is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        try:
            context.load_verify_locations(cafile=client_ca)
        except (OSError, ssl.SSLError) as error:
            raise ValueError(f"can't use tls_client_ca {client_ca}: {error}") from None
    return context


def _check_key(key: Path) -> None:
    try:
        descriptor = os.open(key, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise ValueError(f"can't read tls_key {key}: {error.strerror}") from None
    try:
        check_private(descriptor, key, "TLS key")
    finally:
        os.close(descriptor)


def _no_password() -> str:
    """Without it the library would ask for one on the terminal."""
    raise ValueError("a TLS key with a password can't be used: nobody is there to type it")
