"""What handlers take and give."""

from __future__ import annotations

import dataclasses
from typing import Any, TypedDict

import msgspec
import pytest

from niyanta import ConfigurationError, PermanentError, Worker
from niyanta.errors import CheckpointError
from niyanta.worker.context import decode_state, encode_state
from niyanta.worker.handlers import encode_result, make_handler


class AsStruct(msgspec.Struct):
    path: str
    size: int = 3


@dataclasses.dataclass
class AsDataclass:
    path: str
    size: int = 3


class AsTypedDict(TypedDict):
    path: str


@pytest.mark.parametrize("kind", [AsStruct, AsDataclass, AsTypedDict])
def test_typed_parameters_are_checked_and_described(kind: Any) -> None:
    def handle(ctx: Any, params: Any) -> None: ...

    handle.__annotations__["params"] = kind
    handler = make_handler("x", handle, "process", False)
    assert handler.input_schema is not None
    assert "path" in str(handler.input_schema)
    params = handler.arguments(None, b'{"path": "a"}')[1]
    assert (params["path"] if isinstance(params, dict) else params.path) == "a"
    with pytest.raises(PermanentError, match="path"):
        handler.arguments(None, b"{}")


@pytest.mark.parametrize(
    ("value", "encoded"),
    [(None, b"{}"), ({"a": 1}, b'{"a":1}'), ("x", b'{"value":"x"}'), ([1], b'{"value":[1]}'), (AsStruct("a"), None)],
)
def test_results(value: Any, encoded: bytes | None) -> None:
    assert encode_result(value) == (encoded if encoded is not None else b'{"path":"a","size":3}')


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ({"x": float("nan")}, "result.x is nan"),
        ({"x": {1, 2}}, "result.x is a set"),
        ({1: "x"}, "not a string"),
        ({"x": b"raw"}, "result.x is a bytes"),
        ({"x": object()}, "not JSON"),
        ("x" * (2 << 20), "the limit is"),
    ],
)
def test_results_that_json_can_not_hold(value: Any, says: str) -> None:
    with pytest.raises(PermanentError, match=says):
        encode_result(value)


@pytest.mark.parametrize("state", [None, 3, {"a": [1]}, "text", b"\x00raw"])
def test_checkpoints_come_back_as_they_went(state: Any) -> None:
    assert decode_state(*encode_state(state)) == state


def test_checkpoints_have_a_limit() -> None:
    with pytest.raises(CheckpointError, match="the limit is 10485760"):
        encode_state(b"x" * (11 << 20))
    with pytest.raises(CheckpointError, match="JSON or bytes"):
        encode_state({"x": object()})


def test_a_worker_says_what_is_wrong_with_it() -> None:
    worker = Worker(capacity=1)

    @worker.workload("once")
    def once(ctx: Any) -> None: ...

    with pytest.raises(ConfigurationError, match="twice"):
        worker.workload("once")(once)
    with pytest.raises(ConfigurationError, match="async handler"):
        worker.workload("inline", isolation="inline")(once)
    with pytest.raises(ConfigurationError, match="'process' or 'inline'"):
        worker.workload("other", isolation="thread")(once)
    with pytest.raises(ConfigurationError, match="no signal"):
        worker.command("tool", ["true"], checkpoint_signal="SIGNOTHING")
    with pytest.raises(ConfigurationError, match="at least 1"):
        Worker(capacity=0)
