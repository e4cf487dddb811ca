"""What of a coordinator's traffic can be read on the way is known from its settings."""

from __future__ import annotations

import pytest

from niyanta.server.access.exposure import exposures
from niyanta.server.settings import CoordinatorSettings

LOCAL = {"database_url": "postgresql://me:pw@127.0.0.1/n", "nats_url": "nats://localhost:4222"}


@pytest.mark.parametrize(
    ("given", "ways"),
    [
        ({}, []),
        ({"host": "0.0.0.0"}, ["listener"]),
        ({"host": "::"}, ["listener"]),
        ({"host": "0.0.0.0", "tls_cert": "a", "tls_key": "b"}, []),
        ({"host": "0.0.0.0", "behind_proxy": "10.0.0.1"}, []),
        ({"nats_url": "nats://broker:4222"}, ["broker"]),
        ({"nats_url": "tls://broker:4222"}, []),
        ({"nats_url": "nats://broker:4222", "nats_tls_ca": "ca.crt"}, []),
        ({"database_url": "postgresql://me:pw@db/n"}, ["database"]),
        ({"database_url": "postgresql://me:pw@127.0.0.1,db:5432/n?sslmode=prefer"}, ["database"]),
        ({"database_url": "postgresql://me:pw@db/n?sslmode=verify-full&sslrootcert=ca.crt"}, []),
        ({"database_url": "postgresql://me:pw@db/n?sslmode=require"}, ["database"]),
        ({"database_url": "postgresql://me:pw@127.0.0.1/n?sslmode=require"}, []),
        ({"database_url": "postgresql:///n?host=/run/postgresql"}, []),
        ({"database_url": "postgresql:///n?host=db,127.0.0.1"}, ["database"]),
    ],
)
def test_exposures_are_found(given: dict[str, str], ways: list[str]) -> None:
    settings = CoordinatorSettings.from_environment({}, **LOCAL | given)
    assert [exposure.way for exposure in exposures(settings)] == ways


def test_a_server_that_nobody_looks_at_is_another_danger_than_a_line_in_the_clear() -> None:
    events = {}
    for mode in ("disable", "prefer", "require"):
        given = LOCAL | {"database_url": f"postgresql://me:pw@db/n?sslmode={mode}"}
        (found,) = exposures(CoordinatorSettings.from_environment({}, **given))
        events[mode] = found.event
        assert "verify-full" in found.advice
        assert set(found.told) == {"way", "where", "danger", "advice"}
    assert events == {
        "disable": "traffic.in_the_clear",
        "prefer": "traffic.in_the_clear",
        "require": "traffic.unverified",
    }
