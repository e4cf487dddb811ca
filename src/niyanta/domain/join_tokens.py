"""Join tokens: how they are spelled, and what a worker may do that came in with one.

A token is ``nyj_<12 characters of id>_<26 random characters><6 of checksum>``. Its id is no secret: it stands in the
names of the subjects on which workers speak, so that whoever hears a message knows by which token its sender came in.

A worker makes a secret of its own at each start and shows it with the token. Its *credential* is the token's id and a
digest of that secret. The broker lets it speak and hear under this credential only, so whoever else has the token may
be a worker as well, but not this one.
"""

from __future__ import annotations

import base64
import hashlib
import re
import zlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from niyanta.domain.api_keys import ALPHABET, RANDOM_LENGTH

__all__ = [
    "CREDENTIAL_PATTERN",
    "ID_LENGTH",
    "WORKER_PATTERN",
    "Grant",
    "credential_of",
    "holder_of",
    "id_of",
    "new_incarnation",
    "spell_token",
    "token_of",
]

ID_LENGTH = 12
_CHECKSUM_LENGTH = 6
_TOKEN = re.compile(rf"nyj_([0-9a-z]{{{ID_LENGTH}}})_[0-9a-z]{{{RANDOM_LENGTH + _CHECKSUM_LENGTH}}}", re.ASCII)
_DIGEST_LENGTH = 26
CREDENTIAL_PATTERN = re.compile(rf"[0-9a-z]{{{ID_LENGTH}}}-[a-z2-7]{{{_DIGEST_LENGTH}}}", re.ASCII)
WORKER_PATTERN = re.compile(r"[A-Za-z0-9_*-]{1,63}", re.ASCII)
"""What the ids of a token's workers may look like: ``*`` stands for any characters, or none."""


@dataclass(frozen=True, slots=True)
class Grant:
    """What a token lets its workers be. An empty part says nothing: everything is allowed."""

    worker_pattern: str = "*"
    workload_types: frozenset[str] = frozenset()
    tags: Mapping[str, str] = field(default_factory=dict)
    """The only tags that a worker may have."""
    customers: frozenset[str] = frozenset()
    """The only customers whose workloads a worker gets. It has no say in that, so `refusal` has none either."""

    def admits(self, worker_id: str) -> bool:
        """Whether a worker may have this id."""
        first, *later = self.worker_pattern.split("*")
        if not later:
            return worker_id == first
        *between, last = later
        if len(worker_id) < len(first) + len(last) or not (worker_id.startswith(first) and worker_id.endswith(last)):
            return False
        # What stands between two stars is best found as early as it can be, so nothing is ever tried again.
        at, end = len(first), len(worker_id) - len(last)
        for part in between:
            at = worker_id.find(part, at, end) + len(part)
            if at < len(part):
                return False
        return True

    def refusal(self, worker_id: str, workload_types: Collection[str], tags: Mapping[str, str]) -> str | None:
        """Why a worker may not register so; None when it may."""
        if not self.admits(worker_id):
            return f"its join token is for workers named '{self.worker_pattern}'"
        if self.workload_types and (beyond := sorted(set(workload_types) - self.workload_types)):
            return f"its join token isn't for workload type '{beyond[0]}'"
        foreign = [name for name, value in tags.items() if self.tags.get(name) != value]
        if self.tags and foreign:
            return f"its join token isn't for the tag '{min(foreign)}={tags[min(foreign)]}'"
        return None


def spell_token(token_id: str, random_text: str) -> str:
    """The token made of an id and `RANDOM_LENGTH` random letters of `ALPHABET`."""
    body = f"nyj_{token_id}_{random_text}"
    return body + _checksum(body)


def id_of(token: str) -> str | None:
    """The id in a well-formed token; None for anything else. Whether there is such a token, it doesn't say."""
    match = _TOKEN.fullmatch(token)
    if match is None or _checksum(token[:-_CHECKSUM_LENGTH]) != token[-_CHECKSUM_LENGTH:]:
        return None
    return match[1]


def credential_of(token_id: str, secret: str) -> str:
    """What a worker with a secret of its own is called on the broker."""
    digest = hashlib.sha256(secret.encode()).digest()
    return f"{token_id}-{base64.b32encode(digest).decode().lower()[:_DIGEST_LENGTH]}"


def token_of(credential: str) -> str:
    """The id of the token by which a credential was got."""
    return credential.partition("-")[0]


def new_incarnation(credential: str, random_text: str) -> str:
    """An incarnation that shows whose it is; the random part has no hyphen."""
    return f"{credential}-{random_text}" if credential else random_text


def holder_of(incarnation: str) -> str:
    """The credential of the worker that an incarnation is of; empty where there is none."""
    return incarnation.rpartition("-")[0]


def _checksum(body: str) -> str:
    number = zlib.crc32(body.encode())
    letters = []
    for _ in range(_CHECKSUM_LENGTH):
        number, place = divmod(number, len(ALPHABET))
        letters.append(ALPHABET[place])
    return "".join(letters)
