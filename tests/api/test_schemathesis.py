"""Requests made at random from the document, good ones and bad ones, by two customers and an operator.

A few hundred by default, the same in each run; ``make contract`` sends ten thousand others.
"""

from __future__ import annotations

import asyncio
import copy
import itertools
import json
import os
from collections.abc import Iterator
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance

from niyanta import Client
from niyanta.client.arguments import AffinityRules
from niyanta.server.store.customers import CustomerStore
from niyanta.server.store.database import Database
from support.openapi_document import DOCUMENT, operations
from support.processes import Dev

CASES = int(os.environ.get("NIYANTA_CONTRACT_CASES", "0"))
PER_OPERATION = max(8, CASES // len(list(operations())))

BEYOND_A_SCHEMA = {
    "affinity_rules",
    "cursor",
    "end_date",
    "expires_at",
    "filter",
    "from_checkpoint",
    "label",
    "labels",
    "offset",
    "order_by",
    "scopes",
    "since",
    "tail",
    "workload_ids",
    "workload_type",
}
"""Fields whose rules a schema can't say, as they depend on what is stored, on each other or on single characters.

A request that fits the document may be refused for them.
"""

BEYOND_A_SCHEMA_ANYWHERE = ("NUL character", "64 bits", "no control characters")

NEVER_ISSUED = "wl_00000000000000000000000000"


class Target:
    """A running system with two customers who own something."""

    def __init__(self, base_url: str, keys: dict[str, str], admin_key: str) -> None:
        self.base_url = base_url
        self._keys = keys
        self._admin_key = admin_key
        self._turn = itertools.count()
        self.sent = 0
        self.foreign = 0
        """Requests about another customer's workload."""
        self._workloads: list[tuple[str, str]] = []
        for name, key in keys.items():
            with Client(key, base_url) as client:
                nowhere: AffinityRules = {"hard_affinity": {"worker_id": "nowhere"}}
                waiting = client.workloads.submit("hello", {}, affinity_rules=nowhere)
                done = client.workloads.submit("hello", {})
                client.workloads.wait_for_completion(done.id, 30)
                self._workloads += [(name, waiting.id), (name, done.id)]

    def send(self, case: schemathesis.Case[Any]) -> None:
        """Send a request as one of the callers, and check the answer.

        Every other request about a workload is about one that exists, and most submissions are of a type that does.
        """
        turn = next(self._turn)
        caller = ("cust_a", "cust_b")[turn % 2]
        owner = None
        if "workload_id" in case.path_parameters and _is_well_formed(case) and turn % 4 < 2:
            owner, case.path_parameters["workload_id"] = self._workloads[turn // 4 % len(self._workloads)]
        if _is_well_formed(case) and "wait_seconds" in case.query:
            case.query["wait_seconds"] = 0
        if _is_well_formed(case) and isinstance(case.body, dict) and "workload_type" in case.body and turn % 8:
            case.body = {**case.body, "workload_type": "hello"}
        is_admin = {"AdminApiKey": []} in case.operation.definition.raw["security"]
        headers = {"Authorization": f"Bearer {self._admin_key if is_admin else self._keys[caller]}"}
        response = case.call(base_url=self.base_url, headers=headers)
        self.sent += 1
        case.validate_response(
            response,
            headers=headers,
            excluded_checks=_inapplicable(case, response),
        )
        if response.status_code in (429, 503) and case.operation.path != "/v1/ready":
            assert int(response.headers["Retry-After"][0]) >= 1
        if owner not in (None, caller):
            self.foreign += 1
            case.path_parameters["workload_id"] = NEVER_ISSUED
            missing = case.call(base_url=self.base_url, headers=headers)
            assert response.status_code == 404
            assert _told(response) == _told(missing)


def _is_well_formed(case: schemathesis.Case[Any]) -> bool:
    return case.meta is not None and case.meta.generation.mode is GenerationMode.POSITIVE


def _error(response: Any) -> dict[str, Any]:
    if response.status_code < 400:
        return {}
    found: dict[str, Any] = json.loads(response.content).get("error", {})
    return found


def _inapplicable(case: schemathesis.Case[Any], response: Any) -> list[Any]:
    if _is_beyond_a_schema(response):
        return [positive_data_acceptance]
    if case.operation.path == "/v1/workloads/batch":
        return [negative_data_rejection]  # what is wrong with one workload is said in the answer about that one
    return []


def _is_beyond_a_schema(response: Any) -> bool:
    error = _error(response)
    if error.get("code") == "INVALID_STATE":
        return True
    field = error.get("details", {}).get("field", "")
    return error.get("code") == "INVALID_INPUT" and (
        field.partition(".")[0] in BEYOND_A_SCHEMA
        or any(words in error["message"] for words in BEYOND_A_SCHEMA_ANYWHERE)
    )


def _told(response: Any) -> tuple[Any, ...]:
    """What a caller learns from an answer."""
    return response.status_code, _error(response) | {"request_id": ""}, sorted(response.headers)


async def _customers(database_url: str) -> dict[str, str]:
    database = await Database.open(database_url)
    try:
        store = CustomerStore(database)
        limits = {"rate_limit_per_sec": 100_000, "burst": 1_000_000, "max_queue_depth": 1_000_000}
        for name in ("cust_a", "cust_b"):
            await store.create_customer(name, name, "enterprise", limits)
        return {name: (await store.create_key(name, "test"))[1] for name in ("cust_a", "cust_b")}
    finally:
        await database.close()


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """One system for all the requests of this module."""
    environment = {"NIYANTA_PAUSE_WAIT_SECONDS": "0.2", "NIYANTA_METRICS_ACCESS": "admin"}
    dev = Dev(tmp_path_factory.mktemp("contract") / "data", environment)
    dev.start()
    try:
        found = json.loads((dev.data_dir / "credentials.json").read_text())
        yield Target(found["base_url"], asyncio.run(_customers(found["database_url"])), found["admin_api_key"])
    finally:
        dev.end()


REFUSED = ["4xx"]
"""Wrong requests may be refused for anything about them, such as their length."""

ENDLESS = ["streamWorkloadEvents", "streamAllEvents"]
"""Their answers go on for ever; test_live_feeds.py has what they do."""

schema = schemathesis.openapi.from_dict(
    copy.deepcopy(DOCUMENT),
    config=schemathesis.Config.from_dict({"checks": {"negative_data_rejection": {"expected-statuses": REFUSED}}}),
).exclude(operation_id=ENDLESS)


@schema.parametrize()
@settings(
    max_examples=PER_OPERATION,
    deadline=None,
    derandomize=CASES == 0,
    database=None,
    suppress_health_check=list(HealthCheck),
)
@pytest.mark.timeout(3600)
def test_requests_from_the_document(case: schemathesis.Case[Any], target: Target) -> None:
    target.send(case)


def test_the_document_that_the_requests_were_made_from_is_the_one_served(target: Target) -> None:
    served = requests.get(f"{target.base_url}/v1/openapi.json", timeout=10)
    assert served.json() == json.loads(json.dumps(DOCUMENT))
