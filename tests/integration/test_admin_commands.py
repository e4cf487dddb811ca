"""``niyanta admin``: straight to the database, with the same checks as the admin API."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from niyanta.cli.admin import command
from niyanta.domain.join_tokens import id_of
from niyanta.errors import ConflictError, InvalidInputError, NotFoundError

Run = Callable[..., Result]


@pytest.fixture
def run(database_url: str) -> Run:
    def call(*words: str) -> Result:
        return CliRunner(env={"NIYANTA_DATABASE_URL": database_url}).invoke(command, words)

    return call


def shown(result: Result) -> Any:
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_customers_and_keys(run: Run) -> None:
    made = shown(run("create-customer", "Acme [Corp]", "--id", "cust_x", "--burst", "9", "--json"))
    assert made == {"customer_id": "cust_x", "name": "Acme [Corp]", "tier": "standard"}
    for number in range(2):
        key = shown(
            run("create-key", "--customer", "cust_x", "--name", f"k{number}", "--expires-in", "90d", "--json")
        )
        assert key["api_key"].startswith("nyt_cust_x_")
        assert key["expires_at"]
    assert shown(run("revoke-key", key["key_id"], "--json"))["revoked"]
    keys = shown(run("list-keys", "--customer", "cust_x", "--json"))["api_keys"]
    assert [(k["name"], k["status"]) for k in keys] == [("k0", "active"), ("k1", "revoked")]
    assert key["api_key"] not in json.dumps(keys)
    (customer,) = shown(run("list-customers", "--json"))["customers"]
    assert (customer["customer_id"], customer["burst"], customer["status"]) == ("cust_x", 9, "active")
    for words in (("list-customers",), ("list-keys", "--customer", "cust_x")):
        table = run(*words)
        assert table.exit_code == 0, table.output
        assert "Acme [Corp]" in table.output or "k0" in table.output


def test_a_customer_is_changed(run: Run) -> None:
    run("create-customer", "Acme", "--id", "cust_x", "--tier", "free")
    found = shown(run("update-customer", "cust_x", "--tier", "premium", "--rate-limit", "2.5", "--suspend", "--json"))
    assert (found["tier"], found["rate_limit_per_sec"], found["status"]) == ("premium", 2.5, "suspended")
    words = ("--default", "rate_limit_per_sec", "--max-concurrent", "0", "--activate", "--name", "New", "--json")
    found = shown(run("update-customer", "cust_x", *words))
    assert (found["rate_limit_per_sec"], found["max_concurrent_workloads"]) == (50, 0)
    assert (found["status"], found["name"]) == ("active", "New")
    assert run("update-customer", "cust_x", "--burst", "3", "--default", "burst").exit_code == 2


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (("create-customer", "a\nb"), InvalidInputError),
        (("create-customer", "a", "--tier", "gold"), InvalidInputError),
        (("create-customer", "a", "--id", "x"), InvalidInputError),
        (("create-customer", "a", "--rate-limit", "0"), InvalidInputError),
        (("create-customer", "a", "--rate-limit", "nan"), InvalidInputError),
        (("create-customer", "a", "--max-concurrent", "-1"), InvalidInputError),
        (("create-customer", "a", "--id", "cust_x"), ConflictError),
        (("update-customer", "cust_none", "--suspend"), NotFoundError),
        (("list-keys", "--customer", "cust_none"), NotFoundError),
        (("create-key", "--customer", "cust_none"), NotFoundError),
        (("create-key", "--customer", "cust_x", "--expires-in", "0s"), InvalidInputError),
        (("create-key", "--customer", "cust_x", "--expires-in", "999999d"), InvalidInputError),
        (("revoke-key", "key_none"), NotFoundError),
    ],
)
def test_wrong_use_says_what_is_allowed(run: Run, words: tuple[str, ...], error: type[Exception]) -> None:
    run("create-customer", "x", "--id", "cust_x")
    assert isinstance(run(*words).exception, error)


def test_join_tokens_and_the_broker_s_configuration(run: Run, tmp_path: Path) -> None:
    words = ("--worker-pattern", "gpu-*", "--type", "train", "--tags", "gpu=a100,zone=eu", "--expires-in", "90d")
    made = shown(run("create-join-token", *words, "--json"))
    assert set(made) == {"token_id", "join_token", "expires_at"}
    (token,) = shown(run("list-join-tokens", "--json"))["join_tokens"]
    assert (token["worker_pattern"], token["workload_types"]) == ("gpu-*", ["train"])
    assert token["tags"] == {"gpu": "a100", "zone": "eu"}
    assert made["join_token"] not in json.dumps(token)
    assert shown(run("revoke-join-token", made["token_id"], "--json"))["revoked"]
    table = run("list-join-tokens")
    assert "revoked" in table.output
    file = tmp_path / "token"
    for _ in range(2):  # the second time it is there
        assert run("create-join-token", "--output", str(file)).exit_code == 0
    assert id_of(file.read_text().strip())
    assert file.stat().st_mode & 0o077 == 0
    assert len(shown(run("list-join-tokens", "--json"))["join_tokens"]) == 2
    printed = run("broker-config")
    assert printed.output == run("broker-config").output
    assert "auth_callout" in printed.output
