"""Values over gRPC and REST: the same, or refused; never rounded, never lost."""

from __future__ import annotations

import json
import math
from typing import Any

import asyncpg
import grpc
import pytest
from google.protobuf.json_format import MessageToDict
from google.protobuf.struct_pb2 import Struct, Value
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from niyanta.errors import InvalidInputError, InvalidStateError
from niyanta.server.grpc.values import json_of, moment_of, struct_of
from niyanta.wire.v1 import workload_service_pb2 as pb
from support.cases import cases
from support.grpc_calls import Calls, Refusal, struct, submission
from support.system import System

TWO_53 = 2**53
NUMBERS = (
    st.integers()
    | st.integers(TWO_53 - 3, TWO_53 + 3)
    | st.integers(-TWO_53 - 3, -TWO_53 + 3)
    | st.integers(2**63 - 3, 2**63 + 3)
    | st.floats(allow_nan=False, allow_infinity=False)
)
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
OBJECTS = st.dictionaries(st.text(max_size=8), JSON, max_size=4)


@pytest.fixture
async def configured(system: System) -> System:
    """A system where a config makes ``count`` supported, but no worker serves it: workloads stay pending."""
    connection = await asyncpg.connect(system.database_url)
    await connection.execute(
        "INSERT INTO workload_configs (customer_id, config_id, workload_type) VALUES ('cust_a', 'wlcfg_1', 'count')"
    )
    await connection.close()
    return system


def nested(levels: int, inner: Any = 1) -> dict[str, Any]:
    found: Any = inner
    for _ in range(levels):
        found = {"a": found}
    return {"a": found}


def same(left: Any, right: Any) -> bool:
    """Equal as JSON values: 5 and 5.0 are, 1 and true aren't."""
    if isinstance(left, dict):
        return isinstance(right, dict) and left.keys() == right.keys() and all(same(left[k], right[k]) for k in left)
    if isinstance(left, list):
        return isinstance(right, list) and len(left) == len(right) and all(map(same, left, right))
    return isinstance(left, bool) == isinstance(right, bool) and left == right


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(OBJECTS)
@example({"n": TWO_53 - 1})
@example({"n": TWO_53})
@example({"n": TWO_53 + 1})
@example({"n": -TWO_53 - 1})
@example({"n": 2**63 - 1})
@example({"n": 2**64 + 1})
@example({"n": -0.0, "m": 5.0, "o": 1e300, "p": 5e-324, "q": 0.1})
@example({"": {"": [[], {}, "", None, False, 0]}, "é\U0001f600": "\u2028"})
@example({"a": "nul \0"})
@example(nested(29))
@example(nested(40))
async def test_both_protocols_store_and_give_the_same_or_refuse(
    configured: System, calls: Calls, value: dict[str, Any]
) -> None:
    over_rest, body, _ = await configured.call(
        "POST", "/workloads", {"workload_type": "count", "input_params": value}
    )
    try:
        over_grpc = await calls.submit(value)
    except grpc.aio.AioRpcError as error:
        refusal = Refusal.of(error)
        assert refusal.code is grpc.StatusCode.INVALID_ARGUMENT, refusal
        assert refusal.reason == "INVALID_INPUT"
    else:
        # What gRPC takes, REST takes, and both have it as it was meant.
        assert over_rest == 202, body
        assert same((await configured.get(over_grpc))["input_params"], value)
        assert same(MessageToDict((await calls.get(over_grpc)).input_params), value)
    if over_rest == 202:
        try:
            read = MessageToDict((await calls.get(body["workload_id"])).input_params)
        except grpc.aio.AioRpcError as error:
            refusal = Refusal.of(error)
            assert refusal.code is grpc.StatusCode.FAILED_PRECONDITION
            assert refusal.info["field"].startswith("input_params")
        else:
            assert same(read, value)


async def test_the_whole_submission_is_stored_alike(configured: System, calls: Calls) -> None:
    rules = {
        "hard_affinity": {"worker_tags": {"gpu": "a", "zone": "ü"}},
        "soft_affinity": {"worker_id": "w9"},
        "anti_affinity": {"workload_types": ["x", "y"]},
    }
    params = {"n": 5, "l": [1.5, "ü", None], "o": {"deep": [True]}}
    body = {"workload_type": "count", "input_params": params, "priority": 0, "affinity_rules": rules}
    _, answer, _ = await configured.call("POST", "/workloads", body | {"timeout_seconds": 60})
    twin = await calls.submit(params, priority=0, timeout_seconds=60, affinity_rules=rules)
    first, second = await configured.get(answer["workload_id"]), await configured.get(twin)
    for each in (first, second):
        del each["workload_id"], each["created_at"]
    assert first == second
    read = await calls.get(twin)
    assert MessageToDict(read.affinity_rules, preserving_proto_field_name=True) == rules
    assert (read.priority, read.timeout_seconds) == (0, 60)


async def test_what_is_unset_has_the_same_defaults_as_over_rest(configured: System, calls: Calls) -> None:
    _, answer, _ = await configured.call("POST", "/workloads", {"workload_type": "count", "input_params": {}})
    first, second = await configured.get(answer["workload_id"]), await configured.get(await calls.submit({}))
    assert (second["priority"], second["timeout_seconds"], second["affinity_rules"]) == (10, None, None)
    assert [first[name] for name in ("priority", "timeout_seconds", "affinity_rules")] == [10, None, None]


async def test_a_stored_integer_that_no_double_equals_is_named(configured: System, calls: Calls) -> None:
    workload_id = await configured.submit(input_params={"list": [0, {"n": TWO_53 + 1}]})
    refusal = await calls.refused("GetWorkload", pb.GetWorkloadRequest(workload_id=workload_id))
    assert refusal.code is grpc.StatusCode.FAILED_PRECONDITION
    assert refusal.info == {"field": "input_params.list[1].n"}
    assert refusal.details["PreconditionFailure"].violations[0].subject == "input_params.list[1].n"
    assert "9007199254740993" in refusal.message


@cases("number", [math.nan, math.inf, -math.inf])
async def test_nan_and_infinity_are_refused(configured: System, calls: Calls, number: float) -> None:
    refusal = await calls.refused("SubmitWorkload", submission({"a": [1, number]}))
    assert refusal.code is grpc.StatusCode.INVALID_ARGUMENT
    assert refusal.fields == ["input_params.a[1]"]


@pytest.mark.parametrize("number", [float(TWO_53), -float(TWO_53), 1e18, 1e300])
def test_whole_numbers_that_may_have_been_rounded_are_refused(number: float) -> None:
    with pytest.raises(InvalidInputError) as caught:
        json_of(struct({"a": {"b": number}}), "input_params")
    assert caught.value.details == {"field": "input_params.a.b", "minimum": 1 - TWO_53, "maximum": TWO_53 - 1}


def test_whole_numbers_become_integers() -> None:
    found = json_of(struct({"a": 5.0, "b": float(TWO_53 - 1), "c": -3.0, "d": 0.0, "e": 0.5}), "input_params")
    assert json.dumps(found, sort_keys=True) == '{"a": 5, "b": 9007199254740991, "c": -3, "d": 0, "e": 0.5}'
    zero = json_of(struct({"z": -0.0}), "input_params")["z"]
    assert isinstance(zero, float)
    assert math.copysign(1, zero) == -1


def test_a_value_without_a_kind_is_refused() -> None:
    given = Struct()
    given.fields["a"].list_value.values.append(Value())
    with pytest.raises(InvalidInputError, match=r"input_params\.a\[0\]: the value has no kind"):
        json_of(given, "input_params")


@pytest.mark.parametrize(
    "text", ['{"a": 9007199254740993}', '{"a": -9223372036854775807}', '{"a": 1' + "0" * 400 + "}"]
)
def test_integers_that_no_double_equals_stay_where_they_are(text: str) -> None:
    with pytest.raises(InvalidStateError, match=r"result_data\.a"):
        struct_of(text, "result_data", Struct())


@pytest.mark.parametrize("text", ['{"a": 9007199254740992}', '{"a": 1152921504606846976}', '{"a": 1e300}'])
def test_large_numbers_that_a_double_equals_are_given(text: str) -> None:
    found = Struct()
    struct_of(text, "result_data", found)
    assert found.fields["a"].number_value == json.loads(text)["a"]


@pytest.mark.parametrize("levels", range(25, 40))
def test_what_is_taken_can_be_given(levels: int) -> None:
    """Nesting stops at the same place in both directions, and short of what decoders refuse."""
    value = nested(levels)
    answer = pb.GetWorkloadResponse()
    if levels > 31:
        with pytest.raises(InvalidStateError, match="nested too deeply"):
            struct_of(json.dumps(value), "input_params", answer.workload.input_params)
        with pytest.raises(InvalidInputError, match="nested too deeply"):
            json_of(struct(value), "input_params")
        return
    struct_of(json.dumps(value), "input_params", answer.workload.input_params)
    assert pb.GetWorkloadResponse.FromString(answer.SerializeToString()) == answer
    assert json_of(struct(value), "input_params") == value


def test_lists_may_nest_deeper_than_objects() -> None:
    deep: Any = 1
    for _ in range(45):
        deep = [deep]
    answer = pb.GetWorkloadResponse()
    struct_of(json.dumps({"a": deep}), "input_params", answer.workload.input_params)
    assert pb.GetWorkloadResponse.FromString(answer.SerializeToString()) == answer


def test_times_are_checked() -> None:
    with pytest.raises(InvalidInputError, match="created_after"):
        moment_of(Timestamp(seconds=2**60), "created_after")
