"""Encrypted connections, with certificates made here."""

from __future__ import annotations

import http.client
import http.server
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import trustme

from fetalseg_server.health import is_ready
from fetalseg_server.settings import Settings
from fetalseg_server.transport.tls import Certificates
from server.live import Client, RunningServer, encoded, picture, running

JPEG_BYTES = encoded(picture())


@dataclass(frozen=True)
class Files:
    """An authority, and what it issued, as files."""

    folder: Path
    authority: trustme.CA

    @classmethod
    def write(cls, folder: Path) -> Files:
        files = cls(folder, trustme.CA())
        files.authority.cert_pem.write_to_path(str(files.ca))
        files.issue()
        return files

    def issue(self) -> None:
        """A new certificate for this machine, in place of the one before."""
        issued = self.authority.issue_cert("localhost", "127.0.0.1")
        self.cert.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
        self.key.write_bytes(issued.private_key_pem.bytes())
        self.key.chmod(0o600)

    @property
    def ca(self) -> Path:
        return self.folder / "ca.pem"

    @property
    def cert(self) -> Path:
        return self.folder / "cert.pem"

    @property
    def key(self) -> Path:
        return self.folder / "key.pem"

    def trust(self, *, issued_by: trustme.CA | None = None) -> ssl.SSLContext:
        """A client's side: trusts the authority, and shows a certificate of `issued_by`."""
        context = ssl.create_default_context(cafile=str(self.ca))
        if issued_by is not None:
            issued_by.issue_cert("console@hospital.example").configure_cert(context)
        return context


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files.write(tmp_path)


@pytest.fixture(scope="module")
def served(
    crafted_settings: Settings, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[RunningServer, Files]]:
    """A server that asks for certificates of the same authority."""
    files = Files.write(tmp_path_factory.mktemp("tls"))
    settings = replace(
        crafted_settings,
        tls_cert=str(files.cert),
        tls_key=str(files.key),
        tls_client_ca=str(files.ca),
        request_timeout_s=4.0,
    )
    with running(settings) as live:
        yield live, files


def get(server: RunningServer, path: str, context: ssl.SSLContext) -> int:
    connection = http.client.HTTPSConnection(server.host, timeout=20, context=context)
    try:
        connection.request("GET", path, headers={"Host": "localhost"})
        return connection.getresponse().status
    finally:
        connection.close()


def test_streams_and_pages_are_encrypted(served: tuple[RunningServer, Files]) -> None:
    server, files = served
    assert server.http.startswith("https://127.0.0.1:")
    context = files.trust(issued_by=files.authority)
    assert get(server, "/readyz", context) == 200
    with Client(server.url, {}, ssl=context) as client:
        assert client.ask(1, JPEG_BYTES)["type"] == "result"


class Ready(http.server.BaseHTTPRequestHandler):
    """Answers 200 to the question for readiness, 404 else."""

    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/readyz" else 404)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Says nothing on standard error."""


def test_a_health_check_needs_no_trust_in_the_certificate(server: RunningServer, files: Files) -> None:
    assert is_ready(int(server.host.rpartition(":")[2]), tls=False)
    assert not is_ready(int(server.host.rpartition(":")[2]), tls=True)
    assert is_ready(int(server.host.rpartition(":")[2]), tls=False, host="0.0.0.0")
    assert not is_ready(int(server.host.rpartition(":")[2]), tls=False, host="127.0.0.2"), "it listens at 127.0.0.1"
    with http.server.HTTPServer(("127.0.0.1", 0), Ready) as encrypted:
        encrypted.socket = Certificates(files.cert, files.key, None).context.wrap_socket(
            encrypted.socket, server_side=True
        )
        thread = threading.Thread(target=encrypted.handle_request)
        thread.start()
        assert is_ready(encrypted.server_port, tls=True)
        thread.join()
    assert not is_ready(encrypted.server_port, tls=True)


@pytest.mark.parametrize("stranger", ["without a certificate", "with a certificate of another authority"])
def test_who_has_no_certificate_of_the_authority_gets_nowhere(
    served: tuple[RunningServer, Files], stranger: str
) -> None:
    server, files = served
    context = files.trust(issued_by=None if "without" in stranger else trustme.CA())
    with pytest.raises((ssl.SSLError, ConnectionError, http.client.RemoteDisconnected)):
        get(server, "/healthz", context)


def test_plain_text_is_not_understood(served: tuple[RunningServer, Files]) -> None:
    server, _ = served
    host, _, port = server.host.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=20) as raw:
        raw.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert b"200" not in raw.recv(4096)


def test_who_does_not_go_on_with_the_handshake_is_cut_off(served: tuple[RunningServer, Files]) -> None:
    server, _ = served
    host, _, port = server.host.rpartition(":")
    begun = time.monotonic()
    with socket.create_connection((host, int(port)), timeout=60) as raw:
        raw.sendall(b"\x16\x03\x01")
        assert raw.recv(4096) == b""
    assert time.monotonic() - begun < 50  # the library's own bound is 60 s


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1 is deprecated:DeprecationWarning")
def test_versions_before_1_2_are_refused(served: tuple[RunningServer, Files]) -> None:
    server, files = served
    old = files.trust(issued_by=files.authority)
    old.set_ciphers("DEFAULT:@SECLEVEL=0")
    old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises(ssl.SSLError):
        get(server, "/healthz", old)
    new = files.trust(issued_by=files.authority)
    new.maximum_version = ssl.TLSVersion.TLSv1_2
    assert get(server, "/healthz", new) == 200


def serial(server: RunningServer, context: ssl.SSLContext, *, name: str | None) -> str:
    """The server's certificate; `name` is what the client calls the server in its first message."""
    context.check_hostname = False
    host, _, port = server.host.rpartition(":")
    with (
        socket.create_connection((host, int(port)), timeout=20) as raw,
        context.wrap_socket(raw, server_hostname=name) as connection,
    ):
        certificate = connection.getpeercert()
        assert certificate is not None
        return str(certificate["serialNumber"])


def test_new_certificates_count_after_a_reload_and_sessions_go_on(served: tuple[RunningServer, Files]) -> None:
    server, files = served
    former = files.trust(issued_by=files.authority)
    with Client(server.url, {}, ssl=former) as client:
        before = serial(server, former, name="localhost")
        renewed = trustme.CA()
        files.issue()
        files.ca.write_bytes(renewed.cert_pem.bytes())
        assert serial(server, former, name="localhost") == before
        server.reload()
        with pytest.raises((ssl.SSLError, ConnectionError, http.client.RemoteDisconnected)):
            get(server, "/healthz", former)  # the authority of clients is another one now
        latter = ssl.create_default_context(cadata=files.authority.cert_pem.bytes().decode())
        renewed.issue_cert("console@hospital.example").configure_cert(latter)
        assert get(server, "/healthz", latter) == 200
        after = serial(server, latter, name="localhost")
        assert before != after == serial(server, latter, name=None)
        files.key.write_text("no key")
        server.reload()
        assert get(server, "/healthz", latter) == 200
        assert client.ask(1, JPEG_BYTES)["type"] == "result"


def test_a_key_that_others_can_read_is_refused(files: Files) -> None:
    files.key.chmod(0o644)
    with pytest.raises(ValueError, match=r"the TLS key .* is open to others: expected mode 0600 or 0640, got 0644"):
        Certificates(files.cert, files.key, None)


def test_files_that_cannot_be_used_are_named(files: Files) -> None:
    with pytest.raises(ValueError, match=r"can't use tls_cert .*none\.pem with tls_key"):
        Certificates(files.folder / "none.pem", files.key, None)
    with pytest.raises(ValueError, match=r"can't read tls_key .*none\.pem: No such file"):
        Certificates(files.cert, files.folder / "none.pem", None)
    with pytest.raises(ValueError, match=r"can't use tls_client_ca .*none\.pem"):
        Certificates(files.cert, files.key, files.folder / "none.pem")
    files.key.write_bytes(trustme.CA().issue_cert("localhost").private_key_pem.bytes())
    with pytest.raises(ValueError, match=r"can't use tls_cert .* with tls_key .*MISMATCH"):
        Certificates(files.cert, files.key, None)
