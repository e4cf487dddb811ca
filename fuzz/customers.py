"""What customers send: bodies, credentials, cursors, headers, schemas, messages of gRPC."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import hashlib
import hmac
import json
import re
import shutil
import tempfile
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from random import Random
from typing import Any, TypeVar

import msgspec
from google.protobuf.message import DecodeError
from starlette.requests import Request

from fuzz.material import both, damaged, damaged_text, json_documents, one_of, texts
from fuzz.target import Target
from niyanta.domain.api_keys import customer_of, spell_key
from niyanta.domain.json_schema import Schema, SchemaError, TooExpensiveError
from niyanta.domain.json_schema.checks import CheckRun
from niyanta.domain.patterns import Pattern, PatternError
from niyanta.errors import ApiError, ConfigurationError, InvalidInputError, NotAcceptableError, UnauthorizedError
from niyanta.server.access.gate import request_id
from niyanta.server.access.tokens import TokenVerifier
from niyanta.server.grpc.messages import checked, submission_of
from niyanta.server.rest.endpoints import PARTS
from niyanta.server.rest.frame.negotiation import best_media_type
from niyanta.server.rest.frame.operation import declared_by
from niyanta.server.rest.frame.parameters import Choice, Day, Integer, Moment, Text, only
from niyanta.server.services.cursors import Cursors
from niyanta.server.services.requests import SubmitRequest
from niyanta.server.settings import CoordinatorSettings
from niyanta.server.store.list_query import ListQuery
from niyanta.server.store.logs import LogPlace
from niyanta.wire.strict_json import StrictDecoder
from niyanta.wire.v1 import workload_service_pb2 as pb

__all__ = ["TARGETS"]

T = TypeVar("T")

# --- bodies --------------------------------------------------------------------------------------

_DECODERS = [
    StrictDecoder[Any](operation.body, operation.max_values)
    for part in PARTS
    for operation in declared_by(part)
    if operation.body is not None
]
_BODIES = [
    b'{"workload_type": "a", "input_params": {"a": [1, 2.5, "x", null, true]}, "priority": 50, "timeout_seconds": 60,'
    b' "affinity_rules": {"hard_affinity": {"worker_tags": {"a": "b"}, "workload_types": ["a"]}}}',
    b'{"workloads": [{"workload_type": "a", "input_params": {}}]}',
    b'{"workload_ids": ["wl_1"], "reason": "x"}',
    b'{"reason": "x"}',
    b'{"customer_id": "cust_a", "name": "A", "tier": "premium", "max_concurrent": 5}',
    b'{"input_schema": {"type": "object"}, "config": {}}',
    b'{"scopes": ["workloads:read"], "expires_in_seconds": 60, "workload_id": "wl_1"}',
    b'{"worker_pattern": "a*", "workload_types": ["a"], "tags": {"a": "b"}, "expires_in_seconds": 60}',
]


def _bodies(data: bytes) -> None:
    for decoder in _DECODERS:
        try:
            body = decoder.decode(data)
        except InvalidInputError as refused:
            assert refused.details["field"]
            msgspec.json.encode(refused.details)
            refused.message.encode()
            continue
        json.loads(data)
        encoded = msgspec.json.encode(body)
        assert msgspec.json.encode(decoder.decode(encoded)) == encoded


# --- credentials ---------------------------------------------------------------------------------

_KEY = spell_key("cust_a_b", "0123456789abcdefghijklmnop")


def _api_keys(text: str) -> None:
    found = customer_of(text)
    if found is not None:
        _, _, rest = text.partition(f"nyt_{found}_")
        assert text.isascii()
        assert spell_key(found, rest[:26]) == text


_SECRET = "0123456789abcdef0123456789abcdef-secret"
_runner = asyncio.Runner()


def _await(coroutine: Coroutine[Any, Any, T]) -> T:
    return _runner.run(coroutine)


def _settings(**fields: Any) -> CoordinatorSettings:
    return CoordinatorSettings.from_environment({}, database_url="x", nats_url="x", **fields)


_verifier = TokenVerifier(_settings(jwt_algorithm="HS256", jwt_secret=_SECRET))


def _part(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


def _signature(body: str) -> str:
    return _part(hmac.new(_SECRET.encode(), body.encode("utf-8", "surrogateescape"), hashlib.sha256).digest())


_HEADER = b'{"alg": "HS256", "typ": "JWT", "kid": "a"}'
_CLAIMS = b'{"sub": "user", "customer_id": "cust_a", "exp": %d, "iat": 1, "aud": "x"}' % (int(time.time()) + 10**6)


def _verify(token: str) -> bool:
    try:
        _await(_verifier.verify(token))
    except UnauthorizedError:
        return False
    return True


def _foreign_tokens(token: str) -> None:
    if _verify(token):
        body, _, signature = token.rpartition(".")
        padded = signature + "=" * (-len(signature) % 4)
        assert _part(urlsafe_b64decode(padded)) == _signature(body), "a signature that isn't ours was accepted"


def _signed_tokens(parts: tuple[bytes, bytes]) -> None:
    body = ".".join(map(_part, parts))
    if _verify(f"{body}.{_signature(body)}"):
        header, claims = map(json.loads, parts)
        assert header["alg"] == "HS256"
        assert claims["exp"] > time.time() - 120


_folder = tempfile.mkdtemp(prefix="niyanta-fuzz-")
atexit.register(shutil.rmtree, _folder)
_KEY_SETS = [
    b'{"keys": [{"kty": "RSA", "kid": "a", "use": "sig", "alg": "RS256", "e": "AQAB", "n": "%s"}]}' % (b"x" * 342),
    b'{"keys": [{"kty": "EC", "crv": "P-256", "kid": "a", "x": "%s", "y": "%s"}]}' % (b"A" * 43, b"A" * 43),
    b'{"keys": []}',
]


def _key_sets(data: bytes) -> None:
    path = Path(_folder) / "set.json"
    path.write_bytes(data)
    for algorithm in ("RS256", "ES256"):
        try:
            _await(TokenVerifier(_settings(jwt_algorithm=algorithm, jwt_jwks=str(path))).start())
        except ConfigurationError:
            continue


# --- cursors -------------------------------------------------------------------------------------

_cursors = Cursors(b"x" * 32)
_OURS = _cursors.after_number(7, "audit")
_OURS_BY_ID = _cursors.after_id("wl_1", "keys")
_OURS_OF_LINES = _cursors.after_line(LogPlace(datetime(2026, 1, 1, tzinfo=UTC), 1, 2), "logs")


def _cursor(text: str) -> None:
    query = ListQuery(customer_id="cust_a")
    readers: list[Callable[[], object]] = [
        partial(_cursors.read_place, text, query),
        partial(_cursors.read_number, text, "audit"),
        partial(_cursors.read_id, text, "keys"),
        partial(_cursors.read_line, text, "logs"),
        partial(_cursors.read_number, text, "audit", "other"),
    ]
    for number, read in enumerate(readers):
        try:
            read()
        except InvalidInputError:
            continue
        assert (number, text) in ((1, _OURS), (2, _OURS_BY_ID), (3, _OURS_OF_LINES)), "a forged cursor was taken"


# --- headers and parameters ----------------------------------------------------------------------

_PARAMETERS = (
    Integer("limit", "", 1, 100, 10),
    Moment("since", ""),
    Day("day", ""),
    Choice("order", "", ("asc", "desc"), "asc"),
    Text("type", "", 50),
)


def _parameters(data: bytes) -> None:
    request = Request({"type": "http", "method": "GET", "path": "/", "query_string": data, "headers": []})
    with contextlib.suppress(InvalidInputError):
        only(request, {parameter.name for parameter in _PARAMETERS})
    for parameter in _PARAMETERS:
        try:
            parameter.read(request)
        except InvalidInputError as refused:
            msgspec.json.encode(refused.details)


_OFFERED = ("application/json", "text/plain")


def _headers(text: str) -> None:
    with contextlib.suppress(NotAcceptableError):
        assert best_media_type(text, _OFFERED) in _OFFERED
    assert re.fullmatch(r"[A-Za-z0-9_.-]{1,100}", request_id(text))


# --- schemas and patterns ------------------------------------------------------------------------

_SCHEMA_WORDS = [
    "$ref", "$defs", "type", "properties", "required", "items", "prefixItems", "enum", "const", "minimum", "maximum",
    "multipleOf", "minLength", "maxLength", "pattern", "patternProperties", "additionalProperties", "allOf", "anyOf",
    "oneOf", "not", "if", "then", "else", "uniqueItems", "contains", "minContains", "maxContains", "propertyNames",
    "dependentSchemas", "dependentRequired", "format", "#", "#/$defs/a", "a", "b", "object", "array", "integer",
    "number", "string", "(a+)+$", "^a*$", "[",
]  # fmt: skip
_schema_body = StrictDecoder[dict[str, Any]](dict[str, Any])


def _schemas(parts: tuple[bytes, bytes]) -> None:
    try:
        source, value = map(_schema_body.decode, parts)
    except InvalidInputError:
        return
    try:
        schema = Schema(source)
    except SchemaError as refused:
        assert refused.message
        return
    try:
        problems = schema.problems(value)
    except TooExpensiveError:
        return
    assert len(problems) <= 20
    for problem in problems:
        problem.message.encode("utf-8", "surrogatepass")


_SCHEMA = b'{"type": "object", "properties": {"a": {"$ref": "#/$defs/b"}}, "$defs": {"b": {"not": {}}}}'


def _chains(chance: Random) -> bytes:
    """Schemas that refer to each other, in a line or a ring."""
    length = chance.choice([1, 5, 50, 400, 1200])
    keyword = chance.choice(["$ref", "not", "items", "allOf"])
    last: Any = chance.choice([True, {"$ref": "#/$defs/0"}, {"type": "string"}, {"$ref": "#"}])
    defs: dict[str, Any] = {str(length): last}
    for number in range(length):
        refers: Any = {"$ref": f"#/$defs/{number + 1}"}
        defs[str(number)] = refers if keyword == "$ref" else {keyword: [refers] if keyword == "allOf" else refers}
    return json.dumps({"$defs": defs, "$ref": "#/$defs/0"}).encode()


_PATTERNS = [
    "^(a|b|ab)*$",
    r"[\w-]+@\w+",
    "(a+)+$",
    "a{2,3}b",
    r"\u0061\x62",
    "(?i)a",
    ".{1,1000}b",
    "[^a-z]",
    r"\bab\b",
]


def _patterns(parts: tuple[str, str]) -> None:
    source, text = parts
    try:
        pattern = Pattern(source)
    except PatternError as refused:
        assert str(refused)
        return
    run = CheckRun(1)
    with contextlib.suppress(TooExpensiveError):
        pattern.search(text, run.spend)


# --- gRPC ----------------------------------------------------------------------------------------


def _a_submission() -> bytes:
    request = pb.SubmitWorkloadRequest(workload_type="a", priority=5, timeout_seconds=60)
    request.input_params.update({"a": [1, "x", {"b": None}], "c": 2.5})
    request.affinity_rules.hard_affinity.worker_tags["a"] = "b"
    return request.SerializeToString()


_submissions = StrictDecoder(SubmitRequest)


def _grpc(data: bytes) -> None:
    try:
        request = pb.SubmitWorkloadRequest.FromString(data)
    except DecodeError:
        return
    try:
        checked(_submissions, submission_of(request), 1 << 20)
    except ApiError as refused:
        assert refused.message


TARGETS = (
    Target(
        "bodies",
        "a body is refused with the field that is wrong, or comes back equal",
        one_of(
            damaged(*_BODIES),
            json_documents("workload_type", "input_params", "affinity_rules", "tags", "workloads", "worker_tags"),
        ),
        _bodies,
    ),
    Target("api-keys", "only what is spelled as ours is a key", one_of(damaged_text(_KEY), texts()), _api_keys),
    Target(
        "foreign-tokens",
        "no token is good that we didn't sign",
        damaged_text(f"{_part(_HEADER)}.{_part(_CLAIMS)}.x", f"{_part(_HEADER)}.{_part(_CLAIMS)}."),
        _foreign_tokens,
    ),
    Target(
        "signed-tokens",
        "what an issuer signs is read or refused",
        both(damaged(_HEADER), damaged(_CLAIMS)),
        _signed_tokens,
    ),
    Target("key-sets", "a key set is read or refused", damaged(*_KEY_SETS), _key_sets),
    Target(
        "cursors",
        "only our own cursors are taken, each for its own list",
        one_of(damaged_text(_OURS, _OURS_BY_ID, _OURS_OF_LINES), texts()),
        _cursor,
    ),
    Target(
        "parameters",
        "a query parameter is read or refused",
        damaged(b"limit=5&since=2026-01-02T03:04:05.678Z&day=2026-01-02&order=asc&type=a", b"since=2026-01-02"),
        _parameters,
    ),
    Target(
        "headers",
        "a header is read or refused",
        one_of(damaged_text("application/json;q=0.5, text/*, */*;q=0", "req_123", "text/plain; q=1.000"), texts()),
        _headers,
    ),
    Target(
        "schemas",
        "a schema is refused, or checks any value within its budget",
        both(one_of(damaged(_SCHEMA), json_documents(*_SCHEMA_WORDS), _chains), json_documents("a", "b")),
        _schemas,
    ),
    Target(
        "patterns",
        "a pattern is refused, or searches any text within the budget",
        both(one_of(damaged_text(*_PATTERNS), texts(most=20)), one_of(texts(), texts("ab1-", 100_000))),
        _patterns,
    ),
    Target("grpc", "a message is read or refused", damaged(_a_submission()), _grpc),
)
