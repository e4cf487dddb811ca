"""What holds for every TLS connection here: versions, ciphers, and how files that can't be used are told of."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager

from niyanta.errors import ConfigurationError

__all__ = ["CIPHERS", "client_context", "explained", "load_own", "restrict"]

CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"
"""Of TLS 1.2: those with forward secrecy and authenticated encryption (RFC 9325, section 4.2). 1.3 has no others."""


def restrict(context: ssl.SSLContext) -> None:
    """Allow TLS 1.2 and 1.3 only, with `CIPHERS`, no compression and no renegotiation."""
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(CIPHERS)
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION


def client_context(authorities: str = "", certificate: str = "", key: str = "") -> ssl.SSLContext:
    """For connections to a server whose certificate and name are checked.

    Args:
        authorities: PEM file with those who may have signed the server's certificate; the system's when empty.
        certificate: PEM file with a certificate of one's own, and what leads from it to its authority.
        key: PEM file with its key; where the certificate is when empty.

    Raises:
        ConfigurationError: A file can't be used; says which and why.
    """
    with explained(authorities):
        context = ssl.create_default_context(cafile=authorities or None)
    restrict(context)
    if certificate:
        load_own(context, certificate, key)
    return context


def load_own(context: ssl.SSLContext, certificate: str, key: str = "") -> None:
    """Have a context show a certificate.

    Raises:
        ConfigurationError: A file can't be used; says which and why.
    """
    with explained(" and ".join(filter(None, (certificate, key)))):
        context.load_cert_chain(certificate, key or None, password=_encrypted)


class _EncryptedKeyError(Exception):
    """The key asks for a password, and nobody is there to type it."""


def _encrypted() -> str:
    raise _EncryptedKeyError


@contextmanager
def explained(files: str) -> Iterator[None]:
    """Say in words which file can't be used.

    Raises:
        ConfigurationError: Whatever the reading of the files raises.
    """
    try:
        yield
    except ssl.SSLError as exc:
        why = {
            "KEY_VALUES_MISMATCH": "the key doesn't belong to the certificate",
            "NO_START_LINE": "there is no PEM certificate or key in it",
        }.get(exc.reason or "", f"not PEM, or damaged ({exc.reason or exc})")
        raise ConfigurationError(f"{files} can't be used for TLS: {why}") from exc
    except _EncryptedKeyError as exc:
        raise ConfigurationError(
            f"{files} can't be used for TLS: the key is encrypted; write it without a password, readable to this user"
        ) from exc
    except OSError as exc:
        raise ConfigurationError(f"{files} can't be read: {exc.strerror or exc}") from exc
