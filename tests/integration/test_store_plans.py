"""No query reads a whole table that grows, by the plan that the server keeps for it, whatever its values are.

Coordinators have the server plan each query once (``plan_cache_mode = force_generic_plan``), so what the planner
makes of it without values is what runs, on a table of any size.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import cast

import asyncpg
import pytest

from niyanta.domain import transitions
from niyanta.domain.limits import DEFAULT_CONFIG
from niyanta.domain.workload import Actor, ActorType
from niyanta.server.store.queries import Connection
from niyanta.server.store.states import Change, Locked
from niyanta.server.store.submissions import Assigning, SubmissionStore
from support.store_files import FILES
from support.store_machine import new_workload
from support.store_rows import ExplainFirst, add_customer, add_workloads

SHAPES = {"twenty customers": (20, 1000), "one customer": (1, 20_000)}
_FILL = (
    """INSERT INTO customers (customer_id, name, tier)
       SELECT 'cust_' || i, 'c', 'standard' FROM generate_series(1, 20000) i""",
    "INSERT INTO customer_usage (customer_id) SELECT 'cust_' || i FROM generate_series(1, 20000) i",
    """INSERT INTO audit_events (customer_id, workload_id, event_id, event_type, occurred_at, actor_type, actor_id,
                                 details)
       SELECT customer_id, workload_id, e, 'workload.created', now(), 'user', 'u', '{}'
         FROM workloads, generate_series(1, 3) e""",
    """INSERT INTO idempotency_keys (customer_id, operation, key, body_sha256, answer)
       SELECT 'cust_a', 'submit', i::text, '', '{}' FROM generate_series(1, 20000) i""",
    """INSERT INTO checkpoints (customer_id, workload_id, sequence, generation, encoding, size_bytes, sha256, data,
                                progress_percent)
       SELECT customer_id, workload_id, 1, 1, 'json', 1, sha256('x'), 'x', 1 FROM workloads""",
    """INSERT INTO workload_labels SELECT customer_id, workload_id, 'team', 't' || hashtext(workload_id) % 10
         FROM workloads""",
    """INSERT INTO failure_hours
       SELECT 'cust_a', now() - i * interval '1 hour', 'f' || i % 50, 'count', 1, now(), now(), 'm'
         FROM generate_series(1, 20000) i""",
)
GROWS = (
    "workloads",
    "workload_labels",
    "failure_hours",
    "audit_events",
    "idempotency_keys",
    "checkpoints",
    "customers",
    "customer_usage",
)
READS_ALL = {
    **dict.fromkeys(
        (f"audit_proof.sql {name}" for name in ("entries", "unnumbered", "miscounted")),
        "all events of a customer, when an operator has them verified",
    ),
    "customers.sql busy_customers": "an operator's page of who gets what",
    "customers.sql count_customers": "an operator's list",
    "retention.sql forgetful_customers": "of all customers, once in an hour",
    "listing.sql count_everything": "no further than its limit",
    "customers.sql customers_changed": "all of them when a coordinator starts; that branch isn't run otherwise",
    "customers.sql customers_page": "an operator's list",
    "customers.sql usage_by_tier": "what all customers have, once in a while, for the figures of metrics",
    "vitals.sql oldest_waiting": "the same: who has a queue at all",
}
_SCAN = re.compile(rf"Seq Scan on ({'|'.join(GROWS)})(_p\d+)?\b(?!.*cost=0\.00\.\.0\.0[01] )")
"""But for what costs nothing, or the least there is: partitions of other months are empty."""


@pytest.fixture(params=SHAPES)
async def full(database_url: str, request: pytest.FixtureRequest) -> AsyncIterator[asyncpg.Connection]:
    customers, rows = SHAPES[request.param]
    conn = await asyncpg.connect(database_url, statement_cache_size=0)
    await conn.execute("SET plan_cache_mode = force_generic_plan; SET jit = off")
    for number in range(customers):
        await add_customer(conn, f"cust_of_many_{number}")
        await add_workloads(conn, f"cust_of_many_{number}", rows)
    for statement in _FILL:
        await conn.execute(statement)
    await conn.execute("VACUUM ANALYZE")
    yield conn
    await conn.close()


async def test_no_query_reads_a_whole_table(full: asyncpg.Connection) -> None:
    found: dict[str, str] = {}
    for file_name, queries in FILES.items():
        for query in queries.bound:
            plan = await _plan(full, query.sql)
            scans = [line.strip() for line in plan.splitlines() if _SCAN.search(line)]
            if scans:
                found[f"{file_name} {query.name}"] = scans[0]
    unexpected = [f"{name}: {scan}" for name, scan in found.items() if name not in READS_ALL]
    assert not unexpected, "\n".join(unexpected)


async def test_a_submission_that_is_assigned_reads_no_more_of_its_lane_than_the_head(database_url: str) -> None:
    store, batch = SubmissionStore(), [new_workload("cust_a", rank) for rank in range(1000)]
    first = new_workload("cust_a", -1)
    change = Change.begin(Locked(first.created.state, first.created_at, DEFAULT_CONFIG, None))
    actor = Actor(ActorType.COORDINATOR, "c1")
    change.then(transitions.schedule(change.state, first.created_at, actor, "w1", "i1", progress_percent=0))
    conn = await asyncpg.connect(database_url)
    try:
        await conn.execute("SET plan_cache_mode = force_generic_plan; SET jit = off")
        await add_customer(conn, "cust_a")
        await store.insert_batch(conn, batch, {"cust_a": 10_000})
        await conn.execute("VACUUM ANALYZE")
        spy = ExplainFirst(conn)
        with pytest.raises(asyncpg.UniqueViolationError):  # it was stored by being explained
            await store.insert_batch(
                cast("Connection", spy), [first], {"cust_a": 10_000}, assigning=Assigning(0, {first.key: change})
            )
    finally:
        await conn.close()
    assert spy.rows_read <= 1, spy.plan


async def _plan(conn: asyncpg.Connection, sql: str) -> str:
    count = max(map(int, re.findall(r"\$(\d+)", sql)), default=0)
    nulls = f"({', '.join(['NULL'] * count)})" if count else ""
    await conn.execute(f"PREPARE asked AS {sql}")
    try:
        return "\n".join(line[0] for line in await conn.fetch(f"EXPLAIN EXECUTE asked{nulls}"))
    finally:
        await conn.execute("DEALLOCATE asked")
