"""The Python client and `fetalseg stream` against a real server that speaks mutual TLS."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import trustme

from fetalseg.cli import main
from fetalseg_server.client import ConnectionFailedError, Result, Tls, connect, connect_sync
from fetalseg_server.settings import Settings
from server.live import running

FRAME = np.full((48, 64), 40, np.uint8)
TOKEN = "sesame-sesame-sesame"


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ca.pem of the hospital, and the certificates and keys of server, console and a stranger."""
    folder = tmp_path_factory.mktemp("certificates")
    hospital = trustme.CA()
    hospital.cert_pem.write_to_path(folder / "ca.pem")
    for name, authority, host in (
        ("server", hospital, "127.0.0.1"),
        ("console", hospital, "cart-3.hospital.example"),
        ("stranger", trustme.CA(), "cart-3.hospital.example"),
    ):
        certificate = authority.issue_cert(host)
        certificate.cert_chain_pems[0].write_to_path(folder / f"{name}.pem")
        key = folder / f"{name}.key"
        key.touch(0o600)
        certificate.private_key_pem.write_to_path(key)
    return folder


@pytest.fixture(scope="module")
def secure_url(crafted_settings: Settings, certificates: Path) -> Iterator[str]:
    settings = replace(
        crafted_settings,
        tls_cert=str(certificates / "server.pem"),
        tls_key=str(certificates / "server.key"),
        tls_client_ca=str(certificates / "ca.pem"),
        tokens=f"cart-3:{TOKEN}",
    )
    with running(settings) as server:
        yield server.server.address.replace("https://", "wss://") + "/v1/stream"


def tls_of(certificates: Path, name: str) -> Tls:
    return Tls(certificates / "ca.pem", certificates / f"{name}.pem", certificates / f"{name}.key")


def test_a_console_with_certificate_and_token_streams(secure_url: str, certificates: Path) -> None:
    with connect_sync(secure_url, token=TOKEN, tls=tls_of(certificates, "console")) as client:
        client.send(FRAME)
        assert isinstance(next(client), Result)


async def test_a_console_without_one_of_them_does_not(secure_url: str, certificates: Path) -> None:
    with pytest.raises(ConnectionFailedError, match="does it ask for a client's certificate"):
        async with connect(secure_url, token=TOKEN, tls=Tls(certificates / "ca.pem")):
            pass
    with pytest.raises(ConnectionFailedError, match="can't connect"):
        async with connect(secure_url, token=TOKEN, tls=tls_of(certificates, "stranger")):
            pass
    with pytest.raises(ConnectionFailedError, match="is not trusted"):
        async with connect(secure_url, token=TOKEN):
            pass
    with pytest.raises(ConnectionFailedError, match="does not accept the token"):
        async with connect(secure_url, token="", tls=tls_of(certificates, "console")):
            pass
    with pytest.raises(ConnectionFailedError, match=r"does it want wss://\?"):
        async with connect(secure_url.replace("wss://", "ws://"), token=TOKEN):
            pass


def test_fetalseg_stream_takes_certificates_and_a_token_file(
    secure_url: str, certificates: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cv2.imwrite(str(tmp_path / "frame.png"), FRAME)
    (tmp_path / "token.txt").write_text(TOKEN)
    files = {"--ca-file": "ca.pem", "--certificate": "console.pem", "--key": "console.key"}
    arguments = [word for flag, name in files.items() for word in (flag, str(certificates / name))]
    arguments += ["--token-file", str(tmp_path / "token.txt")]
    assert main(["stream", str(tmp_path / "frame.png"), secure_url, *arguments]) == 0
    assert "Cranium" in capsys.readouterr().out
