"""How an API key is spelled: ``nyt_<customer_id>_<26 random characters><6 of checksum>``.

The checksum lets anybody, secret scanners too, tell a key from what only looks like one without asking a database.
It is no secret and protects nothing: the 26 characters, 134 random bits, do.
"""

from __future__ import annotations

import re
import zlib

__all__ = ["ALPHABET", "RANDOM_LENGTH", "customer_of", "spell_key"]

ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyz"
RANDOM_LENGTH = 26
_CHECKSUM_LENGTH = 6

# From the right: a customer id may hold underscores itself.
_KEY = re.compile(r"nyt_(cust_[A-Za-z0-9][A-Za-z0-9_-]{0,58})_[a-z0-9]{32}", re.ASCII)


def spell_key(customer_id: str, random_text: str) -> str:
    """The key made of `RANDOM_LENGTH` random letters of `ALPHABET`."""
    body = f"nyt_{customer_id}_{random_text}"
    return body + _checksum(body)


def customer_of(api_key: str) -> str | None:
    """The customer that a well-formed key names; None for anything else.

    It says whose key this claims to be. Whose it is, only the stored key says.
    """
    match = _KEY.fullmatch(api_key)
    if match is None or _checksum(api_key[:-_CHECKSUM_LENGTH]) != api_key[-_CHECKSUM_LENGTH:]:
        return None
    return match[1]


def _checksum(body: str) -> str:
    number = zlib.crc32(body.encode())
    letters = []
    for _ in range(_CHECKSUM_LENGTH):
        number, place = divmod(number, 36)
        letters.append(ALPHABET[place])
    return "".join(letters)
