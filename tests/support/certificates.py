"""Certificates for tests: an authority of the test's own, and what it signs."""

from __future__ import annotations

import datetime
import ipaddress
import ssl
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

__all__ = ["Authority", "Issued"]

_DAY = datetime.timedelta(days=1)
LOCAL = ("localhost", "127.0.0.1")


@dataclass(frozen=True)
class Issued:
    """Files in PEM."""

    cert: str
    key: str

    def replaced_by(self, other: Issued) -> None:
        """Put another's files in the place of these, as a rename does."""
        for own, others in ((self.cert, other.cert), (self.key, other.key)):
            fresh = Path(own + ".new")
            fresh.write_bytes(Path(others).read_bytes())
            fresh.replace(own)

    def copy_in_place(self, *, cert: Issued | None = None, key: Issued | None = None) -> None:
        """Write another's certificate or key into the file that is there."""
        if cert is not None:
            Path(self.cert).write_bytes(Path(cert.cert).read_bytes())
        if key is not None:
            Path(self.key).write_bytes(Path(key.key).read_bytes())

    def remove_key(self) -> None:
        """Have the key be gone."""
        Path(self.key).unlink()


class Authority:
    """Signs certificates.

    Attributes:
        ca: File with its own certificate.
    """

    def __init__(self, folder: Path, name: str = "authority") -> None:
        self._folder = folder / name
        self._folder.mkdir(parents=True)
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        certificate = (
            self._begun(self._subject, self._key, 30)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self._key.public_key()), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        self.ca = str(self._folder / "ca.crt")
        Path(self.ca).write_bytes(certificate.public_bytes(serialization.Encoding.PEM))

    def issue(
        self, name: str, *names: str, days: float = 20, password: bytes | None = None, is_client: bool = False
    ) -> Issued:
        """For host names and addresses, this machine's when none is given; over already with negative days."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        purpose = ExtendedKeyUsageOID.CLIENT_AUTH if is_client else ExtendedKeyUsageOID.SERVER_AUTH
        certificate = (
            self._begun(subject, key, days)
            .add_extension(x509.SubjectAlternativeName([_general(word) for word in names or LOCAL]), critical=False)
            .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        issued = Issued(str(self._folder / f"{name}.crt"), str(self._folder / f"{name}.key"))
        Path(issued.cert).write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        sealing = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
        Path(issued.key).touch(mode=0o600)
        Path(issued.key).write_bytes(
            key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, sealing)
        )
        return issued

    def trusting(self, own: Issued | None = None) -> ssl.SSLContext:
        """A client that trusts this authority, and shows a certificate if it has one."""
        context = ssl.create_default_context(cafile=self.ca)
        if own is not None:
            context.load_cert_chain(own.cert, own.key)
        return context

    def _begun(self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, days: float) -> x509.CertificateBuilder:
        now = datetime.datetime.now(datetime.UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - 100 * _DAY)
            .not_valid_after(now + days * _DAY)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
        )


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
