"""Keys as NATS spells them, and the JSON Web Tokens that are signed with them.

An nkey is an Ed25519 key in base 32, with a letter in front that says whose it is and a checksum behind. NATS's
tokens are JSON Web Tokens (RFC 7519) whose algorithm is ``ed25519-nkey``; no library for other tokens knows that one.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from typing import Any

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

__all__ = ["ACCOUNT", "SERVER", "USER", "BadTokenError", "KeyPair", "read_token"]

ACCOUNT, SERVER, USER = 0 << 3, 13 << 3, 20 << 3
"""What the first byte says of the key's owner: it begins with A, N or U."""
_HEADER = b'{"typ":"JWT","alg":"ed25519-nkey"}'
_KEY_BYTES = 32
_POLYNOMIAL = 0x1021


class BadTokenError(Exception):
    """It isn't a token, or not signed by whom it names."""


class KeyPair:
    """Signs as one owner.

    Args:
        owner: `ACCOUNT`, `SERVER` or `USER`.
        seed: At least 32 random bytes; the same seed gives the same key.
    """

    def __init__(self, owner: int, seed: bytes) -> None:
        private = seed if len(seed) == _KEY_BYTES else hashlib.sha256(seed).digest()
        self._key = Ed25519PrivateKey.from_private_bytes(private)
        public = self._key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        self.public = _spell(owner, public)
        """As others know it; no secret."""

    def sign(self, nonce: str) -> bytes:
        """The signature of what a server gives to be signed, as a client sends it."""
        return base64.urlsafe_b64encode(self._key.sign(nonce.encode())).rstrip(b"=")

    def token(self, claims: Mapping[str, object]) -> str:
        """Claims as a signed token."""
        body = b".".join((_encode(_HEADER), _encode(msgspec.json.encode({**claims, "iss": self.public}))))
        return (body + b"." + _encode(self._key.sign(body))).decode()


def read_token(token: bytes, issuer: int) -> dict[str, Any]:
    """The claims of a token that is signed by the key which it names as its issuer.

    Args:
        token: As it came.
        issuer: What kind of owner must have signed it.

    Raises:
        BadTokenError: It is malformed, or the signature isn't good.
    """
    try:
        body, _, signature = token.rpartition(b".")
        claims = msgspec.json.decode(_decode(body.rpartition(b".")[2]), type=dict[str, Any])
        public = Ed25519PublicKey.from_public_bytes(_read(issuer, str(claims.get("iss"))))
        public.verify(_decode(signature), body)
    except (ValueError, InvalidSignature, RecursionError) as exc:
        raise BadTokenError(f"not a token of NATS: {exc}") from exc
    return claims


def _spell(owner: int, key: bytes) -> str:
    raw = bytes([owner]) + key
    return base64.b32encode(raw + _checksum(raw)).decode().rstrip("=")


def _read(owner: int, spelled: str) -> bytes:
    """The key's bytes.

    Raises:
        ValueError: It is no key of that kind of owner.
    """
    raw = base64.b32decode(spelled + "=" * (-len(spelled) % 8))
    if len(raw) != 1 + _KEY_BYTES + 2 or raw[0] != owner or _checksum(raw[:-2]) != raw[-2:]:
        raise ValueError("no key of the kind that is asked for")
    return raw[1:-2]


def _checksum(raw: bytes) -> bytes:
    """CRC-16 as XMODEM has it, lower byte first."""
    crc = 0
    for byte in raw:
        crc ^= byte << 8
        for _ in range(8):
            crc = ((crc << 1) ^ _POLYNOMIAL if crc & 0x8000 else crc << 1) & 0xFFFF
    return crc.to_bytes(2, "little")


def _encode(raw: bytes) -> bytes:
    return base64.urlsafe_b64encode(raw).rstrip(b"=")


def _decode(text: bytes) -> bytes:
    return base64.urlsafe_b64decode(text + b"=" * (-len(text) % 4))
