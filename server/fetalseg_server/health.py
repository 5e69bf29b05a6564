"""`python -m fetalseg_server.health`: whether the server of this machine is ready, for a container's health check.

It finds the server by the same environment as the server itself (`FETALSEG_PORT`, `FETALSEG_TLS_CERT`).
"""

from __future__ import annotations

import http.client
import ssl
import sys

from fetalseg_server.settings import load_settings

__all__ = ["is_ready"]

_TIMEOUT_S = 4.0


def is_ready(port: int, *, tls: bool) -> bool:
    """Asks `/readyz` on this machine. The certificate isn't checked: it is made out to a name that others use."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_TIMEOUT_S)
    if tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=_TIMEOUT_S, context=context)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


if __name__ == "__main__":
    settings = load_settings()
    sys.exit(0 if is_ready(settings.port, tls=settings.tls_cert is not None) else 1)
