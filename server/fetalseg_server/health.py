"""`python -m fetalseg_server.health`: whether the server of this machine is ready, for a container's health check.

It finds the server by the same environment as the server itself: `FETALSEG_HOST`, `FETALSEG_PORT`, `FETALSEG_TLS_CERT`.
"""

from __future__ import annotations

import http.client
import ssl
import sys

from fetalseg_server.settings import load_settings

__all__ = ["is_ready"]

_TIMEOUT_S = 4.0
_LOOPBACK_OF = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}


def is_ready(port: int, *, tls: bool, host: str = "127.0.0.1") -> bool:
    """Asks `/readyz` on this machine. The certificate isn't checked: it is made out to a name that others use.

    Args:
        port: of the server.
        tls: whether it speaks TLS.
        host: address that it listens at; where that is all addresses, it is asked at the loopback's.
    """
    host = _LOOPBACK_OF.get(host, host)
    connection = http.client.HTTPConnection(host, port, timeout=_TIMEOUT_S)
    if tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        connection = http.client.HTTPSConnection(host, port, timeout=_TIMEOUT_S, context=context)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


if __name__ == "__main__":
    settings = load_settings()
    sys.exit(0 if is_ready(settings.port, tls=settings.tls_cert is not None, host=settings.host) else 1)
