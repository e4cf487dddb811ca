"""What a registration must be like, so that it can be kept, compared and shown; else why it can't."""

from __future__ import annotations

import math
import re

import msgspec

from niyanta.domain.ids import WORKLOAD_TYPE_PATTERN
from niyanta.domain.limits import MAX_CAPACITY, MAX_DEPTH, MAX_SCHEMA_BYTES, MAX_TAG_LENGTH, MAX_TAGS
from niyanta.domain.workers import Isolation
from niyanta.wire.decoding import UNREADABLE
from niyanta.wire.messages import PROTOCOL_VERSION, HandlerInfo, Register
from niyanta.wire.subjects import WORKER_ID_PATTERN

__all__ = ["RefusedRegistrationError", "read_registration"]

_INCARNATION = re.compile(r"[A-Za-z0-9_-]{1,64}")
_FORM = re.compile(r"[A-Za-z0-9_-]{0,64}")
_WALL = re.compile(r"[a-z ]{1,40}")
_MOST_WALLS = 32
_MOST_HANDLERS = 1000
_MOST_REPLACED = 64
_MOST_BYTES = 1 << 20
"""Of all handlers together: every coordinator keeps every worker's in memory."""
_MOST_VERSION_CHARACTERS = 100
_INTEGERS = range(-(2**63), 2**63)


class RefusedRegistrationError(Exception):
    """It says what is wrong; sent again it would be no better."""


_decode = msgspec.msgpack.Decoder(Register).decode
_encode = msgspec.json.Encoder().encode


def read_registration(payload: bytes) -> Register:
    """A registration that can be taken.

    Raises:
        RefusedRegistrationError: Something in it can't be.
    """
    try:
        worker = _decode(payload)
    except (*UNREADABLE, ValueError, TypeError) as exc:
        raise RefusedRegistrationError(f"the registration can't be read: {exc}") from exc
    if worker.protocol != PROTOCOL_VERSION:
        raise RefusedRegistrationError(
            f"this service speaks protocol {PROTOCOL_VERSION}, the worker {worker.protocol}"
        )
    if not WORKER_ID_PATTERN.fullmatch(worker.worker_id):
        raise RefusedRegistrationError(f"the worker id must match {WORKER_ID_PATTERN.pattern}")
    if not _INCARNATION.fullmatch(worker.incarnation):
        raise RefusedRegistrationError(f"the incarnation must match {_INCARNATION.pattern}")
    if len(worker.replaces) > _MOST_REPLACED or not all(map(_INCARNATION.fullmatch, worker.replaces)):
        raise RefusedRegistrationError(f"at most {_MOST_REPLACED} incarnations may be replaced, each as one must be")
    if not 1 <= worker.capacity <= MAX_CAPACITY:
        raise RefusedRegistrationError(f"the capacity must be 1 to {MAX_CAPACITY}")
    if len(worker.version) > _MOST_VERSION_CHARACTERS or "\0" in worker.version:
        raise RefusedRegistrationError(
            f"the version must have at most {_MOST_VERSION_CHARACTERS} characters and no NUL"
        )
    _check_tags(worker.tags)
    _check_handlers(worker.handlers)
    return worker


def _check_tags(tags: dict[str, str]) -> None:
    if len(tags) > MAX_TAGS:
        raise RefusedRegistrationError(f"{len(tags)} tags; at most {MAX_TAGS} are allowed")
    for key, value in tags.items():
        if not key or len(key) > MAX_TAG_LENGTH or len(value) > MAX_TAG_LENGTH:
            raise RefusedRegistrationError(
                f"tag {key[:MAX_TAG_LENGTH]!r}: names have 1 to {MAX_TAG_LENGTH} characters, "
                f"values at most {MAX_TAG_LENGTH}"
            )
        if "\0" in key or "\0" in value:
            raise RefusedRegistrationError(f"tag {key!r}: tags must not hold NUL characters")


def _check_handlers(handlers: list[HandlerInfo]) -> None:
    if not handlers:
        raise RefusedRegistrationError("the worker serves no workload type")
    if len(handlers) > _MOST_HANDLERS:
        raise RefusedRegistrationError(f"{len(handlers)} workload types; at most {_MOST_HANDLERS} are allowed")
    seen: set[str] = set()
    total = 0
    for handler in handlers:
        kind = handler.workload_type
        if not WORKLOAD_TYPE_PATTERN.fullmatch(kind):
            raise RefusedRegistrationError(
                f"workload type {kind[:100]!r}: it must match {WORKLOAD_TYPE_PATTERN.pattern}"
            )
        if kind in seen:
            raise RefusedRegistrationError(f"workload type '{kind}' is named twice")
        seen.add(kind)
        total += _check_handler(handler)
        if total > _MOST_BYTES:
            raise RefusedRegistrationError(f"what is said of all workload types has over {_MOST_BYTES} bytes")


def _check_handler(handler: HandlerInfo) -> int:
    """Gives its size in bytes."""
    where = f"workload type '{handler.workload_type}': "
    if handler.exclusive and handler.isolation == Isolation.INLINE:
        raise RefusedRegistrationError(f"{where}what is exclusive needs isolation 'process'")
    if not _FORM.fullmatch(handler.form):
        raise RefusedRegistrationError(f"{where}the form must match {_FORM.pattern}")
    if len(handler.missing_walls) > _MOST_WALLS or not all(map(_WALL.fullmatch, handler.missing_walls)):
        raise RefusedRegistrationError(f"{where}at most {_MOST_WALLS} walls may be missing, each named in lower case")
    if handler.input_schema is not None:
        if problem := _unkeepable(handler.input_schema, "", 0):
            raise RefusedRegistrationError(f"{where}the input schema can't be kept: {problem}")
        if len(_encode(handler.input_schema)) > MAX_SCHEMA_BYTES:
            raise RefusedRegistrationError(f"{where}the input schema has over {MAX_SCHEMA_BYTES} bytes as JSON")
    return len(_encode(handler))


def _unkeepable(value: object, at: str, depth: int) -> str | None:
    """What in a value JSON can't hold, or PostgreSQL can't keep, and where; None when it can be kept."""
    match value:
        case None | bool():
            return None
        case str():
            return f"NUL characters at '{at}'" if "\0" in value else None
        case int():
            return None if value in _INTEGERS else f"an integer beyond 64 bits at '{at}'"
        case float():
            return None if math.isfinite(value) else f"{value} at '{at}'"
        case dict() | list() if depth >= MAX_DEPTH:
            return f"more than {MAX_DEPTH} levels"
        case dict():
            for key, inner in value.items():
                if not isinstance(key, str) or "\0" in key:
                    return f"a key that is no text without NUL at '{at}'"
                if problem := _unkeepable(inner, f"{at}/{key}"[:200], depth + 1):
                    return problem
            return None
        case list():
            for number, inner in enumerate(value):
                if problem := _unkeepable(inner, f"{at}/{number}"[:200], depth + 1):
                    return problem
            return None
        case _:
            return f"a value of MessagePack's type '{type(value).__name__}' at '{at}'"
