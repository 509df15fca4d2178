"""TLS against real servers: known certificates only, whoever makes them known, and nothing sent to strangers."""

from __future__ import annotations

import asyncio
import datetime
import ipaddress
import os
import ssl
from pathlib import Path

import orjson
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from syncer.api.certificates import system_file_unread, tls_context
from syncer.errors import UsageError
from syncer.model import WireFailed
from tests.processes import export
from tests.test_api_transport import LIST, transport_to
from tests.wire_server import page_body, sends, wire_server, with_length

USER = {
    "id": "comms_pushnotificationuser_01h11138m0ehsarbm2h9bgyj2d",
    "createdAt": "2023-05-22T06:07:12Z",
    "updatedAt": "2025-03-05T20:35:37Z",
    "deletedAt": None,
}
WHOLE_LIST = with_length(orjson.dumps({"users": [USER], "pagination": {"next": None}}))


def make_certificate(folder: Path, address: str = "127.0.0.1") -> tuple[Path, ssl.SSLContext]:
    """A certificate that vouches for itself, for a server at ``address``: its file, and what the server needs."""
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "here")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    public, private = folder / "certificate.pem", folder / "key.pem"
    public.write_bytes(certificate.public_bytes(Encoding.PEM))
    private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    served = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    served.load_cert_chain(public, private)
    return public, served


async def test_a_server_whose_certificate_is_in_the_ca_file_is_asked(tmp_path: Path) -> None:
    ca_file, served = make_certificate(tmp_path)
    async with wire_server(sends(with_length(page_body(3))), served) as server:
        async with transport_to(server.url, ca_file=ca_file) as transport:
            assert (await transport.send(LIST)).body == page_body(3)


@pytest.mark.parametrize("is_known", [False, True], ids=["unknown", "for another address"])
async def test_nothing_is_sent_to_a_stranger(tmp_path: Path, is_known: bool) -> None:
    ca_file, served = make_certificate(tmp_path, "127.0.0.2" if is_known else "127.0.0.1")
    async with wire_server(sends(WHOLE_LIST), served) as server:
        async with transport_to(server.url, ca_file=ca_file if is_known else None) as transport:
            with pytest.raises(WireFailed, match="the certificate or the protocol was refused") as caught:
                await transport.send(LIST)
        assert (caught.value.kind, caught.value.sent, server.arrived) == ("connect", False, [])


async def test_the_certificates_of_the_system_are_those_of_the_environment(tmp_path: Path) -> None:
    ca_file, served = make_certificate(tmp_path)
    async with wire_server(sends(WHOLE_LIST), served) as server:
        told = await asyncio.to_thread(export, server.url, tmp_path, SSL_CERT_FILE=str(ca_file))
        assert told["snapshots"][0]["users"] == 1


async def test_an_export_trusts_the_ca_file_that_it_is_given(tmp_path: Path) -> None:
    ca_file, served = make_certificate(tmp_path)
    async with wire_server(sends(WHOLE_LIST), served) as server:
        told = await asyncio.to_thread(export, server.url, tmp_path, "--ca-file", str(ca_file))
        assert told["snapshots"][0]["users"] == 1


@pytest.mark.parametrize("before", [None, "/etc/certificates.pem"])
def test_the_environment_is_as_it_was_afterwards(monkeypatch: pytest.MonkeyPatch, before: str | None) -> None:
    if before is None:
        monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    else:
        monkeypatch.setenv("SSL_CERT_FILE", before)
    with system_file_unread():
        assert ssl.create_default_context().cert_store_stats()["x509"] == 0
    assert os.environ.get("SSL_CERT_FILE") == before


def test_a_ca_file_that_is_no_certificate_is_a_usage_error(tmp_path: Path) -> None:
    bad = tmp_path / "ca.pem"
    bad.write_text("no certificate")
    for path in (bad, tmp_path / "missing.pem"):
        with pytest.raises(UsageError, match="cannot be read as PEM"):
            tls_context(path)


def test_tls_needs_version_1_2_and_a_known_issuer() -> None:
    context = tls_context(None)
    assert (context.minimum_version, context.verify_mode, context.check_hostname) == (
        ssl.TLSVersion.TLSv1_2,
        ssl.CERT_REQUIRED,
        True,
    )
