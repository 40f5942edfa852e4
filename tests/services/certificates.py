"""Throw-away certificates: an authority of our own, a server, and a stranger's authority."""

from __future__ import annotations

import datetime
import ipaddress
from pathlib import Path

import attrs
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

DAY = datetime.timedelta(days=1)
SIGNS = x509.KeyUsage(
    digital_signature=True,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=True,
    crl_sign=True,
    encipher_only=False,
    decipher_only=False,
)


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _builder(
    subject: str,
    issuer: str,
    key: ec.EllipticCurvePrivateKey,
    issuer_key: ec.EllipticCurvePrivateKey,
) -> x509.CertificateBuilder:
    """Begin a certificate with the key identifiers that Python 3.13 asks for."""
    own = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    of_issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key())
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(_name(subject))
        .issuer_name(_name(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - DAY)
        .not_valid_after(now + DAY)
        .add_extension(own, False)
        .add_extension(of_issuer, False)
    )


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def authority(name: str) -> tuple[ec.EllipticCurvePrivateKey, bytes]:
    """Make a self-signed authority; give its key and its certificate as PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    builder = _builder(name, name, key, key)
    builder = builder.add_extension(x509.BasicConstraints(True, 0), True).add_extension(SIGNS, True)
    return key, _pem(builder.sign(key, hashes.SHA256()))


@attrs.frozen
class Certificates:
    """All as PEM; the server's is for ``localhost`` and 127.0.0.1, signed by ``ca``."""

    ca: bytes
    server: bytes
    server_key: bytes = attrs.field(repr=False)
    stranger_ca: bytes = attrs.field(repr=False)

    @classmethod
    def make(cls) -> Certificates:
        """Make new ones, valid for a day."""
        ca_key, ca = authority("Test CA")
        key = ec.generate_private_key(ec.SECP256R1())
        names = x509.SubjectAlternativeName(
            [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        )
        builder = _builder("localhost", "Test CA", key, ca_key).add_extension(names, False)
        server_key = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        return cls(
            ca, _pem(builder.sign(ca_key, hashes.SHA256())), server_key, authority("Stranger")[1]
        )

    def write(self, folder: Path) -> None:
        """Write ``ca.pem``, ``server.pem`` and ``server.key``."""
        (folder / "ca.pem").write_bytes(self.ca)
        (folder / "server.pem").write_bytes(self.server)
        (folder / "server.key").write_bytes(self.server_key)
        (folder / "server.key").chmod(0o600)
