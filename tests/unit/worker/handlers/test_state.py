"""A state comes back as it was saved, or isn't saved."""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import math
import pathlib
import uuid
from collections import OrderedDict, defaultdict, namedtuple
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from niyanta.errors import CheckpointError
from niyanta.worker.handlers.state import decode_state, encode_state


class Colour(enum.Enum):
    RED = "red"


class Word(enum.StrEnum):
    YES = "yes"


class Point(msgspec.Struct):
    x: int


@dataclasses.dataclass
class Place:
    x: int


Pair = namedtuple("Pair", "a b")
HOLDS_ITSELF: list[Any] = []
HOLDS_ITSELF.append(HOLDS_ITSELF)


@pytest.mark.parametrize(
    ("state", "says"),
    [
        ({"best": math.inf}, "state.best is inf"),
        ({"loss": [1.0, math.nan]}, "state.loss[1] is nan"),
        ({"a": {"b": (1, 2)}}, "state.a.b is a tuple"),
        ({"seen": {1, 2}}, "state.seen is a set"),
        ({"seen": frozenset()}, "state.seen is a frozenset"),
        ({1: "a"}, "state has the key 1"),
        ({"a": [{None: 1}]}, "state.a[0] has the key None"),
        ({"raw": b"\0"}, "state.raw is a bytes"),
        ({"raw": bytearray(b"x")}, "state.raw is a bytearray"),
        ([datetime.datetime.now(datetime.UTC)], "state[0] is a datetime"),
        ([datetime.date(2026, 1, 1)], "state[0] is a date"),
        ([datetime.timedelta(1)], "state[0] is a timedelta"),
        ([decimal.Decimal("1.5")], "state[0] is a Decimal"),
        ([uuid.uuid4()], "state[0] is a UUID"),
        ([pathlib.Path("x")], "state[0] is a PosixPath"),
        ([Colour.RED], "state[0] is a Colour"),
        ([Point(1)], "state[0] is a Point"),
        ([Place(1)], "state[0] is a Place"),
        ([Pair(1, 2)], "state[0] is a Pair"),
        ([np.int64(5)], "state[0] is a int64"),
        ([np.zeros(2)], "state[0] is a ndarray"),
        ([np.float64("inf")], "state[0] is inf"),
        ([2**63], "state[0] is an integer beyond 64 bits"),
        ([-(2**63) - 1], "state[0] is an integer beyond 64 bits"),
        (["\ud800"], "state[0] holds half of a surrogate pair"),
        ({"\udfff": 1}, "a key of state holds half of a surrogate pair"),
        ([object()], "state[0] is a object"),
        ([1 + 2j], "state[0] is a complex"),
        ([range(3)], "state[0] is a range"),
        (HOLDS_ITSELF, "holds itself"),
    ],
)
def test_what_would_come_back_different_is_refused_with_its_place(state: Any, says: str) -> None:
    with pytest.raises(CheckpointError) as found:
        encode_state(state)
    assert says in str(found.value)
    assert "The last good one still stands" in str(found.value)


@pytest.mark.parametrize(
    "state",
    [
        None,
        {},
        "a\0b\u2028\U0001f600",
        -0.0,
        5e-324,
        1.7976931348623157e308,
        0.1 + 0.2,
        [2**63 - 1, -(2**63)],
        {"": {"": []}},
        [True, 1, 1.0, "1"],
        [Word.YES],
        OrderedDict(a=1),
        defaultdict(list, a=[1]),
        [np.float64(1.5)],
        [type("Text", (str,), {})("x"), type("Number", (int,), {})(5), type("Row", (list,), {})([1])],
        b"\xff\0",
        bytearray(b"x"),
        memoryview(b"xy"),
    ],
)
def test_what_is_accepted_comes_back_equal(state: Any) -> None:
    assert decode_state(*encode_state(state)) == state


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.dates() | st.decimals(),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(st.text() | st.integers() | st.none(), inner)
        | st.tuples(inner)
        | st.frozensets(st.integers())
    ),
)


@given(ANYTHING)
def test_whatever_is_accepted_comes_back_equal(state: Any) -> None:
    try:
        encoded = encode_state(state)
    except CheckpointError:
        return
    found = decode_state(*encoded)
    assert found == state
    assert repr(found) == repr(state)  # 1 and 1.0 and True apart, too
