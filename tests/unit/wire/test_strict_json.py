"""The decoder for what customers send: everything JSON, nothing else, nothing that can't be stored."""

from __future__ import annotations

import contextlib
import json
import re
import time
from typing import Annotated, Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from niyanta.domain.limits import MAX_DEPTH
from niyanta.errors import InvalidInputError
from niyanta.wire.strict_json import StrictDecoder


class Inner(msgspec.Struct, forbid_unknown_fields=True):
    tags: dict[str, str] | None = None


class Body(msgspec.Struct, forbid_unknown_fields=True):
    params: dict[str, Any]
    priority: int | None = None
    reason: Annotated[str, msgspec.Meta(max_length=10)] | None = None
    rules: Inner | None = None
    many: list[Inner] | None = None


decode = StrictDecoder(Body).decode


def refused(body: bytes | str) -> InvalidInputError:
    with pytest.raises(InvalidInputError) as caught:
        decode(body.encode() if isinstance(body, str) else body)
    assert caught.value.details["field"]
    msgspec.json.encode(caught.value.details)
    caught.value.message.encode()
    return caught.value


def params(value: str | bytes) -> bytes:
    return b'{"params": {"a": ' + (value.encode() if isinstance(value, str) else value) + b"}}"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"  ",
        b"{",
        b"null",
        b"[]",
        b'"text"',
        b"{}",
        b'{"params": {}} {}',
        b'{"params": {}}\x00',
        b"\xef\xbb\xbf" + b'{"params": {}}',
        '{"params": {}}'.encode("utf-16"),
        '{"params": {}}'.encode("utf-32"),
        params(b'"\xff"'),
        params(b'"\xed\xa0\x80"'),
        params(b'"\xc0\x80"'),
        params(b'"\xf4\x90\x80\x80"'),
        params(r'"\ud800"'),
        params(r'"\udc00\ud800"'),
        params(r'"\ud800\u0041"'),
        params('"\x01"'),
        params("NaN"),
        params("Infinity"),
        params("-Infinity"),
        params("1e400"),
        params("-1e400"),
        params("01"),
        params("1."),
        params(".5"),
        params("0x10"),
        params("'a'"),
        params("[1,]"),
        params("tru"),
        params("/* no */ 1"),
    ],
)
def test_what_is_no_json_is_refused(body: bytes) -> None:
    refused(body)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (params('"a\\u0000b"'), "params.a"),
        (params('{"b": ["x", "\\u0000"]}'), "params.a.b[1]"),
        (b'{"params": {"a\\u0000": 1}}', "params.a\\u0000"),
        (b'{"params": {}, "reason": "\\u0000"}', "reason"),
        (b'{"params": {}, "rules": {"tags": {"k": "\\u0000"}}}', "rules.tags.k"),
        (params("9223372036854775808"), "params.a"),
        (params("-9223372036854775809"), "params.a"),
        (params("9" * 30), "params.a"),
        (params("9" * 5000), "params"),
        (params("[1, [2, 18446744073709551616]]"), "params.a[1][1]"),
        (b'{"params": {}, "priority": true}', "priority"),
        (b'{"params": {}, "priority": 10.0}', "priority"),
        (b'{"params": {}, "priority": 1e1}', "priority"),
        (b'{"params": {}, "priority": "10"}', "priority"),
        (b'{"params": {}, "priority": 99999999999999999999}', "priority"),
        (b'{"params": {}, "reason": 5}', "reason"),
        (b'{"params": {}, "reason": "12345678901"}', "reason"),
        (b'{"params": []}', "params"),
        (b'{"priority": 1}', "params"),
        (b'{"params": {}, "customer_id": "cust_b"}', "customer_id"),
        (b'{"params": {}, "rules": {"tag": {}}}', "rules.tag"),
        (b'{"params": {}, "many": [{}, {"tag": 1}]}', "many[1].tag"),
    ],
)
def test_the_field_is_named(body: bytes, field: str) -> None:
    assert refused(body).details["field"].startswith(field)


def test_an_unknown_field_comes_with_those_that_are_known() -> None:
    assert refused('{"params": {}, "x": 1}').details["allowed"] == ["params", "priority", "reason", "rules", "many"]
    assert refused('{"params": {}, "rules": {"x": 1}}').details["allowed"] == ["tags"]
    assert refused('{"params": {}, "many": [{"x": 1}]}').details["allowed"] == ["tags"]


def test_of_duplicate_keys_the_last_wins() -> None:
    assert decode(b'{"params": {"a": 1, "a": 2}, "priority": 1, "priority": 5}') == Body({"a": 2}, 5)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("-0", 0),
        ("9223372036854775807", 2**63 - 1),
        ("-9223372036854775808", -(2**63)),
        ("9007199254740993", 2**53 + 1),
        ('"1234567890123456789012345"', "1234567890123456789012345"),
        (r'"\\u0000"', r"\u0000"),
        (r'"\ud83d\ude00"', "\U0001f600"),
        ('"\u202e"', "\u202e"),
        ("1e308", 1e308),
    ],
)
def test_what_can_be_stored_passes(text: str, value: object) -> None:
    assert decode(params(text)).params["a"] == value


def test_nesting_is_bounded_exactly() -> None:
    inner = MAX_DEPTH - 2  # the body and params are levels too
    assert decode(params("[" * inner + "]" * inner))
    assert refused(params("[" * (inner + 1) + "]" * (inner + 1))).details["max_depth"] == MAX_DEPTH
    assert refused(params('{"a":' * (inner + 1) + "1" + "}" * (inner + 1))).details["max_depth"] == MAX_DEPTH
    assert decode(params('"' + "[" * 1000 + '"'))


@pytest.mark.parametrize(
    "body", [b"[" * 1_000_000, b'{"params":' + b'{"a":' * 100_000, params("[" * 150_000 + "]" * 150_000)]
)
def test_depth_without_end_is_refused_at_once(body: bytes) -> None:
    began = time.thread_time()
    refused(body)
    assert time.thread_time() - began < 1.0


def test_the_number_of_values_is_bounded() -> None:
    small = StrictDecoder(Body, max_values=10).decode
    assert small(params('"' + "," * 50 + '\\"' + "[" * 50 + '"'))
    with pytest.raises(InvalidInputError) as caught:
        small(params("[1,2,3,4,5,6,7,8,9,10]"))
    assert caught.value.details["max_values"] == 10


_json = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(st.dictionaries(st.text(), _json, max_size=4))
def test_a_value_is_decoded_exactly_or_refused(value: dict[str, Any]) -> None:
    try:
        body = json.dumps({"params": value}, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        body = json.dumps({"params": value}).encode()
    try:
        assert decode(body).params == value
    except InvalidInputError:
        text = repr(value)
        numbers = [int(n) for n in re.findall(r"-?[0-9]{19,}", text)]
        assert "\\x00" in text or "\\ud" in text or any(not -(2**63) <= n < 2**63 for n in numbers)


@given(st.binary(max_size=200))
def test_no_bytes_break_it(body: bytes) -> None:
    with contextlib.suppress(InvalidInputError):
        decode(body)
